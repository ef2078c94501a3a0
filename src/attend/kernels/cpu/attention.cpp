// Attention(Q,K,V) = softmax(scale·QKᵀ + bias)V, block by block with a running maximum and sum, so that no score
// outlives its block (Milakov & Gimelshein 2018; Dao et al. 2022).
#include "attend/kernels/cpu/attention_block.hpp"
#include "attend/kernels/cpu/entries.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

constexpr int64_t kGroup = 4 * kQueries;  // the queries that share one copy of a block of keys and values

// The scratch of one worker. Maxima and sums are those of 2^(score·log₂e).
struct Memory {
  float *k, *v, *weights, *q_transposed, *out, *top, *total, *correction;

  static int64_t size(const Attention& p) {
    const int64_t width = round_up(p.width, kLanes), value_width = round_up(p.value_width, kLanes);
    return kKeys * (width + value_width + kQueries) + kGroup * (width + value_width + 2) + kQueries;
  }
  Memory(const Attention& p, float* at) {
    const int64_t width = round_up(p.width, kLanes), value_width = round_up(p.value_width, kLanes);
    const auto take = [&](float*& part, int64_t size) { part = at, at += size; };
    take(k, kKeys * width);
    take(v, kKeys * value_width);
    take(weights, kKeys * kQueries);
    take(q_transposed, kGroup * width);
    take(out, kGroup * value_width);
    take(top, kGroup);
    take(total, kGroup);
    take(correction, kQueries);
  }
};

// Turns the scores of a block into weights e^(score - top), brings top and total up to date, and says in `correction`
// by how much what was summed before must shrink.
void block_softmax(float factor, const Block& block, const BlockMask& mask, float* weights, float* tops, float* totals,
                   float* corrections) {
  for (int64_t i = 0; i < block.lanes; i += kLanes) {
    float* scores = weights + i;
    const int64_t count = block.seen(i + kLanes - 1);
    const Vec before = load(tops + i), factors = splat(factor);
    Vec top = splat(-kInfinity), other = top;
    int64_t j = 0;
    for (; j + 2 <= count; j += 2) {
      top = max(top, load(scores + j * kQueries));
      other = max(other, load(scores + (j + 1) * kQueries));
    }
    if (j < count) top = max(top, load(scores + j * kQueries));
    top = max(before, max(top, other) * factors);
    const Vec shift = select(top == -kInfinity, Vec{}, -top);  // 0 for a row that has seen no key yet
    Vec sum{}, sum2{};
    for (j = 0; j + 2 <= count; j += 2) {
      const Vec a = exp2(fma(load(scores + j * kQueries), factors, shift) * kLog2E);
      const Vec b = exp2(fma(load(scores + (j + 1) * kQueries), factors, shift) * kLog2E);
      sum += a;
      sum2 += b;
      store(scores + j * kQueries, a);
      store(scores + (j + 1) * kQueries, b);
    }
    if (j < count) {
      const Vec a = exp2(fma(load(scores + j * kQueries), factors, shift) * kLog2E);
      sum += a;
      store(scores + j * kQueries, a);
    }
    const Vec correction = exp2((before + shift) * kLog2E);
    store(tops + i, top);
    store(totals + i, fma(load(totals + i), correction, sum + sum2));
    store(corrections + i, correction);
    if (mask.on())
      for (j = 0; j < count; ++j) store(scores + j * kQueries, load(scores + j * kQueries) * mask.at(block, j, i));
    clear_below(scores, count, block.count);
  }
}

// The top becomes the log-sum-exp and the total its inverse: 0 without any key. NaN must come through.
void finish_rows(float* lse, int64_t queries, float* tops, float* totals) {
  for (int64_t i = 0; i < queries; i += kLanes) {
    const Vec total = load(totals + i);
    const Int dead = total == 0.0f;
    store(tops + i, select(dead, splat(-kInfinity), load(tops + i) + log(total)));
    store(totals + i, select(dead, Vec{}, 1.0f / total));
  }
  __builtin_memcpy(lse, tops, static_cast<size_t>(queries) * sizeof(float));
}

// The queries [begin, end) of a head against all its keys.
template <Format format>
class Group {
 public:
  Group(const Attention& p, const HeadView& head, int64_t begin, BlockMask* masks, Memory& m, Ahead& ahead)
      : p_(p),
        head_(head),
        begin_(begin),
        end_(smaller(begin + kGroup, head.queries)),
        visible_(head.visible(p, end_)),
        value_width_(round_up(p.value_width, kLanes)),
        masks_(masks),
        m_(m),
        ahead_(ahead) {}

  // next(…) lists in `ahead` what the worker does afterwards.
  template <class Next>
  void run(const Next& next) {
    for (int64_t query = begin_; query < end_; query += kQueries) start(query);
    for (int64_t key = 0; key < visible_; key += kKeys) {
      const int64_t count = smaller(kKeys, visible_ - key);
      const Rows k =
          rows_for<format>(end_ - begin_ > kQueries, head_.k + key * p_.k_stride, p_.k_stride, count, p_.width, m_.k);
      pack_across<format>(head_.v + key * p_.v_stride, p_.v_stride, count, p_.value_width, m_.v);
      ahead_.begin(divide_up(end_ - begin_, kQueries) * (divide_up(count, kBlockRows) + kQueries / kBlockRows));
      if (key + kKeys < visible_) {
        list_keys(p_, head_, key + kKeys, ahead_);
      } else {
        next(ahead_);
      }
      for (int64_t query = begin_; query < end_; query += kQueries) block(query, key, k);
    }
  }

