// Attention(Q,K,V) = softmax(scale·QKᵀ + bias)V, block by block with a running maximum and sum, so that no score
// outlives its block (Milakov & Gimelshein 2018; Dao et al. 2022).
#include "attend/kernels/cpu/attention_block.hpp"
#include "attend/kernels/cpu/entries.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

// The scratch of one worker.
struct Memory {
  float *q_transposed, *weights, *out, *values, *top, *total, *correction;

  static int64_t size(const Attention& p) {
    return kQueries * (p.width + kKeys + round_up(p.value_width, kLanes) + 3) + kKeys * round_up(p.value_width, kLanes);
  }
  Memory(const Attention& p, float* at) {
    const int64_t padded = round_up(p.value_width, kLanes);
    weights = at, at += kKeys * kQueries;
    out = at, at += kQueries * padded;
    values = at, at += kKeys * padded;
    top = at, at += kQueries;
    total = at, at += kQueries;
    correction = at, at += kQueries;
    q_transposed = at;
  }
};

// Turns the scores of a block into weights e^(score - top), brings top and total up to date, and says in `correction`
// by how much what was summed before must shrink. False if nothing has to.
bool block_softmax(float factor, int64_t count, int64_t lanes, const BlockMask& mask, Memory& m) {
  bool shrinks = false;
  for (int64_t i = 0; i < lanes; i += kLanes) {
    float* scores = m.weights + i;
    const Vec before = load(m.top + i);
    Vec top = splat(-kInfinity), other = top;
    int64_t j = 0;
    for (; j + 2 <= count; j += 2) {
      top = max(top, load(scores + j * kQueries));
      other = max(other, load(scores + (j + 1) * kQueries));
    }
    if (j < count) top = max(top, load(scores + j * kQueries));
    top = max(before, max(top, other) * factor);
    const Vec shift = select(top == -kInfinity, Vec{}, top);  // a row that has seen no key yet
    Vec sum{}, sum2{};
    for (j = 0; j + 2 <= count; j += 2) {
      const Vec a = exp(fma(load(scores + j * kQueries), splat(factor), -shift));
      const Vec b = exp(fma(load(scores + (j + 1) * kQueries), splat(factor), -shift));
      sum += a;
      sum2 += b;
      store(scores + j * kQueries, a);
      store(scores + (j + 1) * kQueries, b);
    }
    if (j < count) {
      const Vec a = exp(fma(load(scores + j * kQueries), splat(factor), -shift));
      sum += a;
      store(scores + j * kQueries, a);
    }
    const Vec correction = exp(before - shift);
    store(m.top + i, top);
    store(m.total + i, fma(load(m.total + i), correction, sum + sum2));
    store(m.correction + i, correction);
    for (int64_t lane = 0; lane < kLanes; ++lane) shrinks = shrinks || m.correction[i + lane] != 1;
    if (mask.on())
      for (j = 0; j < count; ++j) {
        const Vec keep = mask.at(j, i);
        store(scores + j * kQueries, load(scores + j * kQueries) * keep);
      }
  }
  return shrinks;
}

void query_block(const Attention& p, const HeadView& head, int64_t query, BlockMask& mask, Memory& m) {
  const int64_t queries = smaller(kQueries, head.queries - query), lanes = round_up(queries, kLanes);
  const int64_t rows = p.q_offsets[p.sequences], padded = round_up(p.value_width, kLanes);
  transpose_rows(head.q + query * p.q_stride, p.q_stride, queries, p.width, m.q_transposed);
  for (int64_t i = 0; i < lanes; i += kLanes) {
    store(m.top + i, splat(-kInfinity));
    store(m.total + i, Vec{});
  }
  const int64_t visible = head.visible(p, query + queries);
  for (int64_t key = 0; key < visible; key += kKeys) {
    const int64_t count = smaller(kKeys, visible - key);
    const float factor = score_block(p, head, query, queries, key, count, m.q_transposed, m.weights, nullptr);
    if (mask.on()) mask.begin(query, queries, key);
    const bool shrinks = block_softmax(factor, count, lanes, mask, m);
    if (key > 0 && shrinks)
      for (int64_t i = 0; i < queries; ++i)
        for (int64_t c = 0; c < padded; c += kLanes) {
          float* at = m.out + i * padded + c;
          store(at, load(at) * m.correction[i]);
        }
    const Rows v = whole_rows(head.v + key * p.v_stride, p.v_stride, count, p.value_width, m.values);
    block_product<1>(queries, padded, count, m.weights, 1, kQueries, v.data, v.step, m.out, padded, key > 0);
  }
  // top becomes the log-sum-exp and total its inverse. A row without any key has total 0; NaN must come through.
  for (int64_t i = 0; i < lanes; i += kLanes) {
    const Vec total = load(m.total + i);
    store(m.top + i, select(total == 0.0f, splat(-kInfinity), load(m.top + i) + log(total)));
    store(m.total + i, 1.0f / total);
  }
  const int64_t row = head.first_query + query;
  __builtin_memcpy(p.lse + head.h * rows + row, m.top, static_cast<size_t>(queries) * sizeof(float));
  for (int64_t i = 0; i < queries; ++i) {
    float* out = p.out + (row + i) * p.out_stride + head.h * p.value_width;
    if (m.top[i] == -kInfinity) {
      __builtin_memset(out, 0, static_cast<size_t>(p.value_width) * sizeof(float));
      continue;
    }
    const Vec inverse = splat(m.total[i]);
    for_vectors(0, p.value_width,
                [&](int64_t c, auto n) { store(out + c, load(m.out + i * padded + c) * inverse, n); });
  }
}

}  // namespace

void attention(KernelContext& context, const Attention& p) noexcept {
  int64_t longest = 0;
  for (int64_t s = 0; s < p.sequences; ++s) longest = larger(longest, p.q_offsets[s + 1] - p.q_offsets[s]);
  const int64_t blocks = divide_up(longest, kQueries);
  context.scratch->reserve(context.pool->threads());
  parallel_for(*context.pool, p.sequences * p.heads * blocks, 1, [&](int64_t first, int64_t last, int worker) {
    Memory memory(
        p, static_cast<float*>(context.scratch->get(worker, static_cast<size_t>(Memory::size(p)) * sizeof(float))));
    for (int64_t unit = first; unit < last; ++unit) {
      const int64_t query = (blocks - 1 - unit % blocks) * kQueries;  // the long ones first, if causal
      const HeadView head(p, unit / blocks / p.heads, unit / blocks % p.heads);
      if (query >= head.queries) continue;
      BlockMask mask(p, head);
      query_block(p, head, query, mask, memory);
    }
  });
}

}  // namespace attend::kernels::ATTEND_LEVEL
