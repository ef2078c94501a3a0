// y = x·mask/(1-p): dropout (Srivastava et al. 2014) with a counter-based mask.
#pragma once

#include <attend/kernels/kernels.hpp>
#include <attend/tensor/tensor.hpp>

namespace attend {

/// {probability, key}: the mask is a function of the key and the element, so the backward pass and a resumed run
/// meet the same one and nothing is stored.
using kernels::Dropout;

/// Backward: dx = dropout(dy) with the same key. Probability 0 returns x itself.
Tensor dropout(const Tensor& x, Dropout dropout);

}  // namespace attend
