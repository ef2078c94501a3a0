#include <attend/ops/arguments.hpp>
#include <attend/ops/dropout.hpp>

namespace attend {

Tensor dropout(const Tensor& x, Dropout dropout) {
  ops::required(x, "dropout: x");
  ops::check(dropout, "dropout");
  if (dropout.probability == 0) return x;
  auto apply = [dropout](const Tensor& from) {
    Tensor to = ops::result(from.shape(), from.device());
    ops::run(from.device(), &kernels::KernelTable::dropout,
             kernels::DropoutApply{from.elements(), ops::f32(from, "dropout: x"), ops::f32(to, "dropout: y"), dropout});
    return to;
  };
  Tensor y = apply(x);
  if (Tape::recording({&x}))
    Tape::record({&y}, [apply, to_x = Backward::Input(x), id = y.id()](Backward& backward) {
      backward.add(to_x, apply(backward.gradient(id)));
    });
  return y;
}

}  // namespace attend
