// Backward of attention: with P the weights, dP = dO·Vᵀ and D = rowsum(dO ∘ O):  dV = PᵀdO,  dS = P ∘ (dP - D),
// dQ = scale·dS·K,  dK = scale·dSᵀ·Q.
#include "attend/kernels/cpu/dropout_mask.hpp"
#include "attend/kernels/cpu/entries.hpp"
#include "attend/kernels/cpu/scores.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

void clear_rows(float* x, int64_t begin, int64_t end, int64_t stride, int64_t width) {
  for (int64_t i = begin; i < end; ++i) __builtin_memset(x + i * stride, 0, static_cast<size_t>(width) * sizeof(float));
}

ATTEND_INLINE void add_scaled(float* y, float a, const float* x, int64_t size) {
  for_vectors(0, size, [&](int64_t c, auto n) { store(y + c, fma(splat(a), load(x + c, n), load(y + c, n)), n); });
}

}  // namespace

void attention_backward(KernelContext& context, const AttentionBackward& b) noexcept {
  const Attention& p = b.forward;
  const int64_t rows = p.q_offsets[p.sequences], group = p.heads / p.key_heads;
  parallel_for(*context.pool, p.sequences * p.key_heads, 1, [&](int64_t first, int64_t last, int) {
    MaskStream mask(p.dropout);
    for (int64_t unit = first; unit < last; ++unit) {
      const int64_t s = unit / p.key_heads, kh = unit % p.key_heads;
      const int64_t q0 = p.q_offsets[s], queries = p.q_offsets[s + 1] - q0;
      const int64_t k0 = p.k_offsets[s], keys = p.k_offsets[s + 1] - k0;
      float* dk = b.dk + k0 * b.dk_stride + kh * p.width;
      float* dv = b.dv + k0 * b.dv_stride + kh * p.value_width;
      const float* k = p.k + k0 * p.k_stride + kh * p.width;
      const float* v = p.v + k0 * p.v_stride + kh * p.value_width;
      clear_rows(dk, 0, keys, b.dk_stride, p.width);
      clear_rows(dv, 0, keys, b.dv_stride, p.value_width);
      for (int64_t h = kh * group; h < (kh + 1) * group; ++h) {
        for (int64_t i = 0; i < queries; ++i) {
          const int64_t row = q0 + i;
          float* dq = b.dq + row * b.dq_stride + h * p.width;
          clear_rows(dq, 0, 1, 0, p.width);
          const float lse = p.lse[h * rows + row];
          if (lse == -kInfinity) continue;
          const float* q = p.q + row * p.q_stride + h * p.width;
          const float* dout = b.dout + row * p.out_stride + h * p.value_width;
          const float d = dot(dout, p.out + row * p.out_stride + h * p.value_width, p.value_width);
          for (int64_t j = 0; j < keys; ++j) {
            const float x = score(p, s, h, i, j);
            if (x == -kInfinity) continue;
            const float weight = exp(splat(x - lse))[0];
            const float keep = mask.on() ? mask.at(((row * p.heads + h) << kLaneBits) + j)[0] : 1;
            add_scaled(dv + j * b.dv_stride, weight * keep, dout, p.value_width);
            float ds = weight * (keep * dot(dout, v + j * p.v_stride, p.value_width) - d) * p.scale;
            if (p.softcap > 0) {
              const float raw = capped(p.scale * dot(q, k + j * p.k_stride, p.width), p.softcap) / p.softcap;
              ds *= 1 - raw * raw;
            }
            add_scaled(dq, ds, k + j * p.k_stride, p.width);
            add_scaled(dk + j * b.dk_stride, ds, q, p.width);
          }
        }
      }
    }
  });
}

}  // namespace attend::kernels::ATTEND_LEVEL
