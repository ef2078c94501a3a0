// Numbers in memory: f32, bf16 and f16 read as vectors of f32, and f32 rounded to what the 16-bit formats hold.
// Rounding is to nearest, ties to even; NaN stays NaN.
#pragma once

#include "attend/kernels/cpu/simd.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

struct Bf16 {
  uint16_t bits;
};
struct F16 {
  uint16_t bits;
};

ATTEND_INLINE uint32_t bits_of(float x) { return __builtin_bit_cast(uint32_t, x); }
ATTEND_INLINE float float_of(uint32_t x) { return __builtin_bit_cast(float, x); }

ATTEND_INLINE float widened(Bf16 x) { return float_of(static_cast<uint32_t>(x.bits) << 16); }

ATTEND_INLINE float widened(F16 x) {
  const uint32_t sign = static_cast<uint32_t>(x.bits & 0x8000) << 16;
  const uint32_t exponent = (x.bits >> 10) & 31, fraction = x.bits & 1023;
  if (exponent == 31) return float_of(sign | 0x7f800000 | (fraction << 13) | (fraction != 0 ? 0x400000 : 0));
  if (exponent != 0) return float_of(sign | ((exponent + 112) << 23) | (fraction << 13));
  const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
  return float_of(sign | bits_of(magnitude));
}

/// The nearest numbers that bf16 holds, as f32.
ATTEND_INLINE Vec rounded_to_bf16(Vec x) {
  const Uint raw = reinterpret_cast<Uint>(x);
  const Uint nearest = (raw + 0x7fff + ((raw >> 16) & 1)) & 0xffff0000;
  const Uint quiet = (raw & 0xffff0000) | 0x400000;
  return from_bits((raw & 0x7fffffff) > 0x7f800000 ? reinterpret_cast<Int>(quiet) : reinterpret_cast<Int>(nearest));
}

// kLanes numbers, or the first `count` of them with 0 behind; nothing beyond them is read.
#if ATTEND_LEVEL_avx512
ATTEND_INLINE __m256i load_words(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
ATTEND_INLINE __m256i load_words(const void* p, int64_t count) {
  return _mm256_maskz_loadu_epi16(static_cast<__mmask16>((1u << count) - 1), p);
}
ATTEND_INLINE Vec widened(__m256i x, Bf16) {
  return reinterpret_cast<Vec>(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}
ATTEND_INLINE Vec widened(__m256i x, F16) { return _mm512_cvtph_ps(x); }
#elif ATTEND_LEVEL_avx2
ATTEND_INLINE __m128i load_words(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
ATTEND_INLINE __m128i load_words(const void* p, int64_t count) {
  uint16_t words[8] = {};
  __builtin_memcpy(words, p, static_cast<size_t>(count) * sizeof(uint16_t));
  return load_words(words);
}
ATTEND_INLINE Vec widened(__m128i x, Bf16) {
  return reinterpret_cast<Vec>(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
}
ATTEND_INLINE Vec widened(__m128i x, F16) { return _mm256_cvtph_ps(x); }
#endif
#if ATTEND_LEVEL_avx512 || ATTEND_LEVEL_avx2
ATTEND_INLINE Vec load(const Bf16* p) { return widened(load_words(p), Bf16{}); }
ATTEND_INLINE Vec load(const F16* p) { return widened(load_words(p), F16{}); }
ATTEND_INLINE Vec load(const Bf16* p, int64_t count) { return widened(load_words(p, count), Bf16{}); }
ATTEND_INLINE Vec load(const F16* p, int64_t count) { return widened(load_words(p, count), F16{}); }
#else
template <class Word>
ATTEND_INLINE Vec load_widened(const Word* p, int64_t count) {
  Vec x{};
  for (int64_t i = 0; i < count; ++i) x[i] = widened(p[i]);
  return x;
}
ATTEND_INLINE Vec load(const Bf16* p) { return load_widened(p, kLanes); }
ATTEND_INLINE Vec load(const F16* p) { return load_widened(p, kLanes); }
ATTEND_INLINE Vec load(const Bf16* p, int64_t count) { return load_widened(p, count); }
ATTEND_INLINE Vec load(const F16* p, int64_t count) { return load_widened(p, count); }
#endif
ATTEND_INLINE Vec load(const Bf16* p, AllLanes) { return load(p); }
ATTEND_INLINE Vec load(const F16* p, AllLanes) { return load(p); }

}  // namespace
}  // namespace attend::kernels::ATTEND_LEVEL
