#include <attend/base/error.hpp>
#include <attend/tensor/context.hpp>
#include <attend/tensor/format.hpp>
#include <attend/tensor/weight.hpp>

namespace attend {

void Weight::pack() {
  if (!is_kernel_format(tensor.dtype())) fail<Unsupported>("pack: a weight of {}", name_of(tensor.dtype()));
  Context& context = Context::current();
  const int64_t out = tensor.size(0), in = tensor.size(1);
  packed_for = context.product();
  packed = Tensor({context.kernels(tensor.device()).packed_size(out, in, packed_for)}, DType::f32, tensor.device());
  context.run(tensor.device(), &kernels::KernelTable::pack_matmul,
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
