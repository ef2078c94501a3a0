// The counter-based dropout mask. Element i lies in block i / 2^20 at lane i % 2^20; a block has two 32-bit seeds, made
// from (key, block) by one 64-bit mix, and a lane is mixed between them with 32-bit multiplications that every vector
// unit has. All integer, so every level gives the same mask.
#pragma once

#include "attend/kernels/cpu/simd.hpp"
#include "attend/kernels/kernels.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

constexpr int kLaneBits = 20;
constexpr uint32_t kLaneMask = (1u << kLaneBits) - 1;

struct MaskSeeds {
  uint32_t first, second;
};

/// Both seeds of a block, the first in the low half; U is uint64_t or a vector of them.
template <class U>
ATTEND_INLINE U mask_seeds(uint64_t key, U block) {
  U z = key + (block + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

constexpr uint32_t kLaneFactor = 0x9e3779b1u;

/// 24 random bits of (lane + first)·kLaneFactor; U is uint32_t or a vector of them.
template <class U>
ATTEND_INLINE U mixed(U product, U second) {
  U h = product;
  h = (h ^ (h >> 15) ^ second) * 0x85ebca6bu;
  h = (h ^ (h >> 13)) * 0xc2b2ae35u;
  return (h ^ (h >> 16)) >> 8;
}

/// What to multiply element i with: 0 or 1/(1-p).
class MaskStream {
 public:
  explicit MaskStream(const Dropout& d)
      : key_(d.key),
        threshold_(static_cast<int32_t>(static_cast<double>(d.probability) * (1 << 24) + 0.5)),
        scale_(d.probability < 1 ? 1 / (1 - d.probability) : 0),
        on_(d.probability > 0) {}

  bool on() const { return on_; }

  /// Of the elements i … i+kLanes-1.
  Vec at(int64_t i) {
    const uint64_t element = static_cast<uint64_t>(i);
    const uint32_t lane = static_cast<uint32_t>(element) & kLaneMask;
    if (lane + kLanes > kLaneMask + 1) return at_border(element);
    seed(element >> kLaneBits);
    const Uint lanes = reinterpret_cast<Uint>(lane_numbers() + static_cast<int32_t>(lane));
    return at((lanes + seeds_.first) * kLaneFactor, seeds_.second - Uint{});
  }

  /// Of given (lane + first seed)·kLaneFactor and second seeds (attention: one block per query row).
  Vec at(Uint product, Uint second) const {
    return select(reinterpret_cast<Int>(mixed(product, second)) >= threshold_, splat(scale_), Vec{});
  }

  /// The seeds of many blocks at once; U is a vector of uint64_t.
  template <class U>
  U seeds(U blocks) const {
    return mask_seeds(key_, blocks);
  }

 private:
  void seed(uint64_t block) {
    if (block == block_) return;
    block_ = block;
    const uint64_t both = mask_seeds(key_, block);
    seeds_ = {static_cast<uint32_t>(both), static_cast<uint32_t>(both >> 32)};
  }

  Vec at_border(uint64_t element) {
    Vec result{};
    for (int l = 0; l < kLanes; ++l, ++element) {
      seed(element >> kLaneBits);
      const uint32_t lane = static_cast<uint32_t>(element) & kLaneMask;
      const uint32_t h = mixed((lane + seeds_.first) * kLaneFactor, seeds_.second);
      result[l] = static_cast<int32_t>(h) >= threshold_ ? scale_ : 0;
    }
    return result;
  }

  uint64_t key_;
  uint64_t block_ = ~uint64_t{0};
  MaskSeeds seeds_{};
  int32_t threshold_;
  float scale_;
  bool on_;
};

}  // namespace
}  // namespace attend::kernels::ATTEND_LEVEL
