// y = act(x·Wᵀ + b)
#pragma once

#include <attend/kernels/kernels.hpp>
#include <attend/tensor/weight.hpp>

namespace attend {

using kernels::Activation;

/// The affine map of every projection and feed-forward layer, with its activation fused.
///   x [..., in], W [out, in], b [out] or undefined → y [..., out], f32.
/// Backward: with z = x·Wᵀ + b and dz = dy·act'(z):  dx = dz·W,  dW = dzᵀ·x,  db = Σ dz.
/// Throws ShapeError if the shapes do not fit.
Tensor linear(const Tensor& x, const Weight& weight, const Tensor& bias = {}, Activation activation = Activation::none);

}  // namespace attend
