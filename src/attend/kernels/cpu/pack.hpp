// Panels: a matrix laid out in the order in which the tile product reads it, in lanes of 32 bits that hold a number, or
// a pair of neighbours along k in bf16 (kPerLane).
#pragma once

#include "attend/kernels/cpu/tile.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

template <Format product>
ATTEND_INLINE Vec rounded(Vec x) {
  if constexpr (product == Format::bf16) return rounded_to_bf16(x);
  return x;
}

/// Lanes of a row: lane i holds the numbers from kPerLane·i on; those from `count` on are 0.
template <Format product, class Number>
ATTEND_INLINE Vec lanes_along(const Number* x, int64_t count) {
#if ATTEND_BF16
  if constexpr (product == Format::bf16) {
    const Vec low = load(x, smaller(count, kLanes));
    const Vec high = count > kLanes ? load(x + kLanes, count - kLanes) : Vec{};
    return reinterpret_cast<Vec>(_mm512_cvtne2ps_pbh(high, low));
  }
#endif
  return rounded<product>(load(x, count));
}
/// The same with all numbers there.
template <Format product, class Number>
ATTEND_INLINE Vec lanes_along(const Number* x) {
#if ATTEND_BF16
  if constexpr (product == Format::bf16) return reinterpret_cast<Vec>(_mm512_cvtne2ps_pbh(load(x + kLanes), load(x)));
#endif
  return rounded<product>(load(x));
}

/// Lanes of columns: lane i holds column i of kPerLane rows that lie `stride` apart. `last`: there is only one row.
template <Format product, class Number, class Count>
ATTEND_INLINE Vec lanes_across(const Number* x, [[maybe_unused]] int64_t stride, [[maybe_unused]] bool last,
                               Count count) {
#if ATTEND_BF16
  if constexpr (product == Format::bf16) {
    const Vec second = last ? Vec{} : load(x + stride, count);
    const __m512i halves = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second, load(x, count)));
    const __m512i interleave = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22,
                                                6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return reinterpret_cast<Vec>(_mm512_permutexvar_epi16(interleave, halves));
  }
#endif
  return rounded<product>(load(x, count));
}

/// `count` rows (≤ step) of `depth` numbers become columns: to[l·step + i] = lane l of row i. With padding the columns
/// from count to kLanes are written too, as 0 (step ≥ kLanes). `known` is count where it is fixed, else 0.
template <int known, Format product = Format::f32, class Number>
ATTEND_INLINE void pack_rows(const Number* from, int64_t stride, int64_t any_count, int64_t depth, float* to,
                             int64_t step, bool padded) {
  constexpr int per = kPerLane<product>;
  const int64_t count = known != 0 ? known : any_count;
  const int64_t lanes = divide_up(depth, per);
  // A whole vector may be stored where its surplus lanes meet only columns that are written later.
  const float* const room = to + lanes * step - kLanes;
  for (int64_t l = 0; l < lanes; l += kLanes) {
    const int64_t here = smaller(kLanes, lanes - l);
    Vec x[kLanes];
    if ((l + kLanes) * per <= depth) {
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) {
        const Number* row = from + i * stride + l * per;
        // The rows behind these are the next ones to be packed; so many short pieces are no stream to the hardware.
        // Into the second level: in the first, rows that lie a multiple of 4 KiB apart push each other out.
        __builtin_prefetch(row + count * stride, 0, 2);
        if constexpr (per > 1) __builtin_prefetch(row + count * stride + kLanes, 0, 2);
        x[i] = i < count ? lanes_along<product>(row) : Vec{};
      }
    } else {
      for (int i = 0; i < kLanes; ++i)
        x[i] = i < count ? lanes_along<product>(from + i * stride + l * per, depth - l * per) : Vec{};
    }
    transpose(x);
    float* at = to + l * step;
    if (here == kLanes && (padded || at + (kLanes - 1) * step <= room)) {
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) store(at + i * step, x[i]);
    } else {
      for (int64_t i = 0; i < here; ++i) store(at + i * step, x[i], padded ? kLanes : count);
    }
  }
}

