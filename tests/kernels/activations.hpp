// The activations and their derivatives in double precision.
#pragma once

#include <cmath>

#include "attend/kernels/kernels.hpp"

namespace attend::kernels::test {

inline constexpr Activation kActivations[] = {Activation::none,      Activation::relu,    Activation::gelu,
                                              Activation::gelu_tanh, Activation::silu,    Activation::quick_gelu,
                                              Activation::tanh,      Activation::sigmoid, Activation::relu2};

inline double activated(Activation kind, double x) {
  const double sigmoid = 1 / (1 + std::exp(-x));
  switch (kind) {
    case Activation::none:
      return x;
    case Activation::relu:
      return x > 0 ? x : 0;
    case Activation::gelu:
      return x / 2 * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::gelu_tanh:
      return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::silu:
      return x * sigmoid;
    case Activation::quick_gelu:
      return x / (1 + std::exp(-1.702 * x));
    case Activation::tanh:
      return std::tanh(x);
    case Activation::sigmoid:
      return sigmoid;
    case Activation::relu2:
      return x > 0 ? x * x : 0;
  }
  return NAN;
}

/// By central differences; the step keeps the error below 1e-9.
inline double activation_slope(Activation kind, double x) {
  const double h = 1e-5;
  return (activated(kind, x + h) - activated(kind, x - h)) / (2 * h);
}

}  // namespace attend::kernels::test
