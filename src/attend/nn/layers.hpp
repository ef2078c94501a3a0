// The small layers: parameters and the operation they feed.
#pragma once

#include <attend/nn/pass.hpp>
#include <attend/ops/linear.hpp>
#include <attend/ops/norm.hpp>

namespace attend {

/// y = act(x·Wᵀ + b): weight [out, in], bias [out] or undefined.
struct Linear {
  Weight weight;
  Tensor bias;

  Linear() = default;
  Linear(int64_t in, int64_t out, bool with_bias = true);

  Tensor operator()(const Tensor& x, Activation activation = Activation::none) const {
    return linear(x, weight, bias, activation);
  }
  static void fields(auto& self, auto&& f) {
    f("weight", self.weight);
    f("bias", self.bias);
  }
};

/// LayerNorm or RMSNorm over the last dimension: weight [width], bias [width] (undefined with rms).
struct Norm {
  NormOptions options;
  Tensor weight, bias;

  Norm() = default;
  Norm(int64_t width, NormOptions options);

  Tensor operator()(const Tensor& x) const { return norm(x, weight, bias, options); }
  NormedSum operator()(const Tensor& residual, const Tensor& x, Dropout dropout) const {
    return add_norm(residual, x, weight, bias, options, dropout);
  }
  static void fields(auto& self, auto&& f) {
    f("weight", self.weight);
    f("bias", self.bias);
  }
};

/// FFN(x) = act(x·W₁ + b₁)·W₂ + b₂     (section 3.3 of the paper)
struct FeedForward {
  Linear up, down;
  Activation activation = Activation::relu;
  float dropout = 0;  ///< of the activations

  FeedForward() = default;
  FeedForward(int64_t width, int64_t hidden, Activation activation, float dropout)
      : up(width, hidden), down(hidden, width), activation(activation), dropout(dropout) {}

  Tensor operator()(Pass& pass, const Tensor& x) const;
  static void fields(auto& self, auto&& f) {
    f("up", self.up);
    f("down", self.down);
  }
};

}  // namespace attend
