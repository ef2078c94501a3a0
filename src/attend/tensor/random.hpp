// Counter-based random numbers: a value depends on (seed, step, name, element) and on nothing else, so resuming,
// other thread counts or another order of calls give the same numbers.
#pragma once

#include <attend/tensor/tensor.hpp>

#include <cstdint>
#include <string_view>

namespace attend {

/// Mixes 64 bits well (a bijection).
constexpr uint64_t mix64(uint64_t x) noexcept {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ull;
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ull;
  x ^= x >> 32;
  return x;
}

/// A stream of keys: one per (seed, step, name).
struct Random {
  uint64_t seed = 0;
  uint64_t step = 0;

  uint64_t key(std::string_view name) const noexcept;
  /// Uniform in [0, 1) with 53 bits.
  static double uniform(uint64_t key, uint64_t element) noexcept;
  /// Standard normal.
  static double normal(uint64_t key, uint64_t element) noexcept;
};

/// Fills f32 tensors (initialisation).
void fill_normal(Tensor& tensor, uint64_t key, double deviation);
void fill_uniform(Tensor& tensor, uint64_t key, double bound);  ///< in [-bound, bound)

}  // namespace attend