  static void list_keys(const Attention& p, const HeadView& head, int64_t key, Ahead& ahead) {
    const int64_t count = smaller(kKeys, head.keys - key);
    ahead.add(head.k + key * p.k_stride, p.k_stride, count, p.width);
    ahead.add(head.v + key * p.v_stride, p.v_stride, count, p.value_width);
  }

 private:
  float* rows_of(int64_t query) const {
    return p_.out + (head_.first_query + query) * p_.out_stride + head_.h * p_.value_width;
  }
  float* lse_of(int64_t query) const {
    return p_.lse + head_.h * p_.q_offsets[p_.sequences] + head_.first_query + query;
  }

  void start(int64_t query) {
    const int64_t queries = smaller(kQueries, end_ - query), at = query - begin_;
    transpose_rows<format>(head_.q + query * p_.q_stride, p_.q_stride, queries, p_.width, q_transposed(query));
    for (int64_t i = 0; i < round_up(queries, kLanes); i += kLanes) {
      store(m_.top + at + i, splat(-kInfinity));
      store(m_.total + at + i, Vec{});
    }
    if (head_.visible(p_, query + queries) > 0) return;
    for (int64_t i = 0; i < queries; ++i) {
      __builtin_memset(rows_of(query + i), 0, static_cast<size_t>(p_.value_width) * sizeof(float));
      lse_of(query)[i] = -kInfinity;
    }
  }

  float* q_transposed(int64_t query) const { return m_.q_transposed + (query - begin_) * round_up(p_.width, kLanes); }

  void block(int64_t query, int64_t key, Rows k) {
    const int64_t visible = head_.visible(p_, smaller(query + kQueries, end_)), at = query - begin_;
    if (key >= visible) return;
    const Block block(p_, head_, query, key, visible);
    const float factor = score_block<format>(p_, head_, block, k, q_transposed(query), m_.weights, nullptr, ahead_);
    BlockMask& mask = masks_[at / kQueries];
    mask.begin(head_, block);
    block_softmax(factor, block, mask, m_.weights, m_.top + at, m_.total + at, m_.correction);

    weights_over_keys<format>(block, m_.weights, m_.weights);
    const bool last = key + kKeys >= visible, whole = p_.value_width == value_width_;
    float* sums = m_.out + at * value_width_;
    BlockProduct product{m_.weights, 1, kQueries, m_.v, value_width_, sums, value_width_};
    if (key > 0) product.accumulate = true, product.before = m_.correction;
    if (last) {
      finish_rows(lse_of(query), block.queries, m_.top + at, m_.total + at);
      product.after = m_.total + at;
      if (whole) product.out = rows_of(query), product.out_step = p_.out_stride;
    }
    block_product<format, 1>(block.queries, value_width_, product, ahead_,
                             [&](int64_t, int64_t end) { return block.template query_depth<format>(end); });
    if (!last) return;
    for (int64_t i = 0; i < block.queries; ++i) {
      float* out = rows_of(query + i);
      if (m_.top[at + i] == -kInfinity) {  // what it does not see may be no number
        __builtin_memset(out, 0, static_cast<size_t>(p_.value_width) * sizeof(float));
      } else if (!whole) {
        for_vectors(0, p_.value_width,
                    [&](int64_t c, auto n) { store(out + c, load(sums + i * value_width_ + c), n); });
      }
    }
  }

  const Attention& p_;
  const HeadView& head_;
  const int64_t begin_, end_, visible_, value_width_;
  BlockMask* masks_;
  Memory& m_;
  Ahead& ahead_;
};

template <Format format>
void run(KernelContext& context, const Attention& p) {
  int64_t longest = 0;
  for (int64_t s = 0; s < p.sequences; ++s) longest = larger(longest, p.q_offsets[s + 1] - p.q_offsets[s]);
  const int64_t groups = divide_up(longest, kGroup), units = p.sequences * p.heads * groups;
  context.scratch->reserve(context.pool->threads());
  parallel_for(*context.pool, units, grain_of(units), [&](int64_t first, int64_t last, int worker) {
    Memory memory(
        p, static_cast<float*>(context.scratch->get(worker, static_cast<size_t>(Memory::size(p)) * sizeof(float))));
    BlockMask masks[kGroup / kQueries] = {BlockMask(p), BlockMask(p), BlockMask(p), BlockMask(p)};
    Ahead ahead;
    const auto head_of = [&](int64_t unit) { return HeadView(p, unit / groups / p.heads, unit / groups % p.heads); };
    // The long ones first, if causal.
    const auto query_of = [&](int64_t unit) { return (groups - 1 - unit % groups) * kGroup; };
    for (int64_t unit = first; unit < last; ++unit) {
      const HeadView head = head_of(unit);
      const int64_t query = query_of(unit);
      if (query >= head.queries) continue;
      Group<format>(p, head, query, masks, memory, ahead).run([&](Ahead& list) {
        if (unit + 1 == units) return;  // it is likely to follow, even if in another task
        const HeadView next = head_of(unit + 1);
        const int64_t at = query_of(unit + 1);
        if (at >= next.queries) return;
        list.add(next.q + at * p.q_stride, p.q_stride, smaller(kGroup, next.queries - at), p.width);
        Group<format>::list_keys(p, next, 0, list);
      });
    }
  });
}

}  // namespace

void attention(KernelContext& context, const Attention& p) noexcept {
  if (p.product == Format::bf16) return run<Format::bf16>(context, p);
  run<Format::f32>(context, p);
}

}  // namespace attend::kernels::ATTEND_LEVEL
