#include <attend/base/error.hpp>
#include <attend/tensor/context.hpp>
#include <attend/tensor/format.hpp>
#include <attend/tensor/weight.hpp>

namespace attend {

void Weight::pack() {
  if (!is_kernel_format(tensor.dtype())) fail<Unsupported>("pack: a weight of {}", name_of(tensor.dtype()));
  Context& context = Context::current();
  const int64_t out = tensor.size(0), in = tensor.size(1);
  unpack();
  packed_for = context.product();
  const Device device = tensor.device();
  const int64_t size = context.kernels(device).packed_size(out, in, packed_for);
  if (packed_for == kernels::Format::f32) {
    bool exact = false;
    packed_half = Tensor({size}, DType::f16, device);
    context.run(device, &kernels::KernelTable::pack_half,
                kernels::PackHalf{.n = out,
                                  .k = in,
                                  .b = tensor.memory(),
                                  .b_format = format_of(tensor.dtype()),
                                  .ldb = in,
                                  .packed = static_cast<uint16_t*>(packed_half.memory()),
                                  .exact = &exact});
    if (exact) return;
    packed_half = {};
  }
  packed = Tensor({size}, DType::f32, device);
  context.run(device, &kernels::KernelTable::pack_matmul,
              kernels::PackMatmul{.n = out,
                                  .k = in,
                                  .b = tensor.memory(),
                                  .ldb = in,
                                  .b_transposed = true,
                                  .packed = static_cast<float*>(packed.memory()),
                                  .product = packed_for,
                                  .b_format = format_of(tensor.dtype())});
}

}  // namespace attend
