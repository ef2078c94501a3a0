// Attention(Q,K,V) = softmax(scale·QKᵀ + bias)V
#include "attend/kernels/cpu/dropout_mask.hpp"
#include "attend/kernels/cpu/entries.hpp"
#include "attend/kernels/cpu/scores.hpp"

namespace attend::kernels::ATTEND_LEVEL {

void attention(KernelContext& context, const Attention& p) noexcept {
  const int64_t rows = p.q_offsets[p.sequences];
  parallel_for(*context.pool, p.sequences * p.heads, 1, [&](int64_t first, int64_t last, int) {
    MaskStream mask(p.dropout);
    for (int64_t unit = first; unit < last; ++unit) {
      const int64_t s = unit / p.heads, h = unit % p.heads;
      const int64_t queries = p.q_offsets[s + 1] - p.q_offsets[s], keys = p.k_offsets[s + 1] - p.k_offsets[s];
      for (int64_t i = 0; i < queries; ++i) {
        const int64_t row = p.q_offsets[s] + i;
        float* out = p.out + row * p.out_stride + h * p.value_width;
        float top = -kInfinity, total = 0;
        for (int64_t j = 0; j < keys; ++j) {
          const float x = score(p, s, h, i, j);
          top = x > top ? x : top;
        }
        __builtin_memset(out, 0, static_cast<size_t>(p.value_width) * sizeof(float));
        if (top == -kInfinity) {
          p.lse[h * rows + row] = top;
          continue;
        }
        for (int64_t j = 0; j < keys; ++j) {
          float e = exp(splat(score(p, s, h, i, j) - top))[0];
          total += e;
          if (mask.on()) e *= mask.at(((row * p.heads + h) << kLaneBits) + j)[0];
          const float* v = p.v + (p.k_offsets[s] + j) * p.v_stride + h / (p.heads / p.key_heads) * p.value_width;
          for_vectors(0, p.value_width,
                      [&](int64_t c, auto n) { store(out + c, fma(splat(e), load(v + c, n), load(out + c, n)), n); });
        }
        for_vectors(0, p.value_width, [&](int64_t c, auto n) { store(out + c, load(out + c, n) / total, n); });
        p.lse[h * rows + row] = top + __builtin_logf(total);
      }
    }
  });
}

}  // namespace attend::kernels::ATTEND_LEVEL
