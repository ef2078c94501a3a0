// AdamW (Kingma & Ba 2015; Loshchilov & Hutter 2019), fused: one pass over the memory a step.
#pragma once

#include <attend/base/fields.hpp>
#include <attend/io/safetensors.hpp>
#include <attend/nn/parameters.hpp>
#include <attend/tensor/tape.hpp>

namespace attend {

struct AdamWOptions {
  float beta1 = 0.9f, beta2 = 0.98f, epsilon = 1e-9f;  ///< the paper's (section 5.3)
  float weight_decay = 0;                              ///< of matrices; vectors (norms, biases) have none
  float clip = 1;                                      ///< largest norm of all gradients together; 0 = no limit

  static void fields(auto& self, auto&& f) {
    f("beta1", self.beta1, Doc{.en = "decay of the mean", .ko = "평균의 감쇠율", .min = 0, .max = 1});
    f("beta2", self.beta2, Doc{.en = "decay of the mean square", .ko = "제곱 평균의 감쇠율", .min = 0, .max = 1});
    f("epsilon", self.epsilon, Doc{.en = "added to the root", .ko = "제곱근에 더하는 값", .min = 0});
    f("weight_decay", self.weight_decay, Doc{.en = "decoupled decay of matrices", .ko = "행렬 가중치 감쇠", .min = 0});
    f("clip", self.clip,
      Doc{.en = "largest gradient norm, 0 = no limit", .ko = "기울기 노름의 상한, 0이면 없음", .min = 0});
  }
};

class AdamW {
 public:
  /// Of the tracked ones among these parameters; the module they point into must stay where it is.
  AdamW(std::vector<Parameter> parameters, AdamWOptions options);

  /// Clips and applies the gradients; parameters without one stay as they are. Returns the norm before clipping.
  double step(const Gradients& gradients, double learning_rate);

  int64_t steps() const noexcept { return steps_; }
  /// Means and mean squares, "m.NAME" and "v.NAME", sharing the optimiser's memory.
  NamedTensors state() const;
  /// Takes a saved state over. Throws FormatError naming what is missing or misshapen.
  void restore(const SafeTensors& file, int64_t steps);

 private:
  struct Moments {
    Tensor m, v;
  };
  std::vector<Parameter> parameters_;
  std::vector<Moments> moments_;  // of each parameter
  AdamWOptions options_;
  int64_t steps_ = 0;
};

/// √Σ g² over all gradients of these parameters.
double gradient_norm(const std::vector<Parameter>& parameters, const Gradients& gradients);

}  // namespace attend
