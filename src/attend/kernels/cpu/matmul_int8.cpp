// C = act(A·B + bias) in whole numbers of 8 bits: each column of B and each row of A is divided by its largest
// magnitude over 127 and rounded. Sums are exact in 32 bits, and what surrounds them is the same everywhere, so the
// bits of A·B + bias are the same at every level.
//
// A lane holds four neighbours along k. The instructions multiply unsigned numbers by signed ones, so A is stored with
// 128 added, and the sums of a column start at -128 times the sum of its numbers.
#include "attend/kernels/cpu/entries.hpp"
#include "attend/kernels/cpu/packed_product.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

constexpr int kPerLaneInt8 = 4;
constexpr float kLargest = 127;
constexpr int kShift = 128;  // makes the numbers of A unsigned

/// total + Σ of the four products of unsigned (a) and signed (b) bytes in each lane.
#if ATTEND_VNNI && ATTEND_LEVEL_avx512
ATTEND_INLINE Int dot_of_four(Int a, Int b, Int total) {
  return reinterpret_cast<Int>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(total), reinterpret_cast<__m512i>(a),
                                                   reinterpret_cast<__m512i>(b)));
}
#elif ATTEND_VNNI
ATTEND_INLINE Int dot_of_four(Int a, Int b, Int total) {
  return reinterpret_cast<Int>(_mm256_dpbusd_avx_epi32(reinterpret_cast<__m256i>(total), reinterpret_cast<__m256i>(a),
                                                       reinterpret_cast<__m256i>(b)));
}
#else
// Without the instruction: even and odd bytes as numbers of 16 bits, whose products cannot overflow. (The products of
// bytes that these levels have are added in 16 bits, which can.)
typedef int16_t Short __attribute__((vector_size(4 * kLanes), may_alias));
typedef uint16_t Ushort __attribute__((vector_size(4 * kLanes), may_alias));

/// Σ of the two products of 16-bit numbers in each lane.
ATTEND_INLINE Int sum_of_pair(Short x, Short y) {
#if ATTEND_LEVEL_avx512
  return reinterpret_cast<Int>(_mm512_madd_epi16(reinterpret_cast<__m512i>(x), reinterpret_cast<__m512i>(y)));
#elif ATTEND_LEVEL_avx2
  return reinterpret_cast<Int>(_mm256_madd_epi16(reinterpret_cast<__m256i>(x), reinterpret_cast<__m256i>(y)));
#else
  const auto low = [](Short pair) { return reinterpret_cast<Int>(reinterpret_cast<Uint>(pair) << 16) >> 16; };
  const auto high = [](Short pair) { return reinterpret_cast<Int>(pair) >> 16; };
  return low(x) * low(y) + high(x) * high(y);
#endif
}

ATTEND_INLINE Int dot_of_four(Int a, Int b, Int total) {
  const Short even_b = reinterpret_cast<Short>(reinterpret_cast<Ushort>(b) << 8) >> 8;
  const Short odd_a = reinterpret_cast<Short>(reinterpret_cast<Ushort>(a) >> 8);
  return total + sum_of_pair(reinterpret_cast<Short>(a) & 255, even_b) +
         sum_of_pair(odd_a, reinterpret_cast<Short>(b) >> 8);
}
#endif

/// How a row or column becomes whole numbers: x ≈ number·scale.
struct Scale {
  float scale, inverse;
};

template <class Number>
Scale scale_of(const Number* x, int64_t k) {
  Vec largest{}, poison{};  // what is no finite number makes the scale NaN, and so what is computed with it
  for_vectors(0, k, [&](int64_t l, auto n) {
    const Vec numbers = load(x + l, n);
    largest = max(largest, abs(numbers));
    poison += numbers * splat(0);
  });
  const float most = max_of(largest);
  return {most / kLargest + sum(poison), most > 0 ? kLargest / most : 0};
}

