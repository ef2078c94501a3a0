#include <attend/ops/arguments.hpp>
#include <attend/ops/norm.hpp>

namespace attend {
namespace {

void check(const char* name, const Tensor& residual, const Tensor& x, const Tensor& weight, const Tensor& bias,
           Dropout dropout) {
  if (!x.defined()) fail<ShapeError>("{}: x is undefined", name);
  if (residual.defined() && residual.shape() != x.shape())
    fail<ShapeError>("{}: residual {} and x {} must have one shape", name, residual.shape(), x.shape());
  for (const Tensor* vector : {&weight, &bias})
    if (vector->defined() && vector->elements() != x.shape().last())
      fail<ShapeError>("{}: weight or bias {} does not fit x {}", name, vector->shape(), x.shape());
  ops::check(dropout, name);
}

Tensor dropped(const Tensor& gradient, Dropout dropout) {
  if (dropout.probability == 0) return gradient;
  Tensor result = ops::result(gradient.shape(), gradient.device());
  ops::run(gradient.device(), &kernels::KernelTable::dropout,
           kernels::DropoutApply{gradient.elements(), ops::f32(gradient, "add: gradient"), ops::f32(result, "add: dx"),
                                 dropout});
  return result;
}

// Without a residual or dropout the sum is x itself.
NormedSum normed_sum(const char* name, const Tensor& residual, const Tensor& x, const Tensor& weight,
                     const Tensor& bias, const NormOptions& options, Dropout dropout) {
  check(name, residual, x, weight, bias, dropout);
  const bool rms = options.kind == NormKind::rms;
  if (rms && bias.defined()) fail<ConfigError>("{}: RMSNorm has no bias", name);
  const Device device = ops::device_of(name, {&residual, &x, &weight, &bias});
  const bool recording = Tape::recording({&residual, &x, &weight, &bias});
  const bool sums = residual.defined() || dropout.probability > 0;
  const int64_t width = x.shape().last(), rows = x.shape().rows();
  NormedSum result{sums ? ops::result(x.shape(), device) : x, ops::result(x.shape(), device)};
  Tensor mean = recording && !rms ? ops::result({rows}, device) : Tensor{};
  Tensor rstd = recording ? ops::result({rows}, device) : Tensor{};
  kernels::Norm args{.rows = rows, .width = width, .rms = rms, .epsilon = options.epsilon, .x = ops::f32(x, "norm: x")};
  args.residual = ops::f32(residual, "norm: residual");
  args.dropout = dropout;
  args.weight = ops::f32(weight, "norm: weight");
  args.bias = ops::f32(bias, "norm: bias");
  args.sum = sums ? ops::f32(result.sum, "norm: sum") : nullptr;
  args.y = ops::f32(result.normed, "norm: y");
  args.mean = ops::f32(mean, "norm: mean");
  args.rstd = ops::f32(rstd, "norm: rstd");
  ops::run(device, &kernels::KernelTable::norm, args);

  if (recording) {
    const Backward::Input to_residual = residual, to_x = x;  // their values are not read again
    auto step = [=, sum = result.sum, sum_id = result.sum.id(), id = result.normed.id()](Backward& backward) {
      const Tensor dy = backward.gradient(id), dsum_in = sums ? backward.gradient(sum_id) : Tensor{};
      Tensor dsum = dsum_in, dx;
      if (dy.defined()) {
        auto accumulated = [&](const Tensor& parameter) -> Tensor {
          if (!backward.wants(parameter)) return {};
          auto [gradient, accumulate] = backward.target(parameter);
          float* memory = ops::f32(gradient, "norm: gradient");
          if (!accumulate) ops::run(device, &kernels::KernelTable::axpby, kernels::Axpby{width, 0, memory, 0, memory});
          return gradient;
        };
        const Tensor dweight = accumulated(weight), dbias = accumulated(bias);
        dsum = ops::result(sum.shape(), device);
        dx = dropout.probability > 0 && backward.wants(to_x) ? ops::result(sum.shape(), device) : Tensor{};
        kernels::NormBackward grad{.rows = rows, .width = width, .rms = rms, .dy = ops::f32(dy, "norm: dy")};
        grad.sum = ops::f32(sum, "norm: sum");
        grad.mean = ops::f32(mean, "norm: mean");
        grad.rstd = ops::f32(rstd, "norm: rstd");
        grad.weight = ops::f32(weight, "norm: weight");
        grad.dsum_in = ops::f32(dsum_in, "norm: dsum");
        grad.dsum = ops::f32(dsum, "norm: dsum");
        grad.dropout = dropout;
        grad.dx = ops::f32(dx, "norm: dx");
        grad.dweight = ops::f32(dweight, "norm: dweight");
        grad.dbias = ops::f32(dbias, "norm: dbias");
        ops::run(device, &kernels::KernelTable::norm_backward, grad);
      } else if (backward.wants(to_x)) {
        dx = dropped(dsum, dropout);
      }
      backward.add(to_residual, dsum);
      backward.add(to_x, dx.defined() ? dx : dsum);
    };
    if (sums)
      Tape::record({&result.sum, &result.normed}, std::move(step));
    else
      Tape::record({&result.normed}, std::move(step));
    Tape::remade_by(result.normed, [rms, rows, width, weight, bias, epsilon = options.epsilon, device,
                                    sum = result.sum] {
      const Tensor again = ops::result(sum.shape(), device);
      kernels::Norm same{.rows = rows, .width = width, .rms = rms, .epsilon = epsilon, .x = ops::f32(sum, "norm: sum")};
      same.weight = ops::f32(weight, "norm: weight");
      same.bias = ops::f32(bias, "norm: bias");
      same.y = ops::f32(again, "norm: y");
      ops::run(device, &kernels::KernelTable::norm, same);
      return again;
    });
  }
  return result;
}

}  // namespace

Tensor norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const NormOptions& options) {
  return normed_sum("norm", {}, x, weight, bias, options, {}).normed;
}

NormedSum add_norm(const Tensor& residual, const Tensor& x, const Tensor& weight, const Tensor& bias,
                   const NormOptions& options, Dropout dropout) {
  ops::required(residual, "add_norm: residual");
  return normed_sum("add_norm", residual, x, weight, bias, options, dropout);
}

Tensor add(const Tensor& residual, const Tensor& x, Dropout dropout) {
  ops::required(residual, "add: residual");
  check("add", residual, x, {}, {}, dropout);
  const Device device = ops::device_of("add", {&residual, &x});
  Tensor sum = ops::result(x.shape(), device);
  kernels::Norm args{.rows = x.shape().rows(), .width = x.shape().last(), .x = ops::f32(x, "add: x")};
  args.residual = ops::f32(residual, "add: residual");
  args.dropout = dropout;
  args.weight = nullptr;
  args.sum = ops::f32(sum, "add: sum");
  args.y = nullptr;
  ops::run(device, &kernels::KernelTable::norm, args);
  if (Tape::recording({&residual, &x}))
    Tape::record({&sum}, [dropout, to_residual = Backward::Input(residual), to_x = Backward::Input(x),
                          id = sum.id()](Backward& backward) {
      const Tensor dsum = backward.gradient(id);
      backward.add(to_residual, dsum);
      if (backward.wants(to_x)) backward.add(to_x, dropped(dsum, dropout));
    });
  return sum;
}

}  // namespace attend
