// Attention of a few new queries against keys and values in pages. Bound by reading the cache: one pass over the keys
// for the scores, one over the values for the weighted sum.
#include "attend/kernels/cpu/entries.hpp"
#include "attend/kernels/cpu/math.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

// out[r] = q·k[r·stride …] for `rows` rows at once, so that their chains overlap.
template <int rows>
ATTEND_INLINE void dots(const float* q, const float* k, int64_t stride, int64_t width, float* out) {
  Vec total[rows] = {};
  for_vectors(0, width, [&](int64_t c, auto n) {
    const Vec query = load(q + c, n);
#pragma GCC unroll 4
    for (int r = 0; r < rows; ++r) total[r] = fma(query, load(k + r * stride + c, n), total[r]);
  });
#pragma GCC unroll 4
  for (int r = 0; r < rows; ++r) out[r] = sum(total[r]);
}

// The pages of one sequence.
struct Pages {
  const int32_t* table;
  int64_t size, keys;

  // body(key, row, count): the keys key … key+count-1 lie in the rows from `row` on.
  template <class Body>
  void each(const Body& body) const {
    for (int64_t key = 0, page = 0; key < keys; key += size, ++page)
      body(key, table[page] * size, smaller(size, keys - key));
  }
};

// scores[j] = q·k_j
void score_keys(const AttentionCached& p, const Pages& pages, const float* q, int64_t key_head, float* scores) {
  pages.each([&](int64_t key, int64_t row, int64_t count) {
    const float* k = p.k_pages + row * p.k_stride + key_head * p.width;
    int64_t j = 0;
    for (; j + 4 <= count; j += 4) dots<4>(q, k + j * p.k_stride, p.k_stride, p.width, scores + key + j);
    for (; j < count; ++j) dots<1>(q, k + j * p.k_stride, p.k_stride, p.width, scores + key + j);
  });
}

// Scores become e^(factor·score - top), capped before; the sum and top are returned.
float weigh(const AttentionCached& p, int64_t keys, float* scores, float& top) {
  Vec most = splat(-kInfinity);
  for_vectors(0, keys, [&](int64_t j, auto n) {
    Vec x = load(scores + j, n) * p.scale;
    if (p.softcap > 0) x = p.softcap * tanh(x / p.softcap);
    store(scores + j, x, n);
    most = max(most, select(lane_numbers() < static_cast<int32_t>(n), x, splat(-kInfinity)));
  });
  top = max_of(most);
  Vec total{};
  for_vectors(0, keys, [&](int64_t j, auto n) {
    const Vec e = select(lane_numbers() < static_cast<int32_t>(n), exp(load(scores + j, n) - top), Vec{});
    store(scores + j, e, n);
    total += e;
  });
  return sum(total);
}

// out[c …] = factor·Σ_j weights[j]·v_j[c …] for `vectors` vectors, the last one with n lanes.
template <int vectors, class Count>
ATTEND_INLINE void sum_values(const AttentionCached& p, const Pages& pages, const float* weights, int64_t column,
                              float factor, float* out, Count n) {
  Vec total[vectors] = {};
  pages.each([&](int64_t key, int64_t row, int64_t count) {
    const float* v = p.v_pages + row * p.v_stride + column;
    for (int64_t j = 0; j < count; ++j, v += p.v_stride) {
      const Vec weight = splat(weights[key + j]);
#pragma GCC unroll 4
      for (int i = 0; i < vectors; ++i)
        total[i] = fma(weight, i + 1 < vectors ? load(v + i * kLanes) : load(v + i * kLanes, n), total[i]);
    }
  });
#pragma GCC unroll 4
  for (int i = 0; i < vectors; ++i) {
    const Vec result = total[i] * factor;
    if (i + 1 < vectors) {
      store(out + i * kLanes, result);
    } else {
      store(out + i * kLanes, result, n);
    }
  }
}

}  // namespace

void attention_cached(KernelContext& context, const AttentionCached& p) noexcept {
  const int64_t rows = p.q_offsets[p.sequences], group = p.heads / larger(1, p.key_heads);
  context.scratch->reserve(context.pool->threads());
  parallel_for(*context.pool, p.sequences * p.heads, 1, [&](int64_t first, int64_t last, int worker) {
    for (int64_t unit = first; unit < last; ++unit) {
      const int64_t s = unit / p.heads, h = unit % p.heads, key_head = h / group;
      const int64_t queries = p.q_offsets[s + 1] - p.q_offsets[s], length = p.lengths[s];
      float* weights =
          static_cast<float*>(context.scratch->get(worker, static_cast<size_t>(length + kLanes) * sizeof(float)));
      for (int64_t i = 0; i < queries; ++i) {
        const int64_t row = p.q_offsets[s] + i;
        const Pages pages{p.page_table + s * p.max_pages, p.page_size,
                          p.causal ? smaller(length, i + length - queries + 1) : length};
        float* out = p.out + row * p.out_stride + h * p.value_width;
        float lse = -kInfinity;
        if (pages.keys > 0) {
          score_keys(p, pages, p.q + row * p.q_stride + h * p.width, key_head, weights);
          float top = 0;
          const float total = weigh(p, pages.keys, weights, top);
          lse = top + log(splat(total))[0];
          int64_t c = 0;
          const int64_t column = key_head * p.value_width;
          for (; c + 4 * kLanes <= p.value_width; c += 4 * kLanes)
            sum_values<4>(p, pages, weights, column + c, 1 / total, out + c, AllLanes{});
          for_vectors(c, p.value_width, [&](int64_t at, auto n) {
            sum_values<1>(p, pages, weights, column + at, 1 / total, out + at, n);
          });
        } else {
          __builtin_memset(out, 0, static_cast<size_t>(p.value_width) * sizeof(float));
        }
        if (p.lse != nullptr) p.lse[h * rows + row] = lse;
      }
    }
  });
}

}  // namespace attend::kernels::ATTEND_LEVEL
