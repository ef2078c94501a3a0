// Backward of attention. With the weights P recomputed from Q, K and the log-sum-exp, and D = rowsum(dO ∘ O):
//   dV = PᵀdO,  dP = dO·Vᵀ,  dS = P ∘ (dP - D),  dQ = scale·dS·K,  dK = scale·dSᵀ·Q.
// A task is a few key heads of one sequence: it alone writes their rows of dK and dV, in a fixed order.
#include "attend/kernels/cpu/attention_block.hpp"
#include "attend/kernels/cpu/entries.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

// The scratch of one worker. dk and dv are used where a head's width is no whole number of vectors.
struct Memory {
  float *weights, *slopes, *gradients, *q_transposed, *dout_transposed, *q, *dout, *dq, *k, *k_across, *v, *dk, *dv,
      *lse, *d;

  static int64_t size(const Attention& p, int64_t longest) {
    const int64_t width = round_up(p.width, kLanes), value_width = round_up(p.value_width, kLanes);
    return 3 * kKeys * kQueries + kQueries * (3 * width + 2 * value_width + 2) +
           longest * (3 * width + 2 * value_width);
  }
  Memory(const Attention& p, int64_t longest, float* at) {
    const int64_t width = round_up(p.width, kLanes), value_width = round_up(p.value_width, kLanes);
    const auto take = [&](float*& part, int64_t size) { part = at, at += size; };
    take(weights, kKeys * kQueries);
    take(slopes, kKeys * kQueries);
    take(gradients, kKeys * kQueries);
    take(q_transposed, kQueries * width);
    take(dout_transposed, kQueries * value_width);
    take(q, kQueries * width);
    take(dout, kQueries * value_width);
    take(dq, kQueries * width);
    take(k, longest * width);
    take(k_across, longest * width);
    take(v, longest * value_width);
    take(dk, longest * width);
    take(dv, longest * value_width);
    take(lse, kQueries);
    take(d, kQueries);
  }
};

// Rows that a product writes: the matrix itself if whole vectors fit, else the scratch, copied at the end.
struct Sums {
  float* data;
  int64_t step;

  Sums(float* x, int64_t stride, int64_t width, float* memory)
      : data(width % kLanes == 0 ? x : memory), step(width % kLanes == 0 ? stride : round_up(width, kLanes)) {}

  void clear(int64_t first, int64_t last, int64_t width) const {
    for (int64_t i = first; i < last; ++i)
      __builtin_memset(data + i * step, 0, static_cast<size_t>(round_up(width, kLanes)) * sizeof(float));
  }
  void finish(float* x, int64_t stride, int64_t rows, int64_t width) const {
    if (data == x) return;
    for (int64_t i = 0; i < rows; ++i)
      for_vectors(0, width, [&](int64_t j, auto n) { store(x + i * stride + j, load(data + i * step + j), n); });
  }
};

// Scores become weights (with dropout: those that were kept), dP becomes scale·dS.
void block_gradients(const Attention& p, float factor, const Block& block, const BlockMask& mask, Memory& m) {
  const bool capped = p.softcap > 0;
  for (int64_t i = 0; i < block.lanes; i += kLanes) {
    const Vec shift = -load(m.lse + i), d = load(m.d + i);
    const int64_t count = block.seen(i + kLanes - 1);
    for (int64_t j = 0; j < count; ++j) {
      float* weights = m.weights + j * kQueries + i;
      float* gradients = m.gradients + j * kQueries + i;
      const Vec weight = exp2(fma(load(weights), splat(factor), shift) * kLog2E);
      Vec dp = load(gradients), kept = weight;
      if (mask.on()) {
        const Vec keep = mask.at(block, j, i);
        kept = weight * keep;
        dp *= keep;
      }
      Vec ds = weight * (dp - d) * p.scale;
      if (capped) ds *= load(m.slopes + j * kQueries + i);
      store(weights, kept);
      store(gradients, ds);
    }
    clear_below(m.weights + i, count, block.count);
    clear_below(m.gradients + i, count, block.count);
  }
}

// K along its rows and across them, V along.
struct Keys {
  Rows k;
  const float* k_across;
  Rows v;
};

