// f32 from and to f16 and bf16, rounding to nearest with ties to even; NaN stays NaN, subnormals are kept.
#include "attend/kernels/cpu/entries.hpp"
#include "attend/kernels/cpu/numbers.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

ATTEND_INLINE uint16_t narrowed_bf16(float f) {
  const uint32_t x = bits_of(f);
  const uint32_t rounded = (x + 0x7fff + ((x >> 16) & 1)) >> 16;
  return static_cast<uint16_t>((x & 0x7fffffff) > 0x7f800000 ? (x >> 16) | 0x40 : rounded);
}

[[maybe_unused]] uint16_t narrowed_f16(float f) {
  const uint32_t x = bits_of(f), sign = (x >> 16) & 0x8000, magnitude = x & 0x7fffffff;
  uint32_t half;
  if (magnitude > 0x7f800000) {
    half = 0x7e00 | ((magnitude >> 13) & 0x3ff);
  } else if (magnitude >= 0x47800000) {  // 2^16 and above
    half = 0x7c00;
  } else if (magnitude < 0x38800000) {  // below 2^-14: the sum puts the rounded subnormal into the last bits
    half = bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f);
  } else {
    half = (magnitude - (112u << 23) + 0xfff + ((magnitude >> 13) & 1)) >> 13;
  }
  return static_cast<uint16_t>(sign | half);
}

void narrow(const float* x, uint16_t* y, int64_t begin, int64_t end, Format to) {
  if (to == Format::bf16) {
    for (int64_t i = begin; i < end; ++i) y[i] = narrowed_bf16(x[i]);
    return;
  }
  int64_t i = begin;
#if ATTEND_LEVEL_avx512 || ATTEND_LEVEL_avx2
  for (; i + 8 <= end; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(y + i), _mm256_cvtps_ph(_mm256_loadu_ps(x + i), 0));
#endif
  for (; i < end; ++i) y[i] = narrowed_f16(x[i]);
}

template <class Number>
void widen(const Number* x, float* y, int64_t begin, int64_t end) {
  for_vectors(begin, end, [&](int64_t i, auto n) { store(y + i, load(x + i, n), n); });
}

}  // namespace

void convert(KernelContext& context, const Convert& p) noexcept {
  constexpr int64_t kTile = 16384;
  parallel_for(*context.pool, divide_up(p.size, kTile), 1, [&](int64_t first, int64_t last, int) {
    const int64_t begin = first * kTile, end = smaller(last * kTile, p.size);
    if (p.from == Format::bf16) {
      widen(static_cast<const Bf16*>(p.x), static_cast<float*>(p.y), begin, end);
    } else if (p.from == Format::f16) {
      widen(static_cast<const F16*>(p.x), static_cast<float*>(p.y), begin, end);
    } else if (p.to != Format::f32) {
      narrow(static_cast<const float*>(p.x), static_cast<uint16_t*>(p.y), begin, end, p.to);
    } else {
      __builtin_memcpy(static_cast<float*>(p.y) + begin, static_cast<const float*>(p.x) + begin,
                       static_cast<size_t>(end - begin) * sizeof(float));
    }
  });
}

}  // namespace attend::kernels::ATTEND_LEVEL
