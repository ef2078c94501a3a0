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
  if (transposed && weight.panels == (product.product == kernels::Format::bf16 ? Panels::bf16 : Panels::f32))
    product.packed_b = f32(weight.packed, what);
}

inline int32_t* i32(const Tensor& tensor, const char* what) {
  if (!tensor.defined()) return nullptr;
  if (tensor.dtype() != DType::i32) fail<ShapeError>("{} must be i32, not {}", what, name_of(tensor.dtype()));
  return static_cast<int32_t*>(tensor.memory());
}

/// The device where all inputs lie (undefined ones lie nowhere), and where the results go.
inline Device device_of(const char* operation, std::initializer_list<const Tensor*> inputs) {
  const Tensor* first = nullptr;
  for (const Tensor* input : inputs) {
    if (!input->defined()) continue;
    if (!first) first = input;
    if (input->device() != first->device())
      fail<Unsupported>("{}: one input lies on {}, another on {}; bring them together with to()", operation,
                        name_of(first->device()), name_of(input->device()));
  }
  return first ? first->device() : Device::cpu;
}

/// i32 indices where the kernel reads them. They are made on the host and may still lie there: only there are their
/// values checked.
inline Tensor indices(const Tensor& tensor, Device device, const char* what) {
  i32(tensor, what);
  if (!tensor.defined() || tensor.device() == Device::cpu) return tensor.defined() ? tensor.to(device) : tensor;
  if (tensor.device() != device)
    fail<Unsupported>("{} lie on {}, the rest on {}", what, name_of(tensor.device()), name_of(device));
  return tensor;
}

/// Memory for a result.
inline Tensor result(Shape shape, Device device) { return Tensor(shape, DType::f32, device); }

/// Runs a device's kernel in the current context: run(device, &kernels::KernelTable::norm, kernels::Norm{…})
template <class Args>
void run(Device device, void (*kernels::KernelTable::*kernel)(kernels::KernelContext&, const Args&) noexcept,
         const Args& args) {
  Context::current().run(device, kernel, args);
}

}  // namespace attend::ops