// The queries of one block against all keys of their sequence.
template <Format format>
void query_block(const AttentionBackward& b, const HeadView& head, int64_t query, bool accumulate, const Sums& dk,
                 const Sums& dv, const Keys& keys, BlockMask& mask, Memory& m, Ahead& ahead) {
  const Attention& p = b.forward;
  const int64_t queries = smaller(kQueries, head.queries - query);
  const int64_t width = round_up(p.width, kLanes), value_width = round_up(p.value_width, kLanes);
  const int64_t row = head.first_query + query;
  const float* rows_q = head.q + query * p.q_stride;
  const float* rows_dout = b.dout + row * p.out_stride + head.h * p.value_width;
  const float* rows_out = p.out + row * p.out_stride + head.h * p.value_width;
  const float* lse = p.lse + head.h * p.q_offsets[p.sequences] + row;
  float* rows_dq = b.dq + row * b.dq_stride + head.h * p.width;

  const int64_t visible = head.visible(p, query + queries);
  if (visible == 0) {
    for (int64_t i = 0; i < queries; ++i)
      __builtin_memset(rows_dq + i * b.dq_stride, 0, static_cast<size_t>(p.width) * sizeof(float));
    return;
  }
  pack_across<format>(rows_q, p.q_stride, queries, p.width, m.q);
  pack_across<format>(rows_dout, p.out_stride, queries, p.value_width, m.dout);
  transpose_rows<format>(rows_q, p.q_stride, queries, p.width, m.q_transposed);
  transpose_rows<format>(rows_dout, p.out_stride, queries, p.value_width, m.dout_transposed);
  for (int64_t i = 0; i < round_up(queries, kLanes); ++i) {
    // A row without keys, or none at all: e^(score - ∞) = 0.
    m.lse[i] = i < queries && lse[i] != -kInfinity ? lse[i] : kInfinity;
    Vec d{};
    if (i < queries)
      for_vectors(0, p.value_width, [&](int64_t c, auto n) {
        d = fma(load(rows_dout + i * p.out_stride + c, n), load(rows_out + i * p.out_stride + c, n), d);
      });
    m.d[i] = sum(d);
  }

  const Sums dq(rows_dq, b.dq_stride, p.width, m.dq);
  for (int64_t key = 0; key < visible; key += kKeys) {
    const Block block(p, head, query, key, visible);
    const Rows k{keys.k.data + key * keys.k.step, keys.k.step}, v{keys.v.data + key * keys.v.step, keys.v.step};
    const float factor = score_block<format>(p, head, block, k, m.q_transposed, m.weights, m.slopes, ahead);
    block_product<format, 0>(
        block.count, block.lanes, {v.data, v.step, 1, m.dout_transposed, kQueries, m.gradients, kQueries}, ahead,
        [&](int64_t first, int64_t) { return block.template key_columns<format>(first, p.value_width); });
    mask.begin(head, block);
    block_gradients(p, factor, block, mask, m);
    // Two forms of dS, if they differ; nobody needs the slopes any more.
    float* over_keys = format == Format::f32 ? m.gradients : m.slopes;
    weights_over_keys<format>(block, m.gradients, over_keys);
    weights_over_queries<format>(block, m.gradients);
    weights_over_queries<format>(block, m.weights);
    const auto from_queries = [&](int64_t first, int64_t) { return block.template key_depth<format>(first); };
    block_product<format, kQueries>(
        block.count, value_width,
        {m.weights, kQueries, 1, m.dout, value_width, dv.data + key * dv.step, dv.step, accumulate}, ahead,
        from_queries);
    block_product<format, kQueries>(
        block.count, width, {m.gradients, kQueries, 1, m.q, width, dk.data + key * dk.step, dk.step, accumulate}, ahead,
        from_queries);
    const float* k_across = keys.k_across + key / kPerLane<format> * width;
    block_product<format, 1>(queries, width, {over_keys, 1, kQueries, k_across, width, dq.data, dq.step, key > 0},
                             ahead, [&](int64_t, int64_t end) { return block.template query_depth<format>(end); });
  }
  dq.finish(rows_dq, b.dq_stride, queries, p.width);
}

