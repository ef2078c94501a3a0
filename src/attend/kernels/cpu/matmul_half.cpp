// C = act(A·B + bias) in f32 with B in panels of f16, half the memory of f32. Tiles and depth blocks are those of
// matmul.cpp, so the bits are the same as with B in f32.
#include "attend/kernels/cpu/entries.hpp"
#include "attend/kernels/cpu/packed_product.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

// Rounds, or ends as a number that is read back as another.
#if ATTEND_LEVEL_avx512
ATTEND_INLINE void store_half(F16* p, Vec x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(x, 0));
}
#elif ATTEND_LEVEL_avx2
ATTEND_INLINE void store_half(F16* p, Vec x) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x, 0)); }
#else
ATTEND_INLINE void store_half(F16* p, Vec x) {
  const Int magnitude = bits(abs(x) * 0x1p-112f);  // moves the exponent, subnormal numbers too
  const Int half = (magnitude >> 13) | ((bits(x) >> 16) & 0x8000);
  for (int i = 0; i < kLanes; ++i) p[i] = {static_cast<uint16_t>(half[i])};
}
#endif

struct HalfPanels {
  using A = float;
  using B = F16;
  static constexpr int64_t kRowEnd = 0, kColumnEnd = 0;
  static constexpr bool kAsItLies = true;

  static int64_t lanes(int64_t k) { return k; }
  static int64_t depth(int64_t lanes) { return depth_of_block(lanes); }
  static void pack(const float* a, int64_t lda, int64_t rows, int64_t k, float* to) {
    pack_rows<0>(a, lda, rows, k, to, rows, false);
  }

  using Vector = Vec;
  ATTEND_INLINE Vec first(const F16*) { return Vec{}; }
  ATTEND_INLINE Vec column(const F16* b) { return load(b); }
  ATTEND_INLINE Vec factor(float a) { return splat(a); }
  ATTEND_INLINE Vec add(Vec a, Vec b, Vec sum) { return fma(a, b, sum); }
  ATTEND_INLINE Vec finish(Vec sum, const float*, const F16*) { return sum; }
};

// A panel of `columns` columns, from B as [n, k]; false if f16 does not hold its numbers exactly.
template <class Number>
bool pack_panel(const PackHalf& p, int64_t column, int64_t columns, F16* to) {
  Int different{};
  for (int v = 0; v < kTileVectors; ++v) {
    const int64_t here = larger(0, smaller(kLanes, columns - v * kLanes));
    for (int64_t l = 0; l < p.k; l += kLanes) {
      const int64_t depth = smaller(kLanes, p.k - l);
      const Number* from = static_cast<const Number*>(p.b) + (column + v * kLanes) * p.ldb + l;
      Vec x[kLanes] = {};
      if (here == kLanes && depth == kLanes) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) x[i] = load(from + i * p.ldb);
      } else {
        for (int i = 0; i < here; ++i) x[i] = load(from + i * p.ldb, depth);
      }
      transpose(x);
      for (int64_t i = 0; i < depth; ++i) {
        F16* at = to + (l + i) * kTileColumns + v * kLanes;
        store_half(at, x[i]);
        different |= bits(load(at)) ^ bits(x[i]);
      }
    }
  }
  for (int i = 0; i < kLanes; ++i)
    if (different[i] != 0) return false;
  return true;
}

using PackPanel = bool (*)(const PackHalf& p, int64_t column, int64_t columns, F16* to);

PackPanel pack_panel_of(Format format) {
  switch (format) {
    case Format::f32:
      return pack_panel<float>;
    case Format::bf16:
      return pack_panel<Bf16>;
    case Format::f16:
      return pack_panel<F16>;
  }
  return nullptr;
}

}  // namespace

void pack_half(KernelContext& context, const PackHalf& p) noexcept {
  const PackPanel pack = pack_panel_of(p.b_format);
  bool exact = true;
  parallel_for(*context.pool, divide_up(p.n, kTileColumns), packing_grain(kTileColumns * p.k),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t panel = begin; panel < end; ++panel) {
                   if (!__atomic_load_n(&exact, __ATOMIC_RELAXED)) return;
                   const int64_t column = panel * kTileColumns;
                   F16* to = static_cast<F16*>(p.packed) + column * p.k;
                   if (!pack(p, column, smaller(kTileColumns, p.n - column), to))
                     __atomic_store_n(&exact, false, __ATOMIC_RELAXED);
                 }
               });
  *p.exact = exact;
}

void matmul_half(KernelContext& context, const MatmulHalf& p) noexcept { run_packed<HalfPanels>(context, p); }

}  // namespace attend::kernels::ATTEND_LEVEL
