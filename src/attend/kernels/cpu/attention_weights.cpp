// The attention weights of one sequence, recomputed from Q, K and the log-sum-exp of each row.
#include "attend/kernels/cpu/attention_block.hpp"
#include "attend/kernels/cpu/entries.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

template <Format format>
void run(KernelContext& context, const AttentionWeights& w) {
  const Attention& p = w.forward;
  const int64_t rows = p.q_offsets[p.sequences], queries_all = p.q_offsets[w.sequence + 1] - p.q_offsets[w.sequence];
  const int64_t blocks = divide_up(queries_all, kQueries), width = round_up(p.width, kLanes);
  context.scratch->reserve(context.pool->threads());
  parallel_for(*context.pool, p.heads * blocks, 1, [&](int64_t first, int64_t last, int worker) {
    float* scores = static_cast<float*>(context.scratch->get(
        worker, static_cast<size_t>((kQueries + kKeys) * width + kQueries * kKeys) * sizeof(float)));
    float* q_transposed = scores + kQueries * kKeys;
    float* packed = q_transposed + kQueries * width;
    Ahead ahead;
    for (int64_t unit = first; unit < last; ++unit) {
      const HeadView head(p, w.sequence, unit / blocks);
      const int64_t query = unit % blocks * kQueries, queries = smaller(kQueries, head.queries - query);
      const float* lse = p.lse + head.h * rows + head.first_query + query;
      float* weights = w.weights + (head.h * head.queries + query) * head.keys;
      transpose_rows<format>(head.q + query * p.q_stride, p.q_stride, queries, p.width, q_transposed);
      for (int64_t key = 0; key < head.keys; key += kKeys) {
        const Block block(p, head, query, key, head.keys);
        const Rows k = rows_for<format>(false, head.k + key * p.k_stride, p.k_stride, block.count, p.width, packed);
        const float factor = score_block<format>(p, head, block, k, q_transposed, scores, nullptr, ahead);
        for (int64_t i = 0; i < queries; ++i) {
          const float shift = lse[i] != -kInfinity ? lse[i] : kInfinity;  // a row without keys: all 0
          float* to = weights + i * head.keys + key;
          const int64_t seen = block.seen(i);
          for (int64_t j = 0; j < seen; ++j) to[j] = scores[j * kQueries + i] * factor - shift;
          for_vectors(0, seen, [&](int64_t j, auto n) { store(to + j, exp(load(to + j, n)), n); });
          __builtin_memset(to + seen, 0, static_cast<size_t>(block.count - seen) * sizeof(float));
        }
      }
    }
  });
}

}  // namespace

void attention_weights(KernelContext& context, const AttentionWeights& w) noexcept {
  if (w.forward.product == Format::bf16) return run<Format::bf16>(context, w);
  run<Format::f32>(context, w);
}

}  // namespace attend::kernels::ATTEND_LEVEL
