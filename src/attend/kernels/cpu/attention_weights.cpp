// The attention weights of one sequence, recomputed from Q, K and the log-sum-exp of each row.
#include "attend/kernels/cpu/entries.hpp"
#include "attend/kernels/cpu/scores.hpp"

namespace attend::kernels::ATTEND_LEVEL {

void attention_weights(KernelContext& context, const AttentionWeights& w) noexcept {
  const Attention& p = w.forward;
  const int64_t s = w.sequence, rows = p.q_offsets[p.sequences], q0 = p.q_offsets[s];
  const int64_t queries = p.q_offsets[s + 1] - q0, keys = p.k_offsets[s + 1] - p.k_offsets[s];
  parallel_for(*context.pool, p.heads * queries, 4, [&](int64_t first, int64_t last, int) {
    for (int64_t unit = first; unit < last; ++unit) {
      const int64_t h = unit / queries, i = unit % queries;
      const float lse = p.lse[h * rows + q0 + i];
      float* weights = w.weights + unit * keys;
      if (lse == -kInfinity) {
        __builtin_memset(weights, 0, static_cast<size_t>(keys) * sizeof(float));
        continue;
      }
      for (int64_t j = 0; j < keys; ++j) weights[j] = score(p, s, h, i, j) - lse;
      for_vectors(0, keys, [&](int64_t j, auto n) { store(weights + j, exp(load(weights + j, n)), n); });
    }
  });
}

}  // namespace attend::kernels::ATTEND_LEVEL
