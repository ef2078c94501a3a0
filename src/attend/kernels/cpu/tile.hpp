// The inner product of every matrix kernel: a tile of C held in registers while k runs.
#pragma once

#include "attend/kernels/cpu/numbers.hpp"
#include "attend/kernels/kernels.hpp"

#include <utility>

namespace attend::kernels::ATTEND_LEVEL {
namespace {

// Rows and vectors of the largest tile: as many accumulators as the registers leave beside two of B and one of A, and
// enough of them to cover the latency of the multiply-add.
#if ATTEND_LEVEL_avx512
constexpr int kTileRows = 14;
#elif ATTEND_LEVEL_avx2
constexpr int kTileRows = 6;
#else
constexpr int kTileRows = 4;
#endif
constexpr int kTileVectors = 2;
constexpr int kTileColumns = kTileVectors * kLanes;

/// How many numbers along k a lane of a panel holds. With the bf16 instructions it is a pair; without them a product in
/// bf16 is one of f32 numbers that were rounded before.
template <Format product>
constexpr int kPerLane = 1;
#if ATTEND_BF16
template <>
constexpr int kPerLane<Format::bf16> = 2;
#endif

template <Format product>
ATTEND_INLINE Vec multiply_add(Vec a, Vec b, Vec total) {
#if ATTEND_BF16
  if constexpr (product == Format::bf16)
    return _mm512_dpbf16_ps(total, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
#endif
  return fma(a, b, total);
}

/// total[r][v] += Σ_l a[r·a_row + l·a_step]·b[l·b_step + v·kLanes …], one chain over l for each element. l counts
/// lanes: numbers, or pairs of them.
template <int rows, int vectors, Format product = Format::f32>
ATTEND_INLINE void tile_product(int64_t k, const float* a, int64_t a_row, int64_t a_step, const float* b,
                                int64_t b_step, Vec (&total)[rows][vectors]) {
#pragma GCC unroll 4
  for (int64_t l = 0; l < k; ++l) {
    Vec columns[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) columns[v] = load(b + v * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      const Vec factor = splat(a[r * a_row]);
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) total[r][v] = multiply_add<product>(factor, columns[v], total[r][v]);
    }
    a += a_step;
    b += b_step;
  }
}

template <int step, int... lane>
ATTEND_INLINE void swap_blocks(Vec& upper, Vec& lower, std::integer_sequence<int, lane...>) {
  const Vec first = __builtin_shufflevector(upper, lower, (lane & step ? lane - step + kLanes : lane)...);
  lower = __builtin_shufflevector(upper, lower, (lane & step ? lane + kLanes : lane + step)...);
  upper = first;
}

/// Transposes a square of kLanes × kLanes: blocks beside the diagonal change places, from large to small.
template <int step = kLanes / 2>
ATTEND_INLINE void transpose(Vec (&x)[kLanes]) {
  if constexpr (step > 0) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i)
      if ((i & step) == 0) swap_blocks<step>(x[i], x[i + step], std::make_integer_sequence<int, kLanes>{});
    transpose<step / 2>(x);
  }
}

}  // namespace
}  // namespace attend::kernels::ATTEND_LEVEL
