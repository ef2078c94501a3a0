#include <attend/base/error.hpp>
#include <attend/tensor/context.hpp>
#include <attend/tensor/format.hpp>
#include <attend/tensor/weight.hpp>

namespace attend {

void Weight::pack() {
  if (!is_kernel_format(tensor.dtype())) fail<Unsupported>("pack: a weight of {}", name_of(tensor.dtype()));
  unpack();
  const Precision precision = Context::current().precision();
  if (precision == Precision::int8 && pack_int8()) return;
  if (precision != Precision::bf16 && pack_half()) return;
  pack_floats();
}

bool Weight::pack_int8() {
  const int64_t out = tensor.size(0), in = tensor.size(1);
  if (in == 0 || in > kernels::kInt8Depth) return false;
  Context& context = Context::current();
  const Device device = tensor.device();
  packed = Tensor({context.kernels(device).int8_size(out, in)}, DType::i32, device);
  panels = Panels::int8;
  context.run(device, &kernels::KernelTable::pack_int8,
              kernels::PackInt8{.n = out,
                                .k = in,
                                .b = tensor.memory(),
                                .b_format = format_of(tensor.dtype()),
                                .ldb = in,
                                .packed = static_cast<int32_t*>(packed.memory())});
  return true;
}

// False, and nothing packed, if f16 would round a number.
bool Weight::pack_half() {
  Context& context = Context::current();
  const int64_t out = tensor.size(0), in = tensor.size(1);
  const Device device = tensor.device();
  bool exact = false;
  packed = Tensor({context.kernels(device).packed_size(out, in, kernels::Format::f32)}, DType::f16, device);
  panels = Panels::f16;
  context.run(device, &kernels::KernelTable::pack_half,
              kernels::PackHalf{.n = out,
                                .k = in,
                                .b = tensor.memory(),
                                .b_format = format_of(tensor.dtype()),
                                .ldb = in,
                                .packed = packed.memory(),
                                .exact = &exact});
  if (!exact) unpack();
  return exact;
}

void Weight::pack_floats() {
  Context& context = Context::current();
  const int64_t out = tensor.size(0), in = tensor.size(1);
  const Device device = tensor.device();
  const kernels::Format product = context.product();
  packed = Tensor({context.kernels(device).packed_size(out, in, product)}, DType::f32, device);
  panels = product == kernels::Format::bf16 ? Panels::bf16 : Panels::f32;
  context.run(device, &kernels::KernelTable::pack_matmul,
              kernels::PackMatmul{.n = out,
                                  .k = in,
                                  .b = tensor.memory(),
                                  .ldb = in,
                                  .b_transposed = true,
                                  .packed = static_cast<float*>(packed.memory()),
                                  .product = product,
                                  .b_format = format_of(tensor.dtype())});
}

}  // namespace attend
