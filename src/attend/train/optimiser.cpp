#include <attend/base/error.hpp>
#include <attend/ops/arguments.hpp>
#include <attend/train/optimiser.hpp>

#include <algorithm>
#include <cmath>

namespace attend {

AdamW::AdamW(std::vector<Parameter> parameters, AdamWOptions options) : options_(options) {
  for (Parameter& parameter : parameters) {
    if (!parameter.tensor->tracked()) continue;
    auto zeros = [&] { return Tensor::zeros(parameter.tensor->shape(), DType::f32, parameter.tensor->device()); };
    moments_.push_back({zeros(), zeros()});
    parameters_.push_back(std::move(parameter));
  }
}

double gradient_norm(const std::vector<Parameter>& parameters, const Gradients& gradients) {
  std::vector<Tensor> given;
  for (const Parameter& parameter : parameters)
    if (Tensor gradient = gradients.of(*parameter.tensor); gradient.defined()) given.push_back(std::move(gradient));
  if (given.empty()) return 0;
  const Device device = given.front().device();
  const Tensor squares({std::ssize(given)}, DType::f64, device);
  for (size_t i = 0; i < given.size(); ++i) {
    ops::device_of("optimiser", {&squares, &given[i]});
    ops::run(device, &kernels::KernelTable::sum_of_squares,
             kernels::SumOfSquares{given[i].elements(), ops::f32(given[i], "optimiser: gradient"),
                                   static_cast<double*>(squares.memory()) + i});
  }
  double total = 0;
  const Tensor here = squares.to(Device::cpu);
  for (double square : here.values<double>()) total += square;
  return std::sqrt(total);
}

double AdamW::step(const Gradients& gradients, double learning_rate) {
  const double norm = gradient_norm(parameters_, gradients);
  if (!std::isfinite(norm))
    fail<Error>("optimiser: the gradients are not finite at step {}; lower the learning rate", steps_);
  const double scale = options_.clip > 0 ? std::min(1.0, options_.clip / (norm + 1e-6)) : 1.0;
  ++steps_;
  const auto t = static_cast<double>(steps_);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    Tensor& weight = *parameters_[i].tensor;
    const Tensor gradient = gradients.of(weight);
    if (!gradient.defined()) continue;
    const Device device = ops::device_of("optimiser", {&weight, &gradient, &moments_[i].m, &moments_[i].v});
    kernels::AdamW args{};
    args.size = weight.elements();
    args.weight = ops::f32(weight, "optimiser: weight");
    args.gradient = ops::f32(gradient, "optimiser: gradient");
    args.m = ops::f32(moments_[i].m, "optimiser: m");
    args.v = ops::f32(moments_[i].v, "optimiser: v");
    args.lr = static_cast<float>(learning_rate);
    args.beta1 = options_.beta1;
    args.beta2 = options_.beta2;
    args.epsilon = options_.epsilon;
    args.weight_decay = weight.shape().rank() > 1 ? options_.weight_decay : 0;
    args.correction1 = static_cast<float>(1 - std::pow(static_cast<double>(options_.beta1), t));
    args.correction2 = static_cast<float>(1 - std::pow(static_cast<double>(options_.beta2), t));
    args.gradient_scale = static_cast<float>(scale);
    ops::run(device, &kernels::KernelTable::adamw, args);
  }
  return norm;
}

NamedTensors AdamW::state() const {
  NamedTensors tensors;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    tensors.emplace_back("m." + parameters_[i].name, moments_[i].m);
    tensors.emplace_back("v." + parameters_[i].name, moments_[i].v);
  }
  return tensors;
}

void AdamW::restore(const SafeTensors& file, int64_t steps) {
  for (auto [name, tensor] : state()) {
    if (!file.contains(name)) fail<FormatError>("{}: '{}' is missing", file.file_name(), name);
    const Tensor saved = file.tensor(name);
    if (saved.shape() != tensor.shape() || saved.dtype() != DType::f32)
      fail<FormatError>("{}: '{}' is {} of {}, not {} of f32", file.file_name(), name, saved.shape(),
                        attend::name_of(saved.dtype()), tensor.shape());
    tensor.assign(saved);
  }
  steps_ = steps;
}

}  // namespace attend
