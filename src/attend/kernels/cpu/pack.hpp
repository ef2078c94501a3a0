// Panels: a matrix laid out in the order in which the tile product reads it.
#pragma once

#include "attend/kernels/cpu/tile.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

/// to[l·step + i] = from[i·stride + l] for i < count (≤ step), l < depth: `count` rows become columns. With padding the
/// columns from count to kLanes are written too, as 0 (step ≥ kLanes).
ATTEND_INLINE void pack_rows(const float* from, int64_t stride, int64_t count, int64_t depth, float* to, int64_t step,
                             bool padded) {
  const bool whole = count == kLanes;
  int64_t l = 0;
  for (; l + kLanes <= depth; l += kLanes) {
    Vec x[kLanes];
    if (whole) {
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) x[i] = load(from + i * stride + l);
    } else {
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) x[i] = i < count ? load(from + i * stride + l) : Vec{};
    }
    transpose(x);
    float* at = to + l * step;
    if (padded || whole) {
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) store(at + i * step, x[i]);
    } else {
#pragma GCC unroll 16
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
  if (!transposed) return pack_rows(a, lda, count, depth, to, count, false);
  for (int64_t l = 0; l < depth; ++l) {
    if constexpr (kTileRows == kLanes) {
      if (count == kLanes) {
        store(to + l * count, load(a + l * lda));
        continue;
      }
    }
    store(to + l * count, load(a + l * lda, count), count);
  }
}

/// Columns [0, count) of op(B): to[l·kTileColumns + j], the columns that are missing as 0.
ATTEND_INLINE void pack_b_panel(const float* b, int64_t ldb, bool transposed, int64_t count, int64_t depth, float* to) {
  if (transposed) {
    for (int v = 0; v < kTileVectors; ++v) {
      const int64_t here = larger(0, smaller(kLanes, count - v * kLanes));
      pack_rows(b + v * kLanes * ldb, ldb, here, depth, to + v * kLanes, kTileColumns, true);
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
