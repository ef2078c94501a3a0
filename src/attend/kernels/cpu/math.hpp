// exp, log, tanh, erf and the activations on vectors. Polynomials are minimax fits made for this file; measured against
// double precision: exp within 2e-7 relative, the others within 3e-7 absolute.
#pragma once

#include "attend/kernels/cpu/simd.hpp"
#include "attend/kernels/kernels.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

/// e^x = 2^n·e^r with n = round(x/ln 2), |r| ≤ ln 2/2. Infinite above 88.7, 0 below -104, exactly 0 at -inf.
ATTEND_INLINE Vec exp(Vec x) {
  x = min(splat(89.0f), max(splat(-105.0f), x));
  const Vec n = round(x * 1.44269504088896f);
  Vec r = fma(n, splat(-0.693145751953125f), x);  // ln 2 in two parts, the first with room for n
  r = fma(n, splat(-1.42860682030941723e-6f), r);
  Vec p = fma(splat(1.39262680526e-3f), r, splat(8.36324670975e-3f));
  p = fma(p, r, splat(4.16665541093e-2f));
  p = fma(p, r, splat(0.166665765832f));
  p = fma(p, r, splat(0.5f));
  p = fma(p, r * r, r) + 1.0f;
  return scale_by_power(p, n);
}

constexpr float kLog2E = 1.44269504088896f;

/// 2^x for x ≤ 128, as cheap as can be: attention's weights. 0 below -150, exactly 1 at 0, exactly 0 at -inf.
ATTEND_INLINE Vec exp2(Vec x) {
  x = max(splat(-151.0f), x);
  const Vec n = round(x), f = x - n;
  Vec p = fma(splat(1.32647272471e-3f), f, splat(9.67151268815e-3f));
  p = fma(p, f, splat(5.55073374357e-2f));
  p = fma(p, f, splat(0.240222420846f));
  p = fma(p, f, splat(0.693146977599f));
  return scale_by_power(fma(p, f, splat(1.0f)), n);
}

/// ln x of normal numbers x > 0 (NaN stays NaN): x = 2^n·m with √½ ≤ m < √2 and ln m = f - f²/2 + f³·P(f), f = m - 1.
ATTEND_INLINE Vec log(Vec x) {
  constexpr int32_t kSqrtHalfBits = 0x3f3504f3;
  const Int n = (bits(x) - kSqrtHalfBits) >> 23;
  const Vec f = from_bits(bits(x) - (n << 23)) - 1.0f;
  Vec p = fma(splat(-7.90419509691e-2f), f, splat(0.126239698705f));
  p = fma(p, f, splat(-0.129984287005f));
  p = fma(p, f, splat(0.142143297145f));
  p = fma(p, f, splat(-0.166412494088f));
  p = fma(p, f, splat(0.200010491528f));
  p = fma(p, f, splat(-0.25000307017f));
  p = fma(p, f, splat(0.333333307137f));
  const Vec s = f * f;
  const Vec small = fma(p * f, s, fma(s, splat(-0.5f), f));
  return fma(to_float(n), splat(0.693147180559945f), small) + (x - x);
}

ATTEND_INLINE Vec with_sign_of(Vec magnitude, Vec sign) {
  return from_bits((bits(magnitude) & 0x7fffffff) | (bits(sign) & splat_int(INT32_MIN)));
}

ATTEND_INLINE Vec tanh(Vec x) {
  const Vec s = x * x;
  Vec p = fma(splat(-5.78590001628e-3f), s, splat(2.06988005291e-2f));
  p = fma(p, s, splat(-5.375299328e-2f));
  p = fma(p, s, splat(0.133315075705f));
  p = fma(p, s, splat(-0.333332760478f));
  const Vec small = fma(p * s, x, x);
  const Vec e = exp(abs(x) * -2.0f);
  return select(abs(x) < 0.6f, small, with_sign_of((1.0f - e) / (1.0f + e), x));
}

/// erf(x) = x·P(x²) below 1, 1 - e^-Q(|x|) above.
ATTEND_INLINE Vec erf(Vec x) {
  const Vec s = x * x;
  Vec p = fma(splat(7.87587506269e-5f), s, splat(-8.01686428717e-4f));
  p = fma(p, s, splat(5.18908742343e-3f));
  p = fma(p, s, splat(-2.68542120106e-2f));
  p = fma(p, s, splat(0.112835947152f));
  p = fma(p, s, splat(-0.376126266667f));
  p = fma(p, s, splat(1.12837916585f));
  const Vec t = min(splat(4.0f), abs(x));
  Vec q = fma(splat(-1.63993801648e-6f), t, splat(4.61129139062e-5f));
  q = fma(q, t, splat(-5.97264433142e-4f));
  q = fma(q, t, splat(4.76171723581e-3f));
  q = fma(q, t, splat(-2.64270437721e-2f));
  q = fma(q, t, splat(0.110090197464f));
  q = fma(q, t, splat(0.631815699582f));
  q = fma(q, t, splat(1.13023920142f));
  q = fma(q, t, splat(-3.2147102638e-4f));
  return select(abs(x) < 1.0f, p * x, with_sign_of(1.0f - exp(-q), x));
}

