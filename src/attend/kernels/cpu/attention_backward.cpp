// Backward of attention. With the weights P recomputed from Q, K and the log-sum-exp, and D = rowsum(dO ∘ O):
//   dV = PᵀdO,  dP = dO·Vᵀ,  dS = P ∘ (dP - D),  dQ = scale·dS·K,  dK = scale·dSᵀ·Q.
// A task is one key head of one sequence: it alone writes its rows of dK and dV, in a fixed order.
#include "attend/kernels/cpu/attention_block.hpp"
#include "attend/kernels/cpu/entries.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

// The scratch of one worker. dk and dv are used where a head's width is no whole number of vectors.
struct Memory {
  float *weights, *slopes, *gradients, *q_transposed, *dout_transposed, *q, *dout, *k, *dq, *dk, *dv, *lse, *d;

  static int64_t size(const Attention& p, int64_t longest) {
    const int64_t width = round_up(p.width, kLanes), value_width = round_up(p.value_width, kLanes);
    return 3 * kKeys * kQueries + kQueries * (3 * width + 2 * value_width + 2) + (kKeys + longest) * width +
           longest * value_width;
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
    take(k, kKeys * width);
    take(dq, kQueries * width);
    take(dk, longest * width);
    take(dv, longest * value_width);
    take(lse, kQueries);
    take(d, kQueries);
  }
};

// Rows that a product adds to: the matrix itself if whole vectors fit, else the scratch, copied at the end.
struct Sums {
  float* data;
  int64_t step;

  Sums(float* x, int64_t stride, int64_t rows, int64_t width, float* memory)
      : data(width % kLanes == 0 ? x : memory), step(width % kLanes == 0 ? stride : round_up(width, kLanes)) {
    for (int64_t i = 0; i < rows; ++i)
      __builtin_memset(data + i * step, 0, static_cast<size_t>(round_up(width, kLanes)) * sizeof(float));
  }
  void finish(float* x, int64_t stride, int64_t rows, int64_t width) const {
    if (data == x) return;
    for (int64_t i = 0; i < rows; ++i)
      for_vectors(0, width, [&](int64_t j, auto n) { store(x + i * stride + j, load(data + i * step + j), n); });
  }
};

// Scores become weights (with dropout: those that were kept), dP becomes scale·dS.
void block_gradients(const Attention& p, float factor, int64_t count, int64_t lanes, const BlockMask& mask, Memory& m) {
  const bool capped = p.softcap > 0;
  for (int64_t i = 0; i < lanes; i += kLanes) {
    const Vec lse = load(m.lse + i), d = load(m.d + i);
    for (int64_t j = 0; j < count; ++j) {
      float* weights = m.weights + j * kQueries + i;
      float* gradients = m.gradients + j * kQueries + i;
      const Vec weight = exp(fma(load(weights), splat(factor), -lse));
      Vec dp = load(gradients), kept = weight;
      if (mask.on()) {
        const Vec keep = mask.at(j, i);
        kept = weight * keep;
        dp *= keep;
      }
      Vec ds = weight * (dp - d) * p.scale;
      if (capped) ds *= load(m.slopes + j * kQueries + i);
      store(weights, kept);
      store(gradients, ds);
    }
  }
}

