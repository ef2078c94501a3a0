// Cross-entropy with label smoothing (Szegedy et al. 2016; section 5.4 of the paper).
//   loss = (1-ε)·(lse(z) - z[target]) + ε·(lse(z) - mean(z)),   dz = softmax(z) - (1-ε)·onehot(target) - ε/V
#pragma once

#include <attend/tensor/weight.hpp>

namespace attend {

struct CrossEntropyOptions {
  float label_smoothing = 0;
  int32_t ignore = -100;  ///< targets with this value count nothing
  bool mean = true;       ///< mean over the counted targets, else their sum
  double count = 0;       ///< what the mean divides by; 0 = the counted targets of this call (else: of a whole step).
                          ///< Needed where the targets lie on a device, since only the host counts
};

/// logits [tokens, vocab], targets i32 [tokens] → the loss (one number). `losses`, if given, gets the loss of each
/// token. Throws ShapeError for a target outside [0, vocab) that is not `ignore`. No counted target: loss 0.
Tensor cross_entropy(const Tensor& logits, const Tensor& targets, const CrossEntropyOptions& options = {},
                     Tensor* losses = nullptr);

/// cross_entropy(linear(x, weight, bias), targets) without ever holding all logits: they are made, used and turned
/// into gradients in slices of rows that fit the cache.
///   x [tokens, width], weight [vocab, width], bias [vocab] or undefined.
Tensor linear_cross_entropy(const Tensor& x, const Weight& weight, const Tensor& bias, const Tensor& targets,
                            const CrossEntropyOptions& options = {});

}  // namespace attend
