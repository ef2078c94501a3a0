#include <attend/ops/arguments.hpp>
#include <attend/ops/linear.hpp>

namespace attend {
namespace {

// These derivatives are functions of the output, the others need the value before the activation.
bool derivative_from_output(Activation activation) {
  return activation == Activation::relu || activation == Activation::tanh || activation == Activation::sigmoid;
}

}  // namespace

Tensor linear(const Tensor& x, const Weight& weight, const Tensor& bias, Activation activation) {
  const Tensor& w = weight.tensor;
  ops::required(x, "linear: x");
  ops::required(w, "linear: W");
  if (w.shape().rank() != 2 || x.shape().rank() == 0 || x.shape().last() != w.size(1))
    fail<ShapeError>("linear: x {} does not fit W {}", x.shape(), w.shape());
  const int64_t rows = x.shape().rows(), in = w.size(1), out = w.size(0);
  if (bias.defined() && bias.elements() != out)
    fail<ShapeError>("linear: bias {} does not fit W {}", bias.shape(), w.shape());

  const Device device = ops::device_of("linear", {&x, &w, &bias});
  const bool recording = Tape::recording({&x, &w, &bias});
  const bool keep_before = recording && activation != Activation::none && !derivative_from_output(activation);
  const kernels::Format precision = Context::current().product();
  Tensor y = ops::result(x.shape().with_last(out), device);
  Tensor before = keep_before ? ops::result(y.shape(), device) : Tensor{};
  if (!recording && in > 0) {
    const kernels::MatmulPacked packed{.m = rows,
                                       .n = out,
                                       .k = in,
                                       .a = ops::f32(x, "linear: x"),
                                       .lda = in,
                                       .packed_b = weight.packed.memory(),
                                       .c = ops::f32(y, "linear: y"),
                                       .ldc = out,
                                       .bias = ops::f32(bias, "linear: bias"),
                                       .activation = activation};
    if (weight.panels == Panels::int8 && Context::current().precision() == Precision::int8) {
      ops::run(device, &kernels::KernelTable::matmul_int8, kernels::MatmulInt8{packed});
      return y;
    }
    if (weight.panels == Panels::f16 && precision == kernels::Format::f32) {
      ops::run(device, &kernels::KernelTable::matmul_half, kernels::MatmulHalf{packed});
      return y;
    }
  }
  kernels::Matmul product{.m = rows,
                          .n = out,
                          .k = in,
                          .a = ops::f32(x, "linear: x"),
                          .lda = in,
                          .a_transposed = false,
                          .c = ops::f32(y, "linear: y"),
                          .ldc = out,
                          .product = precision};
  ops::set_weight(product, weight, true, "linear: W");
  product.bias = ops::f32(bias, "linear: bias");
  product.activation = activation;
  product.before = ops::f32(before, "linear: z");
  ops::run(device, &kernels::KernelTable::matmul, product);

  if (recording) {
    const Tensor output = derivative_from_output(activation) ? y : Tensor{};
    const Backward::Input to_x = x;
    const Backward::Kept kept = w.tracked() ? Backward::Kept(x) : Backward::Kept{};
    Tape::record({&y}, [=, id = y.id()](Backward& backward) {
      Tensor dz = backward.gradient(id);
      if (activation != Activation::none) {
        const Tensor dy = dz;
        dz = ops::result(dy.shape(), device);
        ops::run(device, &kernels::KernelTable::activation_backward,
                 kernels::ActivationBackward{dy.elements(), activation, ops::f32(dy, "linear: dy"),
                                             ops::f32(output, "linear: y"), ops::f32(before, "linear: z"),
                                             ops::f32(dz, "linear: dz")});
      }
      if (backward.wants(to_x)) {
        auto [dx, accumulate] = backward.target(to_x);
        kernels::Matmul args{.m = rows,
                             .n = in,
                             .k = out,
                             .a = ops::f32(dz, "linear: dz"),
                             .lda = out,
                             .a_transposed = false,
                             .c = ops::f32(dx, "linear: dx"),
                             .ldc = in,
                             .accumulate = accumulate,
                             .product = precision};
        ops::set_weight(args, w, false, "linear: W");
        ops::run(device, &kernels::KernelTable::matmul, args);
      }
      if (backward.wants(w)) {
        const Tensor values = kept.tensor();
        auto [dw, accumulate] = backward.target(w);
        kernels::Matmul args{.m = out,
                             .n = in,
                             .k = rows,
                             .a = ops::f32(dz, "linear: dz"),
                             .lda = out,
                             .a_transposed = true,
                             .b = ops::f32(values, "linear: x"),
                             .ldb = in,
                             .b_transposed = false,
                             .c = ops::f32(dw, "linear: dW"),
                             .ldc = in,
                             .accumulate = accumulate,
                             .product = precision};
        ops::run(device, &kernels::KernelTable::matmul, args);
      }
      if (backward.wants(bias)) {
        auto [db, accumulate] = backward.target(bias);
        ops::run(device, &kernels::KernelTable::column_sum,
                 kernels::ColumnSum{rows, out, ops::f32(dz, "linear: dz"), ops::f32(db, "linear: db"), accumulate});
      }
    });
    if (keep_before)
      Tape::remade_by(y, [activation, before, device] {
        const Tensor again = ops::result(before.shape(), device);
        ops::run(device, &kernels::KernelTable::activation,
                 kernels::ActivationApply{before.elements(), activation, ops::f32(before, "linear: z"),
                                          ops::f32(again, "linear: y")});
        return again;
      });
  }
  return y;
}

}  // namespace attend