void query_block(const AttentionBackward& b, const HeadView& head, int64_t query, const Sums& dk, const Sums& dv,
                 Memory& m) {
  const Attention& p = b.forward;
  const int64_t queries = smaller(kQueries, head.queries - query), lanes = round_up(queries, kLanes);
  const int64_t width = round_up(p.width, kLanes), value_width = round_up(p.value_width, kLanes);
  const int64_t row = head.first_query + query;
  const float* rows_q = head.q + query * p.q_stride;
  const float* rows_dout = b.dout + row * p.out_stride + head.h * p.value_width;
  const float* rows_out = p.out + row * p.out_stride + head.h * p.value_width;
  const float* lse = p.lse + head.h * p.q_offsets[p.sequences] + row;

  transpose_rows(rows_q, p.q_stride, queries, p.width, m.q_transposed);
  transpose_rows(rows_dout, p.out_stride, queries, p.value_width, m.dout_transposed);
  const Rows q = whole_rows(rows_q, p.q_stride, queries, p.width, m.q);
  const Rows dout = whole_rows(rows_dout, p.out_stride, queries, p.value_width, m.dout);
  for (int64_t i = 0; i < lanes; ++i) {
    // A row without keys, or none at all: e^(score - ∞) = 0.
    m.lse[i] = i < queries && lse[i] != -kInfinity ? lse[i] : kInfinity;
    Vec d{};
    if (i < queries)
      for_vectors(0, p.value_width, [&](int64_t c, auto n) {
        d = fma(load(rows_dout + i * p.out_stride + c, n), load(rows_out + i * p.out_stride + c, n), d);
      });
    m.d[i] = sum(d);
  }

  BlockMask mask(p, head);
  const int64_t visible = head.visible(p, query + queries);
  for (int64_t key = 0; key < visible; key += kKeys) {
    const int64_t count = smaller(kKeys, visible - key);
    const float factor = score_block(p, head, query, queries, key, count, m.q_transposed, m.weights, m.slopes);
    block_product<0>(count, lanes, p.value_width, head.v + key * p.v_stride, p.v_stride, 1, m.dout_transposed, kQueries,
                     m.gradients, kQueries, false);
    if (mask.on()) mask.begin(query, queries, key);
    block_gradients(p, factor, count, lanes, mask, m);
    const Rows k = whole_rows(head.k + key * p.k_stride, p.k_stride, count, p.width, m.k);
    block_product<kQueries>(count, value_width, queries, m.weights, kQueries, 1, dout.data, dout.step,
                            dv.data + key * dv.step, dv.step, true);
    block_product<kQueries>(count, width, queries, m.gradients, kQueries, 1, q.data, q.step, dk.data + key * dk.step,
                            dk.step, true);
    block_product<1>(queries, width, count, m.gradients, 1, kQueries, k.data, k.step, m.dq, width, key > 0);
  }
  for (int64_t i = 0; i < queries; ++i) {
    float* dq = b.dq + (row + i) * b.dq_stride + head.h * p.width;
    for_vectors(0, p.width,
                [&](int64_t c, auto n) { store(dq + c, visible > 0 ? load(m.dq + i * width + c) : Vec{}, n); });
  }
}

}  // namespace

void attention_backward(KernelContext& context, const AttentionBackward& b) noexcept {
  const Attention& p = b.forward;
  int64_t longest = 0;
  for (int64_t s = 0; s < p.sequences; ++s) longest = larger(longest, p.k_offsets[s + 1] - p.k_offsets[s]);
  const int64_t group = p.heads / larger(1, p.key_heads);
  context.scratch->reserve(context.pool->threads());
  parallel_for(*context.pool, p.sequences * p.key_heads, 1, [&](int64_t first, int64_t last, int worker) {
    const size_t bytes = static_cast<size_t>(Memory::size(p, longest)) * sizeof(float);
    Memory memory(p, longest, static_cast<float*>(context.scratch->get(worker, bytes)));
    for (int64_t unit = first; unit < last; ++unit) {
      const int64_t s = unit / p.key_heads, key_head = unit % p.key_heads;
      const int64_t first_key = p.k_offsets[s], keys = p.k_offsets[s + 1] - first_key;
      float* to_dk = b.dk + first_key * b.dk_stride + key_head * p.width;
      float* to_dv = b.dv + first_key * b.dv_stride + key_head * p.value_width;
      const Sums dk(to_dk, b.dk_stride, keys, p.width, memory.dk);
      const Sums dv(to_dv, b.dv_stride, keys, p.value_width, memory.dv);
      for (int64_t h = key_head * group; h < (key_head + 1) * group; ++h) {
        const HeadView head(p, s, h);
        for (int64_t query = 0; query < head.queries; query += kQueries) query_block(b, head, query, dk, dv, memory);
      }
      dk.finish(to_dk, b.dk_stride, keys, p.width);
      dv.finish(to_dv, b.dv_stride, keys, p.value_width);
    }
  });
}

}  // namespace attend::kernels::ATTEND_LEVEL
