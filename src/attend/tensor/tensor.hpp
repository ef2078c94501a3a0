// Tensor: a value handle to a row-major array. Copies share the memory; operations return new tensors.
#pragma once

#include <attend/base/dtype.hpp>
#include <attend/tensor/shape.hpp>
#include <attend/tensor/storage.hpp>

#include <cstdint>
#include <span>
#include <vector>

namespace attend {

class Tensor {
 public:
  /// No tensor at all: defined() is false. (An absent bias, for example.)
  Tensor() = default;
  /// Memory of the current context's allocator, contents undefined.
  explicit Tensor(Shape shape, DType dtype = DType::f32, Device device = Device::cpu);
  /// A window on existing memory: `offset` in bytes from the storage's start.
  Tensor(Storage storage, Shape shape, DType dtype, size_t offset = 0);

  static Tensor zeros(Shape shape, DType dtype = DType::f32, Device device = Device::cpu);
  static Tensor full(Shape shape, float value);
  template <class T>
  static Tensor from(Shape shape, std::span<const T> values) {
    Tensor tensor(shape, DTypeOf<T>::value);
    tensor.copy_from(values.data(), values.size_bytes());
    return tensor;
  }
  template <class T>
  static Tensor from(Shape shape, const std::vector<T>& values) {
    return from(shape, std::span<const T>(values));
  }

  bool defined() const noexcept { return id_ != 0; }
  explicit operator bool() const noexcept { return defined(); }
  const Shape& shape() const noexcept { return shape_; }
  int64_t size(int dimension) const noexcept { return shape_[dimension]; }
  int64_t elements() const noexcept { return shape_.elements(); }
  DType dtype() const noexcept { return dtype_; }
  Device device() const noexcept { return storage_.device(); }
  size_t bytes() const noexcept { return static_cast<size_t>(elements()) * size_of(dtype_); }
  const Storage& storage() const noexcept { return storage_; }

  /// The elements on the host. Throws ShapeError if T is not the dtype, Unsupported if the tensor lies on a device.
  template <class T>
  T* data() const {
    return static_cast<T*>(host(DTypeOf<T>::value));
  }
  /// The elements as values: for (float x : t.values<float>())
  template <class T>
  std::span<T> values() const {
    return {data<T>(), static_cast<size_t>(elements())};
  }
  /// The one element of a scalar (or one-element) tensor, as double whatever the dtype.
  double item() const;
  /// Writes the elements of `values` (same type and number, on any device) into this memory; no tape records it.
  void assign(const Tensor& values);
  /// For kernels: the memory wherever it lies, unchecked.
  void* memory() const noexcept { return storage_.data() + offset_; }

  /// Views and copies between floating-point types hand gradients on, as operations do.
  /// The same memory under another shape with as many elements.
  Tensor view(Shape shape) const;
  /// Rows [begin, end) of the first dimension, sharing the memory.
  Tensor rows(int64_t begin, int64_t end) const;
  /// A copy with memory of its own, of another type or on another device if asked.
  Tensor clone() const;
  Tensor to(DType dtype) const;
  Tensor to(Device device) const;

  /// Trainable tensors (parameters) and what operations compute from them under a tape are tracked.
  bool tracked() const noexcept { return tracked_; }
  Tensor& set_tracked(bool tracked = true) noexcept {
    tracked_ = tracked;
    return *this;
  }
  /// Identity for gradients: copies of a handle share it, views and results have their own.
  uint64_t id() const noexcept { return id_; }

 private:
  void* host(DType wanted) const;
  void copy_from(const void* values, size_t bytes);

  Storage storage_;
  Shape shape_;
  size_t offset_ = 0;
  uint64_t id_ = 0;
  DType dtype_ = DType::f32;
  bool tracked_ = false;
};

}  // namespace attend
