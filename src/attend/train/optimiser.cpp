#include <attend/base/error.hpp>
#include <attend/ops/arguments.hpp>
#include <attend/train/optimiser.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace attend {

AdamW::AdamW(std::vector<Parameter> parameters, AdamWOptions options) : options_(options) {
  for (Parameter& parameter : parameters) {
    if (!parameter.tensor->tracked()) continue;
    moments_.push_back({Tensor::zeros(parameter.tensor->shape()), Tensor::zeros(parameter.tensor->shape())});
    parameters_.push_back(std::move(parameter));
  }
}

double gradient_norm(const std::vector<Parameter>& parameters, const Gradients& gradients) {
  double total = 0;
  for (const Parameter& parameter : parameters) {
    const Tensor gradient = gradients.of(*parameter.tensor);
    if (!gradient.defined()) continue;
    double squares = 0;
    ops::run(&kernels::KernelTable::sum_of_squares,
             kernels::SumOfSquares{gradient.elements(), ops::f32(gradient, "optimiser: gradient"), &squares});
    total += squares;
  }
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
    ops::run(&kernels::KernelTable::adamw, args);
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
  for (const auto& [name, tensor] : state()) {
    if (!file.contains(name)) fail<FormatError>("{}: '{}' is missing", file.file_name(), name);
    const Tensor saved = file.tensor(name);
    if (saved.shape() != tensor.shape() || saved.dtype() != DType::f32)
      fail<FormatError>("{}: '{}' is {} of {}, not {} of f32", file.file_name(), name, saved.shape(),
                        attend::name_of(saved.dtype()), tensor.shape());
    std::memcpy(tensor.memory(), saved.memory(), saved.bytes());
  }
  steps_ = steps;
}

}  // namespace attend
