#include <attend/tensor/context.hpp>
#include <attend/tensor/weight.hpp>

namespace attend {

void Weight::pack() {
  Context& context = Context::current();
  const int64_t out = tensor.size(0), in = tensor.size(1);
  packed = Tensor({context.kernels().packed_size(out, in)});
  context.kernels().pack_matmul(context.kernel_context(), {out, in, static_cast<const float*>(tensor.memory()), in,
                                                           true, static_cast<float*>(packed.memory())});
}

}  // namespace attend
