// Checks that every operation makes before it calls a kernel.
#pragma once

#include <attend/base/error.hpp>
#include <attend/tensor/context.hpp>
#include <attend/tensor/format.hpp>
#include <attend/tensor/tape.hpp>
#include <attend/tensor/tensor.hpp>
#include <attend/tensor/weight.hpp>

namespace attend::ops {

inline void required(const Tensor& tensor, const char* what) {
  if (!tensor.defined()) fail<ShapeError>("{} is undefined", what);
}

inline void check(kernels::Dropout dropout, const char* operation) {
  if (!(dropout.probability >= 0 && dropout.probability < 1))
    fail<ConfigError>("{}: dropout probability {} is not in [0, 1)", operation, dropout.probability);
}

/// The f32 memory of `tensor` for a kernel; null if undefined. `what` names operation and argument: "linear: x".
inline float* f32(const Tensor& tensor, const char* what) {
  if (!tensor.defined()) return nullptr;
  if (tensor.dtype() != DType::f32) fail<ShapeError>("{} must be f32, not {}", what, name_of(tensor.dtype()));
  return static_cast<float*>(tensor.memory());
}

/// The matrix [out, in] of `weight` as the right side of a product: x·Wᵀ, or with `transposed` false dy·W.
inline void set_weight(kernels::Matmul& product, const Weight& weight, bool transposed, const char* what) {
  const Tensor& w = weight.tensor;
  if (!is_kernel_format(w.dtype())) fail<ShapeError>("{} must be f32, f16 or bf16, not {}", what, name_of(w.dtype()));
  product.b = w.memory();
  product.b_format = format_of(w.dtype());
  product.ldb = w.size(1);
  product.b_transposed = transposed;
  if (transposed && weight.packed.defined() && weight.packed_for == product.product)
    product.packed_b = f32(weight.packed, what);
}

inline int32_t* i32(const Tensor& tensor, const char* what) {
  if (!tensor.defined()) return nullptr;
  if (tensor.dtype() != DType::i32) fail<ShapeError>("{} must be i32, not {}", what, name_of(tensor.dtype()));
  return static_cast<int32_t*>(tensor.memory());
}

/// Runs one kernel of the current context: run(&kernels::KernelTable::norm, kernels::Norm{…})
template <class Args>
void run(void (*kernels::KernelTable::*kernel)(kernels::KernelContext&, const Args&) noexcept, const Args& args) {
  Context::current().run(kernel, args);
}

}  // namespace attend::ops