/// The whole numbers of x, `shift` added, as bytes in lanes `step` apart; what is missing of the last lane is `shift`.
/// Returns the sum of the numbers before the shift.
template <class Number>
int32_t write_lanes(const Number* x, int64_t k, float inverse, int shift, int32_t* to, int64_t step) {
  Int sum{};
  for_vectors(0, k, [&](int64_t l, auto n) {
    // What is not finite has no whole number; its scale is NaN, so any number in range will do.
    const Vec number = round(load(x + l, n) * splat(inverse));
    const Int whole = to_int(min(max(number, splat(-kLargest)), splat(kLargest)));
    sum += whole;
    uint8_t bytes[kLanes];
    for (int i = 0; i < kLanes; ++i) bytes[i] = static_cast<uint8_t>(whole[i] + shift);
    int32_t lanes[kLanes / kPerLaneInt8];
    __builtin_memcpy(lanes, bytes, sizeof(bytes));
    const int64_t here = divide_up(n, kPerLaneInt8);
    for (int64_t i = 0; i < here; ++i) to[(l / kPerLaneInt8 + i) * step] = lanes[i];
  });
  int32_t total = 0;
  for (int i = 0; i < kLanes; ++i) total += sum[i];
  return total;
}

// A panel of A ends with the scales of its rows; one of B with the first values of its columns' sums, then their
// scales.
struct Int8Panels {
  using A = int32_t;
  using B = int32_t;
  static constexpr int64_t kRowEnd = 1, kColumnEnd = 2;
  static constexpr bool kAsItLies = false;

  static int64_t lanes(int64_t k) { return divide_up(k, kPerLaneInt8); }
  static int64_t depth(int64_t lanes) { return lanes; }  // whole numbers are added in any order

  static void pack(const float* a, int64_t lda, int64_t rows, int64_t k, int32_t* to) {
    int32_t* scales = to + lanes(k) * rows;
    for (int64_t r = 0; r < rows; ++r) {
      const Scale scale = scale_of(a + r * lda, k);
      write_lanes(a + r * lda, k, scale.inverse, kShift, to + r, rows);
      __builtin_memcpy(scales + r, &scale.scale, sizeof(float));
    }
  }

  using Vector = Int;
  ATTEND_INLINE Int first(const int32_t* column_end) { return load_int(column_end); }
  ATTEND_INLINE Int column(const int32_t* b) { return load_int(b); }
  ATTEND_INLINE Int factor(int32_t a) { return splat_int(a); }
  ATTEND_INLINE Int add(Int a, Int b, Int sum) { return dot_of_four(a, b, sum); }
  ATTEND_INLINE Vec finish(Int sum, const int32_t* row_end, const int32_t* column_end) {
    const Vec column_scales = load(reinterpret_cast<const float*>(column_end + kTileColumns));
    return to_float(sum) * (column_scales * splat(*reinterpret_cast<const float*>(row_end)));
  }
};

template <class Number>
void pack_column(const PackInt8& p, int64_t column) {
  const int64_t lanes = Int8Panels::lanes(p.k), in_panel = column % kTileColumns;
  int32_t* panel = p.packed + column / kTileColumns * (lanes + Int8Panels::kColumnEnd) * kTileColumns;
  const Number* b = static_cast<const Number*>(p.b) + column * p.ldb;
  const Scale scale = scale_of(b, p.k);
  const int32_t sum = write_lanes(b, p.k, scale.inverse, 0, panel + in_panel, kTileColumns);
  panel[lanes * kTileColumns + in_panel] = -kShift * sum;
  __builtin_memcpy(panel + (lanes + 1) * kTileColumns + in_panel, &scale.scale, sizeof(float));
}

}  // namespace

int64_t int8_size(int64_t n, int64_t k) noexcept {
  return round_up(n, kTileColumns) * (Int8Panels::lanes(k) + Int8Panels::kColumnEnd);
}

void pack_int8(KernelContext& context, const PackInt8& p) noexcept {
  const int64_t size = int8_size(kTileColumns, p.k);
  parallel_for(*context.pool, divide_up(p.n, kTileColumns), packing_grain(size), [&](int64_t begin, int64_t end, int) {
    for (int64_t panel = begin; panel < end; ++panel) {
      const int64_t column = panel * kTileColumns, next = smaller(column + kTileColumns, p.n);
      if (next < column + kTileColumns)  // columns that do not exist are 0
        __builtin_memset(p.packed + panel * size, 0, static_cast<size_t>(size) * sizeof(int32_t));
      for (int64_t j = column; j < next; ++j)
        p.b_format == Format::f32    ? pack_column<float>(p, j)
        : p.b_format == Format::bf16 ? pack_column<Bf16>(p, j)
                                     : pack_column<F16>(p, j);
    }
  });
}

void matmul_int8(KernelContext& context, const MatmulInt8& p) noexcept { run_packed<Int8Panels>(context, p); }

}  // namespace attend::kernels::ATTEND_LEVEL
