// Merges of a BPE model: (left id, right id) → rank and merged id.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace attend {

struct Merge {
  int32_t rank;  ///< smaller merges first; -1: no such merge
  int32_t id;    ///< of the merged token
};

/// A merge by its tokens.
struct TokenMerge {
  int32_t left, right;
  int32_t merged;
  bool operator==(const TokenMerge&) const = default;
};

/// An open-addressing hash table; insert everything, then look up from any thread.
class PairTable {
 public:
  explicit PairTable(size_t count) : slots_(std::bit_ceil(count * 2 + 2), Slot{empty, {-1, -1}}) {}

  /// A pair that exists already gets the new rank.
  void insert(int32_t left, int32_t right, Merge merge) noexcept {
    const uint64_t pair = key(left, right);
    Slot& slot = slots_[position(pair)];
    slot = {pair, merge};
  }

  Merge find(int32_t left, int32_t right) const noexcept { return slots_[position(key(left, right))].merge; }

  /// Calls f(left, right, merge) in no particular order.
  template <class F>
  void for_each(F&& f) const {
    for (const Slot& slot : slots_)
      if (slot.pair != empty)
        f(static_cast<int32_t>(slot.pair >> 32), static_cast<int32_t>(slot.pair & 0xFFFFFFFF), slot.merge);
  }

 private:
  struct Slot {
    uint64_t pair;
    Merge merge;
  };
  static constexpr uint64_t empty = ~uint64_t{0};  // ids are not negative, so no pair looks like this

  static uint64_t key(int32_t left, int32_t right) noexcept {
    return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
  }

  size_t position(uint64_t pair) const noexcept {
    const size_t mask = slots_.size() - 1;
    uint64_t hash = pair * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 32;
    size_t at = hash & mask;
    while (slots_[at].pair != pair && slots_[at].pair != empty) at = (at + 1) & mask;
    return at;
  }

  std::vector<Slot> slots_;
};

}  // namespace attend
