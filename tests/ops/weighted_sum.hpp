// The loss of the operations' tests: Σ outputs∘weights, so that the weights are d loss / d output.
#pragma once

#include <attend/tensor/tape.hpp>

#include <vector>

namespace attend::testing {

using Tensors = std::vector<Tensor>;

/// An operation like any other: summed in double, recorded on the active tape. An undefined weight leaves its output
/// out.
inline Tensor weighted_sum(const Tensors& outputs, const Tensors& weights) {
  double total = 0;
  bool recording = false;
  for (size_t o = 0; o < outputs.size(); ++o) {
    if (!weights[o].defined()) continue;
    const Tensor here = outputs[o].to(Device::cpu);
    const auto x = here.values<float>(), w = weights[o].values<float>();
    for (size_t i = 0; i < x.size(); ++i) total += static_cast<double>(x[i]) * w[i];
    recording |= Tape::recording({&outputs[o]});
  }
  Tensor loss = Tensor::full({}, static_cast<float>(total));
  if (recording)
    Tape::record({&loss}, [outputs, weights, id = loss.id()](Backward& backward) {
      const float scale = static_cast<float>(backward.gradient(id).item());
      for (size_t o = 0; o < outputs.size(); ++o) {
        if (!weights[o].defined()) continue;
        Tensor gradient = weights[o];
        if (scale != 1) {
          gradient = gradient.clone();
          for (float& g : gradient.values<float>()) g *= scale;
        }
        backward.add(outputs[o], gradient.to(outputs[o].device()));
      }
    });
  return loss;
}

inline std::vector<float> floats(const Tensor& tensor) {
  if (!tensor.defined()) return {};
  const Tensor here = tensor.to(Device::cpu);
  return {here.values<float>().begin(), here.values<float>().end()};
}

}  // namespace attend::testing
