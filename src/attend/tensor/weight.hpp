// A matrix that is used many times: the tensor as it lies, and optionally the form the matrix product likes best.
#pragma once

#include <attend/kernels/kernels.hpp>
#include <attend/tensor/tensor.hpp>

namespace attend {

/// A Linear's weight [out, in], f32, bf16 or f16. Training uses `tensor` alone; inference packs once and keeps both.
struct Weight {
  Tensor tensor;
  // Panels of this machine's matrix product, at most one of the two; stale once `tensor` changes.
  Tensor packed;
  Tensor packed_half;  ///< f16 for products in f32, where that holds every number exactly
  kernels::Format packed_for = kernels::Format::f32;  ///< the precision of the products that can use `packed`

  Weight() = default;
  Weight(Tensor values) : tensor(std::move(values)) {}  // NOLINT: a tensor is a weight

  bool defined() const noexcept { return tensor.defined(); }
  const Shape& shape() const noexcept { return tensor.shape(); }
  /// Packs for the current context's kernels and precision of products.
  void pack();
  void unpack() { packed = packed_half = {}; }
};

}  // namespace attend