/// Rows [0, rows) of op(A) as panels of kTileRows rows (the last may have less), `panel_size` floats apart:
/// panel[l·rows of the panel + i] for l in the lanes of `depth` numbers. What lies transposed may come in parts: this
/// one is then written from lane `begin` on.
template <Format product>
void pack_a_panels(const float* a, int64_t lda, bool transposed, int64_t rows, int64_t depth, float* to,
                   int64_t panel_size, int64_t begin = 0) {
  constexpr int per = kPerLane<product>;
  const int64_t whole = rows / kTileRows, rest = rows % kTileRows;
  if (!transposed) {
    for (int64_t p = 0; p < whole; ++p)
      pack_rows<kTileRows, product>(a + p * kTileRows * lda, lda, kTileRows, depth, to + p * panel_size, kTileRows,
                                    false);
    if (rest > 0)
      pack_rows<0, product>(a + whole * kTileRows * lda, lda, rest, depth, to + whole * panel_size, rest, false);
    return;
  }
  // A row of memory goes through all panels before the next one, so that memory is read in its order.
  for (int64_t l = 0; l * per < depth; ++l) {
    const float* row = a + l * per * lda;
    const bool last = (l + 1) * per > depth;
    // Whole vectors while another row lies behind: what they read and write beyond a panel's rows is in it.
    if ((l + 1) * per < depth) {
      for (int64_t p = 0; p < whole; ++p)
        store(to + p * panel_size + (begin + l) * kTileRows,
              lanes_across<product>(row + p * kTileRows, lda, false, AllLanes{}));
    } else {
      for (int64_t p = 0; p < whole; ++p)
        store(to + p * panel_size + (begin + l) * kTileRows,
              lanes_across<product>(row + p * kTileRows, lda, last, kTileRows), kTileRows);
    }
    if (rest > 0)
      store(to + whole * panel_size + (begin + l) * rest,
            lanes_across<product>(row + whole * kTileRows, lda, last, rest), rest);
  }
}

/// Columns [0, columns) of op(B) as panels of kTileColumns, `panel_size` floats apart: panel[l·kTileColumns + j], the
/// columns that are missing as 0. What lies as [k, n] may come in parts, as in pack_a_panels.
template <Format product, class Number>
void pack_b_panels(const void* numbers, int64_t ldb, bool transposed, int64_t columns, int64_t depth, float* to,
                   int64_t panel_size, int64_t begin) {
  constexpr int per = kPerLane<product>;
  const Number* b = static_cast<const Number*>(numbers);
  if (transposed) {
    for (int64_t j = 0; j < columns; j += kTileColumns, to += panel_size)
      for (int v = 0; v < kTileVectors; ++v) {
        const int64_t column = j + v * kLanes, here = larger(0, smaller(kLanes, columns - column));
        const Number* from = b + column * ldb;
        if (here == kLanes) {
          pack_rows<kLanes, product>(from, ldb, here, depth, to + v * kLanes, kTileColumns, true);
        } else {
          pack_rows<0, product>(from, ldb, here, depth, to + v * kLanes, kTileColumns, true);
        }
      }
    return;
  }
  for (int64_t l = 0; l * per < depth; ++l) {
    const bool last = (l + 1) * per > depth;
    const Number* row = b + l * per * ldb;
    for (int64_t column = 0; column < round_up(columns, kTileColumns); column += kLanes) {
      const int64_t here = columns - column;
      const Number* from = row + column;
      store(to + column / kTileColumns * panel_size + (begin + l) * kTileColumns + column % kTileColumns,
            here >= kLanes ? lanes_across<product>(from, ldb, last, AllLanes{})
            : here > 0     ? lanes_across<product>(from, ldb, last, here)
                           : Vec{});
    }
  }
}

}  // namespace
}  // namespace attend::kernels::ATTEND_LEVEL
