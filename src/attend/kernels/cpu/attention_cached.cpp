// Attention of a few new queries against keys and values in pages: one pass over the keys of each (sequence, head) per
// query, scores first, then the weighted sum of the values. Bound by reading the cache.
#include "attend/kernels/cpu/entries.hpp"
#include "attend/kernels/cpu/scores.hpp"

namespace attend::kernels::ATTEND_LEVEL {

void attention_cached(KernelContext& context, const AttentionCached& p) noexcept {
  const int64_t rows = p.q_offsets[p.sequences], group = p.heads / larger(1, p.key_heads);
  const int shared = context.pool->threads();
  context.scratch->reserve(shared + 1);
  parallel_for(*context.pool, p.sequences * p.heads, 1, [&](int64_t first, int64_t last, int worker) {
    for (int64_t unit = first; unit < last; ++unit) {
      const int64_t s = unit / p.heads, h = unit % p.heads, kh = h / group;
      const int64_t q0 = p.q_offsets[s], queries = p.q_offsets[s + 1] - q0, length = p.lengths[s];
      const int32_t* pages = p.page_table + s * p.max_pages;
      float* weights = static_cast<float*>(
          context.scratch->get(worker, static_cast<size_t>(round_up(length, kLanes) + kLanes) * sizeof(float)));
      for (int64_t i = 0; i < queries; ++i) {
        const int64_t row = q0 + i;
        const int64_t keys = p.causal ? smaller(length, i + length - queries + 1) : length;
        const float* q = p.q + row * p.q_stride + h * p.width;
        float* out = p.out + row * p.out_stride + h * p.value_width;
        __builtin_memset(out, 0, static_cast<size_t>(p.value_width) * sizeof(float));
        if (keys <= 0) {
          if (p.lse != nullptr) p.lse[h * rows + row] = -kInfinity;
          continue;
        }
        float top = -kInfinity;
        for (int64_t j = 0; j < keys; ++j) {
          const int64_t at = pages[j / p.page_size] * p.page_size + j % p.page_size;
          weights[j] = capped(p.scale * dot(q, p.k_pages + at * p.k_stride + kh * p.width, p.width), p.softcap);
          top = weights[j] > top ? weights[j] : top;
        }
        Vec part{};
        for_vectors(0, keys, [&](int64_t j, auto n) {
          const Vec e = select(lane_numbers() < static_cast<int32_t>(n), exp(load(weights + j, n) - top), Vec{});
          store(weights + j, e, n);
          part += e;
        });
        const float total = sum(part);
        for (int64_t j = 0; j < keys; ++j) {
          const int64_t at = pages[j / p.page_size] * p.page_size + j % p.page_size;
          const float* v = p.v_pages + at * p.v_stride + kh * p.value_width;
          const Vec weight = splat(weights[j]);
          for_vectors(0, p.value_width,
                      [&](int64_t c, auto n) { store(out + c, fma(weight, load(v + c, n), load(out + c, n)), n); });
        }
        for_vectors(0, p.value_width, [&](int64_t c, auto n) { store(out + c, load(out + c, n) / total, n); });
        if (p.lse != nullptr) p.lse[h * rows + row] = top + __builtin_logf(total);
      }
    }
  });
}

}  // namespace attend::kernels::ATTEND_LEVEL