ATTEND_INLINE Vec sigmoid(Vec x) { return 1.0f / (1.0f + exp(-x)); }

constexpr float kSqrtHalf = 0.70710678118654752f;          // √½
constexpr float kInverseSqrtTwoPi = 0.39894228040143268f;  // 1/√(2π)
constexpr float kSqrtTwoOverPi = 0.79788456080286536f;     // √(2/π)

template <Activation A>
ATTEND_INLINE Vec activate(Vec x) {
  if constexpr (A == Activation::relu) return max(Vec{}, x);
  if constexpr (A == Activation::gelu) return x * fma(splat(0.5f), erf(x * kSqrtHalf), splat(0.5f));
  if constexpr (A == Activation::gelu_tanh) {
    const Vec u = kSqrtTwoOverPi * fma(x * x * 0.044715f, x, x);
    return x * fma(splat(0.5f), tanh(u), splat(0.5f));
  }
  if constexpr (A == Activation::silu) return x * sigmoid(x);
  if constexpr (A == Activation::quick_gelu) return x * sigmoid(x * 1.702f);
  if constexpr (A == Activation::tanh) return tanh(x);
  if constexpr (A == Activation::sigmoid) return sigmoid(x);
  if constexpr (A == Activation::relu2) return max(Vec{}, x) * max(Vec{}, x);
  return x;
}

/// act'(x): from the output y for relu, tanh and sigmoid, from the input x for the others.
template <Activation A>
ATTEND_INLINE Vec derivative(Vec x, Vec y) {
  const Vec one = splat(1.0f);
  if constexpr (A == Activation::relu) return select(y > 0.0f, one, Vec{});
  if constexpr (A == Activation::gelu) {
    const Vec cdf = fma(splat(0.5f), erf(x * kSqrtHalf), splat(0.5f));
    return fma(x * kInverseSqrtTwoPi, exp(x * x * -0.5f), cdf);
  }
  if constexpr (A == Activation::gelu_tanh) {
    const Vec t = tanh(kSqrtTwoOverPi * fma(x * x * 0.044715f, x, x));
    const Vec slope = kSqrtTwoOverPi * fma(x * x, splat(3 * 0.044715f), one);
    return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * slope;
  }
  if constexpr (A == Activation::silu) {
    const Vec s = sigmoid(x);
    return s * fma(x, 1.0f - s, one);
  }
  if constexpr (A == Activation::quick_gelu) {
    const Vec s = sigmoid(x * 1.702f);
    return s * fma(x * 1.702f, 1.0f - s, one);
  }
  if constexpr (A == Activation::tanh) return 1.0f - y * y;
  if constexpr (A == Activation::sigmoid) return y * (1.0f - y);
  if constexpr (A == Activation::relu2) return 2.0f * max(Vec{}, x);
  return one;
}

template <Activation A>
struct ActivationTag {
  static constexpr Activation value = A;
};

/// Calls body with the tag of `activation`, so that the choice stands outside the loops.
template <class Body>
void with_activation(Activation activation, Body&& body) {
  switch (activation) {
    case Activation::none:
      return body(ActivationTag<Activation::none>{});
    case Activation::relu:
      return body(ActivationTag<Activation::relu>{});
    case Activation::gelu:
      return body(ActivationTag<Activation::gelu>{});
    case Activation::gelu_tanh:
      return body(ActivationTag<Activation::gelu_tanh>{});
    case Activation::silu:
      return body(ActivationTag<Activation::silu>{});
    case Activation::quick_gelu:
      return body(ActivationTag<Activation::quick_gelu>{});
    case Activation::tanh:
      return body(ActivationTag<Activation::tanh>{});
    case Activation::sigmoid:
      return body(ActivationTag<Activation::sigmoid>{});
    case Activation::relu2:
      return body(ActivationTag<Activation::relu2>{});
  }
}

}  // namespace
}  // namespace attend::kernels::ATTEND_LEVEL
