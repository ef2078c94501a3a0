// Residual connection and normalisation in one operation.
//   LayerNorm(s) = (s - mean(s)) / √(var(s) + ε) · w + b      (Ba et al. 2016)
//   RMSNorm(s)   = s / √(mean(s²) + ε) · w                    (Zhang & Sennrich 2019)
#pragma once

#include <attend/ops/dropout.hpp>

namespace attend {

enum class NormKind : uint8_t { layer, rms };

struct NormOptions {
  NormKind kind = NormKind::layer;
  float epsilon = 1e-5f;
};

/// norm(x): x [..., width], weight [width] or undefined (= 1), bias [width] or undefined (= 0; none with rms).
/// Backward, with x̂ = (s - mean)·rstd and g = dy·w:  ds = rstd·(g - mean(g) - x̂·mean(g·x̂)),  dw = Σ dy·x̂,  db = Σ dy.
Tensor norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const NormOptions& options = {});

struct NormedSum {
  Tensor sum;     ///< residual + dropout(x): what the next residual connection starts from (pre-norm)
  Tensor normed;  ///< norm(sum): what the next layer reads
};

/// The "Add & Norm" of the paper's figure 1: sum = residual + dropout(x), normed = norm(sum).
NormedSum add_norm(const Tensor& residual, const Tensor& x, const Tensor& weight, const Tensor& bias,
                   const NormOptions& options = {}, Dropout dropout = {});

/// residual + dropout(x) alone.
Tensor add(const Tensor& residual, const Tensor& x, Dropout dropout = {});

}  // namespace attend
