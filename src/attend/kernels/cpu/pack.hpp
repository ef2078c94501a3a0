// Panels: a matrix laid out in the order in which the tile product reads it.
#pragma once

#include "attend/kernels/cpu/tile.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

/// to[l·step + i] = from[i·stride + l] for i < count (≤ step), l < depth: `count` rows become columns. With padding the
/// columns from count to kLanes are written too, as 0 (step ≥ kLanes). `known` is count where it is fixed, else 0.
template <int known>
ATTEND_INLINE void pack_rows(const float* from, int64_t stride, int64_t any_count, int64_t depth, float* to,
                             int64_t step, bool padded) {
  const int64_t count = known != 0 ? known : any_count;
  // A whole vector may be stored where its surplus lanes meet only columns that are written later.
  const float* const room = to + depth * step - kLanes;
  int64_t l = 0;
  for (; l + kLanes <= depth; l += kLanes) {
    Vec x[kLanes];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) x[i] = i < count ? load(from + i * stride + l) : Vec{};
    transpose(x);
    float* at = to + l * step;
    if (padded || at + (kLanes - 1) * step <= room) {
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) store(at + i * step, x[i]);
    } else {
      for (int i = 0; i < kLanes; ++i) store(at + i * step, x[i], count);
    }
  }
  for (; l < depth; ++l) {
    float column[kLanes] = {};
    for (int64_t i = 0; i < count; ++i) column[i] = from[i * stride + l];
    store(to + l * step, load(column), padded ? kLanes : count);
  }
}

/// Rows [0, count) of op(A) from depth 0 to `depth`: to[l·count + i].
ATTEND_INLINE void pack_a_panel(const float* a, int64_t lda, bool transposed, int64_t count, int64_t depth, float* to) {
  if (!transposed) {
    if (count == kTileRows) return pack_rows<kTileRows>(a, lda, count, depth, to, count, false);
    return pack_rows<0>(a, lda, count, depth, to, count, false);
  }
  // Whole vectors while the next row lies behind: what they read and write beyond `count` is in it.
  int64_t l = 0;
  if (count == kTileRows)
    for (; l + 1 < depth; ++l) store(to + l * kTileRows, load(a + l * lda));
  for (; l < depth; ++l) store(to + l * count, load(a + l * lda, count), count);
}

/// Columns [0, count) of op(B): to[l·kTileColumns + j], the columns that are missing as 0.
ATTEND_INLINE void pack_b_panel(const float* b, int64_t ldb, bool transposed, int64_t count, int64_t depth, float* to) {
  if (transposed) {
    for (int v = 0; v < kTileVectors; ++v) {
      const int64_t here = larger(0, smaller(kLanes, count - v * kLanes));
      const float* from = b + v * kLanes * ldb;
      if (here == kLanes) {
        pack_rows<kLanes>(from, ldb, here, depth, to + v * kLanes, kTileColumns, true);
      } else {
        pack_rows<0>(from, ldb, here, depth, to + v * kLanes, kTileColumns, true);
      }
    }
    return;
  }
  for (int64_t l = 0; l < depth; ++l) {
    for (int v = 0; v < kTileVectors; ++v) {
      const int64_t here = count - v * kLanes;
      const float* from = b + l * ldb + v * kLanes;
      store(to + l * kTileColumns + v * kLanes, here >= kLanes ? load(from) : here > 0 ? load(from, here) : Vec{});
    }
  }
}

}  // namespace
}  // namespace attend::kernels::ATTEND_LEVEL
