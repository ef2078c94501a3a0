// Optimiser steps, one pass over each tensor.
#include "attend/kernels/cpu/entries.hpp"
#include "attend/kernels/cpu/simd.hpp"

namespace attend::kernels::ATTEND_LEVEL {

void adamw(KernelContext& context, const AdamW& p) noexcept {
  constexpr int64_t kTile = 16384;
  const float inverse1 = 1 / p.correction1, inverse2 = 1 / p.correction2;
  const float keep = p.lr * p.weight_decay;
  parallel_for(*context.pool, divide_up(p.size, kTile), 1, [&](int64_t begin, int64_t end, int) {
    for_vectors(begin * kTile, smaller(end * kTile, p.size), [&](int64_t i, auto n) {
      const Vec g = load(p.gradient + i, n) * p.gradient_scale;
      const Vec m = fma(splat(p.beta1), load(p.m + i, n), (1 - p.beta1) * g);
      const Vec v = fma(splat(p.beta2), load(p.v + i, n), (1 - p.beta2) * (g * g));
      const Vec w = load(p.weight + i, n);
      const Vec step = (m * inverse1) / (sqrt(v * inverse2) + p.epsilon);
      store(p.m + i, m, n);
      store(p.v + i, v, n);
      store(p.weight + i, w - fma(splat(keep), w, p.lr * step), n);
    });
  });
}

}  // namespace attend::kernels::ATTEND_LEVEL
