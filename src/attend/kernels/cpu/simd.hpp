// The vectors of one instruction-set level: GCC vector types, so that arithmetic reads as arithmetic, and intrinsics
// where the type has no operator. `Vec` holds kLanes floats. Everything is internal to the including source.
#pragma once

#include <cstddef>
#include <cstdint>

#if ATTEND_LEVEL_avx512 || ATTEND_LEVEL_avx2
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"  // the next one is GCC alone
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"     // GCC 12 trips over its own _mm512_undefined_ps
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

namespace attend::kernels::ATTEND_LEVEL {
namespace {

#if ATTEND_LEVEL_avx512
constexpr int kLanes = 16;
#elif ATTEND_LEVEL_avx2
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Vec __attribute__((vector_size(4 * kLanes), may_alias));
typedef int32_t Int __attribute__((vector_size(4 * kLanes), may_alias));
typedef uint32_t Uint __attribute__((vector_size(4 * kLanes), may_alias));
typedef Vec VecUnaligned __attribute__((aligned(4)));
typedef Int IntUnaligned __attribute__((aligned(4)));

#define ATTEND_INLINE [[maybe_unused]] static inline __attribute__((always_inline))

constexpr float kInfinity = __builtin_inff();

constexpr int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
constexpr int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
constexpr int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t round_up(int64_t a, int64_t b) { return divide_up(a, b) * b; }

#if ATTEND_LEVEL_avx512
ATTEND_INLINE Vec splat(float x) { return _mm512_set1_ps(x); }
ATTEND_INLINE Int splat_int(int32_t x) { return reinterpret_cast<Int>(_mm512_set1_epi32(x)); }
#elif ATTEND_LEVEL_avx2
ATTEND_INLINE Vec splat(float x) { return _mm256_set1_ps(x); }
ATTEND_INLINE Int splat_int(int32_t x) { return reinterpret_cast<Int>(_mm256_set1_epi32(x)); }
#else
ATTEND_INLINE Vec splat(float x) { return Vec{x, x, x, x}; }
ATTEND_INLINE Int splat_int(int32_t x) { return Int{x, x, x, x}; }
#endif
ATTEND_INLINE Int bits(Vec x) { return reinterpret_cast<Int>(x); }
ATTEND_INLINE Vec from_bits(Int x) { return reinterpret_cast<Vec>(x); }
ATTEND_INLINE Vec select(Int mask, Vec yes, Vec no) { return mask ? yes : no; }
ATTEND_INLINE Vec to_float(Int x) { return __builtin_convertvector(x, Vec); }

ATTEND_INLINE Int lane_numbers() {
#if ATTEND_LEVEL_avx512
  return Int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#elif ATTEND_LEVEL_avx2
  return Int{0, 1, 2, 3, 4, 5, 6, 7};
#else
  return Int{0, 1, 2, 3};
#endif
}

ATTEND_INLINE Vec load(const float* p) { return *reinterpret_cast<const VecUnaligned*>(p); }
ATTEND_INLINE void store(float* p, Vec x) { *reinterpret_cast<VecUnaligned*>(p) = x; }
ATTEND_INLINE Int load_int(const int32_t* p) { return *reinterpret_cast<const IntUnaligned*>(p); }

#if ATTEND_LEVEL_avx512

/// The first `count` lanes (1 … kLanes), the others 0; nothing beyond them is read.
ATTEND_INLINE Vec load(const float* p, int64_t count) {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), p);
}
ATTEND_INLINE void store(float* p, Vec x, int64_t count) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1), x);
}
ATTEND_INLINE Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
ATTEND_INLINE Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }  // a NaN in b comes through
ATTEND_INLINE Vec min(Vec a, Vec b) { return _mm512_min_ps(a, b); }
ATTEND_INLINE Vec sqrt(Vec x) { return _mm512_sqrt_ps(x); }
ATTEND_INLINE Vec round(Vec x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
ATTEND_INLINE Vec abs(Vec x) { return from_bits(bits(x) & 0x7fffffff); }
ATTEND_INLINE Int to_int(Vec x) { return reinterpret_cast<Int>(_mm512_cvttps_epi32(x)); }
ATTEND_INLINE Vec scale_by_power(Vec x, Vec n) { return _mm512_scalef_ps(x, n); }

#elif ATTEND_LEVEL_avx2

ATTEND_INLINE __m256i first_lanes(int64_t count) {
  return reinterpret_cast<__m256i>(splat_int(static_cast<int32_t>(count)) > lane_numbers());
}
/// The first `count` lanes (1 … kLanes), the others 0; nothing beyond them is read.
ATTEND_INLINE Vec load(const float* p, int64_t count) { return _mm256_maskload_ps(p, first_lanes(count)); }
ATTEND_INLINE void store(float* p, Vec x, int64_t count) { _mm256_maskstore_ps(p, first_lanes(count), x); }
ATTEND_INLINE Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
ATTEND_INLINE Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }  // a NaN in b comes through
ATTEND_INLINE Vec min(Vec a, Vec b) { return _mm256_min_ps(a, b); }
ATTEND_INLINE Vec sqrt(Vec x) { return _mm256_sqrt_ps(x); }
ATTEND_INLINE Vec round(Vec x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
ATTEND_INLINE Vec abs(Vec x) { return from_bits(bits(x) & 0x7fffffff); }
ATTEND_INLINE Int to_int(Vec x) { return reinterpret_cast<Int>(_mm256_cvttps_epi32(x)); }

#else

/// The first `count` lanes (1 … kLanes), the others 0; nothing beyond them is read.
ATTEND_INLINE Vec load(const float* p, int64_t count) {
  Vec x{};
  for (int64_t i = 0; i < count; ++i) x[i] = p[i];
  return x;
}
ATTEND_INLINE void store(float* p, Vec x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) p[i] = x[i];
}
ATTEND_INLINE Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
ATTEND_INLINE Vec max(Vec a, Vec b) { return a > b ? a : b; }  // a NaN in b comes through
ATTEND_INLINE Vec min(Vec a, Vec b) { return a < b ? a : b; }
ATTEND_INLINE Vec sqrt(Vec x) {
  for (int i = 0; i < kLanes; ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
}
ATTEND_INLINE Vec abs(Vec x) { return from_bits(bits(x) & 0x7fffffff); }
ATTEND_INLINE Int to_int(Vec x) { return __builtin_convertvector(x, Int); }
// For |x| < 2^22: the sum has no room for a fraction.
ATTEND_INLINE Vec round(Vec x) { return (x + 12582912.0f) - 12582912.0f; }

#endif

#if !ATTEND_LEVEL_avx512
// x·2^n for whole n in [-252, 254], in two steps so that results may be subnormal or infinite.
ATTEND_INLINE Vec scale_by_power(Vec x, Vec n) {
  const Int whole = to_int(n);
  const Int half = whole >> 1;
  return x * from_bits((half + 127) << 23) * from_bits((whole - half + 127) << 23);
}
#endif

/// Sum and maximum of the lanes, by halves.
#if ATTEND_LEVEL_avx512 || ATTEND_LEVEL_avx2
ATTEND_INLINE __m128 halves_added(__m128 x) {
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_add_ss(x, _mm_movehdup_ps(x));
}
ATTEND_INLINE __m128 halves_max(__m128 x) {
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return _mm_max_ss(x, _mm_movehdup_ps(x));
}
#endif
#if ATTEND_LEVEL_avx512
ATTEND_INLINE float sum(Vec x) {
  const __m256 y = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  return _mm_cvtss_f32(halves_added(_mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1))));
}
ATTEND_INLINE float max_of(Vec x) {
  const __m256 y = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  return _mm_cvtss_f32(halves_max(_mm_max_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1))));
}
#elif ATTEND_LEVEL_avx2
ATTEND_INLINE float sum(Vec x) {
  return _mm_cvtss_f32(halves_added(_mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1))));
}
ATTEND_INLINE float max_of(Vec x) {
  return _mm_cvtss_f32(halves_max(_mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1))));
}
#else
ATTEND_INLINE float sum(Vec x) { return (x[0] + x[2]) + (x[1] + x[3]); }
ATTEND_INLINE float max_of(Vec x) {
  const float a = x[0] > x[2] ? x[0] : x[2];
  const float b = x[1] > x[3] ? x[1] : x[3];
  return a > b ? a : b;
}
#endif

/// A count of lanes that is known to be all of them.
struct AllLanes {
  constexpr operator int64_t() const { return kLanes; }
};
ATTEND_INLINE Vec load(const float* p, AllLanes) { return load(p); }
ATTEND_INLINE void store(float* p, Vec x, AllLanes) { store(p, x); }

/// Calls body(i, count) for the vectors of [begin, end): count is AllLanes, but for a rest at the end.
template <class Body>
ATTEND_INLINE void for_vectors(int64_t begin, int64_t end, Body&& body) {
  int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) body(i, AllLanes{});
  if (i < end) body(i, end - i);
}

}  // namespace
}  // namespace attend::kernels::ATTEND_LEVEL
