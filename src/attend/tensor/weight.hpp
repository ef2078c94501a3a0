// A matrix that is used many times: the tensor as it lies, and optionally the form the matrix product likes best.
#pragma once

#include <attend/kernels/kernels.hpp>
#include <attend/tensor/tensor.hpp>

namespace attend {

/// Of a packed weight: in which numbers it lies, and so which products can use it. f16: those in f32, where f16 holds
/// every number exactly.
enum class Panels : uint8_t { none, f32, bf16, f16, int8 };

/// A Linear's weight [out, in], f32, bf16 or f16. Training uses `tensor` alone; inference packs once and keeps both.
struct Weight {
  Tensor tensor;
  Tensor packed;  ///< panels of this machine's matrix product; stale once `tensor` changes
  Panels panels = Panels::none;

  Weight() = default;
  Weight(Tensor values) : tensor(std::move(values)) {}  // NOLINT: a tensor is a weight

  bool defined() const noexcept { return tensor.defined(); }
  const Shape& shape() const noexcept { return tensor.shape(); }
  /// Packs for the current context's kernels and precision of products.
  void pack();
  void unpack() {
    packed = {};
    panels = Panels::none;
  }

 private:
  bool pack_int8();
  bool pack_half();
  void pack_floats();
};

}  // namespace attend