// All heads of one key head of one sequence.
template <Format format>
void key_head_gradients(const AttentionBackward& b, int64_t s, int64_t key_head, BlockMask& mask, Memory& m,
                        Ahead& ahead) {
  const Attention& p = b.forward;
  const int64_t group = p.heads / p.key_heads;
  const HeadView first(p, s, key_head * group);
  float* to_dk = b.dk + first.first_key * b.dk_stride + key_head * p.width;
  float* to_dv = b.dv + first.first_key * b.dv_stride + key_head * p.value_width;
  const Sums dk(to_dk, b.dk_stride, p.width, m.dk);
  const Sums dv(to_dv, b.dv_stride, p.value_width, m.dv);
  const bool often = group > 1 || first.queries > kQueries;
  pack_across<format>(first.k, p.k_stride, first.keys, p.width, m.k_across);
  const Rows k = kPerLane<format> == 1 ? Rows{m.k_across, round_up(p.width, kLanes)}
                                       : rows_for<format>(often, first.k, p.k_stride, first.keys, p.width, m.k);
  const Keys all{k, m.k_across, rows_for<format>(often, first.v, p.v_stride, first.keys, p.value_width, m.v)};
  // The first block of queries writes what it sees, the others add.
  const int64_t written = first.queries > 0 ? first.visible(p, smaller(kQueries, first.queries)) : 0;
  dk.clear(written, first.keys, p.width);
  dv.clear(written, first.keys, p.value_width);
  for (int64_t h = first.h; h < first.h + group; ++h) {
    const HeadView head(p, s, h);
    for (int64_t query = 0; query < head.queries; query += kQueries)
      query_block<format>(b, head, query, h > first.h || query > 0, dk, dv, all, mask, m, ahead);
  }
  dk.finish(to_dk, b.dk_stride, first.keys, p.width);
  dv.finish(to_dv, b.dv_stride, first.keys, p.value_width);
}

// What key_head_gradients reads and writes first.
void list(const AttentionBackward& b, int64_t s, int64_t key_head, int64_t steps, Ahead& ahead) {
  const Attention& p = b.forward;
  const HeadView head(p, s, key_head * (p.heads / p.key_heads));
  const int64_t queries = smaller(head.queries, kQueries), keys = smaller(head.keys, 2 * kKeys);
  const int64_t row = head.first_query * p.out_stride + head.h * p.value_width;
  ahead.begin(steps);
  ahead.add(head.k, p.k_stride, keys, p.width);
  ahead.add(head.v, p.v_stride, keys, p.value_width);
  ahead.add(head.q, p.q_stride, queries, p.width);
  ahead.add(b.dout + row, p.out_stride, queries, p.value_width);
  ahead.add(p.out + row, p.out_stride, queries, p.value_width);
  ahead.add(b.dv + head.first_key * b.dv_stride + key_head * p.value_width, b.dv_stride, keys, p.value_width);
  ahead.add(b.dk + head.first_key * b.dk_stride + key_head * p.width, b.dk_stride, keys, p.width);
  ahead.add(b.dq + head.first_query * b.dq_stride + head.h * p.width, b.dq_stride, queries, p.width);
}

template <Format format>
void run(KernelContext& context, const AttentionBackward& b) {
  const Attention& p = b.forward;
  int64_t longest = 0;
  for (int64_t s = 0; s < p.sequences; ++s) longest = larger(longest, p.k_offsets[s + 1] - p.k_offsets[s]);
  const int64_t units = p.sequences * p.key_heads;
  context.scratch->reserve(context.pool->threads());
  parallel_for(*context.pool, units, grain_of(units), [&](int64_t first, int64_t last, int worker) {
    const size_t bytes = static_cast<size_t>(Memory::size(p, longest)) * sizeof(float);
    Memory memory(p, longest, static_cast<float*>(context.scratch->get(worker, bytes)));
    BlockMask mask(p);
    Ahead ahead;
    for (int64_t unit = first; unit < last; ++unit) {
      if (unit + 1 < units) list(b, (unit + 1) / p.key_heads, (unit + 1) % p.key_heads, 20, ahead);
      key_head_gradients<format>(b, unit / p.key_heads, unit % p.key_heads, mask, memory, ahead);
    }
  });
}

}  // namespace

void attention_backward(KernelContext& context, const AttentionBackward& b) noexcept {
  if (b.forward.product == Format::bf16) return run<Format::bf16>(context, b);
  run<Format::f32>(context, b);
}

}  // namespace attend::kernels::ATTEND_LEVEL
