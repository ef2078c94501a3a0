#include <attend/base/error.hpp>
#include <attend/kernels/kernels.hpp>
#include <attend/tensor/context.hpp>
#include <attend/tensor/format.hpp>
#include <attend/tensor/tape.hpp>
#include <attend/tensor/tensor.hpp>

#include <atomic>
#include <cstring>

namespace attend {
namespace {

// Identity only: a number is used once in the process, so that gradients of different contexts never meet.
uint64_t next_id() {
  static std::atomic<uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

template <class From, class To>
void convert_values(const Tensor& from, const Tensor& to) {
  const From* x = from.data<From>();
  To* y = to.data<To>();
  for (int64_t i = 0; i < from.elements(); ++i) y[i] = static_cast<To>(x[i]);
}

// A view or copy of a tracked tensor hands its gradient on to the elements it shows, from `first`.
Tensor with_gradient(const Tensor& input, Tensor result, int64_t first = 0) {
  if (!Tape::recording({&input})) return result;
  Tape::record({&result}, [to = Backward::Input(input), first, id = result.id()](Backward& backward) {
    Tensor gradient = backward.gradient(id);
    if (gradient.elements() != to.shape.elements()) {
      const int64_t count = gradient.elements();
      const Tensor whole = Tensor::zeros({to.shape.elements()}, DType::f32, gradient.device());
      whole.rows(first, first + count).assign(gradient);
      gradient = whole;
    }
    backward.add(to, gradient.view(to.shape).to(to.device));
  });
  return result;
}

Tensor copied(const Tensor& input, Device device) {
  Tensor copy(input.shape(), input.dtype(), device);
  copy.assign(input);
  return with_gradient(input, copy);
}

}  // namespace

Tensor::Tensor(Shape shape, DType dtype, Device device)
    : storage_(Context::current().allocator(device), static_cast<size_t>(shape.elements()) * size_of(dtype)),
      shape_(shape),
      id_(next_id()),
      dtype_(dtype) {}

Tensor::Tensor(Storage storage, Shape shape, DType dtype, size_t offset)
    : storage_(std::move(storage)), shape_(shape), offset_(offset), id_(next_id()), dtype_(dtype) {
  if (offset > storage_.bytes() || bytes() > storage_.bytes() - offset)
    fail<ShapeError>("tensor: {} of {} at byte {} does not fit {} bytes", shape, name_of(dtype), offset,
                     storage_.bytes());
}

Tensor Tensor::zeros(Shape shape, DType dtype, Device device) {
  Tensor tensor(shape, dtype);
  std::memset(tensor.memory(), 0, tensor.bytes());
  return tensor.to(device);
}

Tensor Tensor::full(Shape shape, float value) {
  Tensor tensor(shape);
  for (float& x : tensor.values<float>()) x = value;
  return tensor;
}

void Tensor::copy_from(const void* values, size_t count) {
  if (count != bytes()) fail<ShapeError>("tensor: {} bytes given for {} of {}", count, shape_, name_of(dtype_));
  if (count) std::memcpy(memory(), values, count);
}

void* Tensor::host(DType wanted) const {
  if (!defined()) fail<ShapeError>("tensor: data of an undefined tensor");
  if (wanted != dtype_) fail<ShapeError>("tensor: read as {}, but it holds {}", name_of(wanted), name_of(dtype_));
  if (device() != Device::cpu)
    fail<Unsupported>("tensor: it lies on {}; copy it with to(Device::cpu) first", name_of(device()));
  return memory();
}

void Tensor::assign(const Tensor& values) {
  if (values.dtype_ != dtype_ || values.elements() != elements())
    fail<ShapeError>("assign: {} of {} does not fit {} of {}", values.shape_, name_of(values.dtype_), shape_,
                     name_of(dtype_));
  const Device from = values.device(), to = device();
  if (from != Device::cpu && to != Device::cpu && from != to)
    fail<Unsupported>("assign: no way from {} to {}; go through the cpu", name_of(from), name_of(to));
  Context::current().run(
      to != Device::cpu ? to : from, &kernels::KernelTable::copy,
      kernels::Copy{static_cast<int64_t>(bytes()), values.memory(), memory(), from == Device::cpu, to == Device::cpu});
}

double Tensor::item() const {
  if (elements() != 1) fail<ShapeError>("item: {} has {} elements, not one", shape_, elements());
  NoTape pause;
  const Tensor here = to(Device::cpu);
  switch (dtype_) {
    case DType::f32:
      return *here.data<float>();
    case DType::f64:
      return *here.data<double>();
    case DType::i64:
      return static_cast<double>(*here.data<int64_t>());
    case DType::i32:
      return *here.data<int32_t>();
    case DType::u8:
      return *here.data<uint8_t>();
    case DType::boolean:
      return *here.data<bool>();
    default:
      return here.to(DType::f32).item();
  }
}

Tensor Tensor::view(Shape shape) const {
  if (shape.elements() != elements()) fail<ShapeError>("view: {} has other elements than {}", shape, shape_);
  return with_gradient(*this, Tensor(storage_, shape, dtype_, offset_));
}

Tensor Tensor::rows(int64_t begin, int64_t end) const {
  if (shape_.rank() == 0 || begin < 0 || end < begin || end > shape_[0])
    fail<ShapeError>("rows: [{}, {}) of {}", begin, end, shape_);
  std::vector<int64_t> sizes(shape_.sizes().begin(), shape_.sizes().end());
  const int64_t first = shape_[0] ? begin * (elements() / shape_[0]) : 0;
  sizes[0] = end - begin;
  return with_gradient(*this,
                       Tensor(storage_, Shape(std::span<const int64_t>(sizes)), dtype_,
                              offset_ + static_cast<size_t>(first) * size_of(dtype_)),
                       first);
}

Tensor Tensor::clone() const { return copied(*this, device()); }

Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_) return *this;
  Tensor result(shape_, dtype, device());
  if (is_kernel_format(dtype_) && is_kernel_format(dtype)) {
    if (dtype != DType::f32 && dtype_ != DType::f32) return to(DType::f32).to(dtype);
    Context::current().run(
        device(), &kernels::KernelTable::convert,
        kernels::Convert{elements(), format_of(dtype_), format_of(dtype), memory(), result.memory()});
    return with_gradient(*this, result);
  }
  if (dtype_ == DType::f16 || dtype_ == DType::bf16) return to(DType::f32).to(dtype);
  if (dtype == DType::f16 || dtype == DType::bf16) return to(DType::f32).to(dtype);
  if (device() != Device::cpu) return to(Device::cpu).to(dtype).to(device());
  auto pair = [&](DType from, DType to) { return dtype_ == from && dtype == to; };
  if (pair(DType::f64, DType::f32))
    convert_values<double, float>(*this, result);
  else if (pair(DType::f32, DType::f64))
    convert_values<float, double>(*this, result);
  else if (pair(DType::i64, DType::i32))
    convert_values<int64_t, int32_t>(*this, result);
  else if (pair(DType::i32, DType::i64))
    convert_values<int32_t, int64_t>(*this, result);
  else if (pair(DType::i64, DType::f32))
    convert_values<int64_t, float>(*this, result);
  else if (pair(DType::i32, DType::f32))
    convert_values<int32_t, float>(*this, result);
  else if (pair(DType::boolean, DType::u8) || pair(DType::u8, DType::boolean))
    std::memcpy(result.memory(), memory(), bytes());
  else
    fail<Unsupported>("to: no conversion from {} to {}", name_of(dtype_), name_of(dtype));
  return result;
}

Tensor Tensor::to(Device device) const { return device == this->device() ? *this : copied(*this, device); }

}  // namespace attend
