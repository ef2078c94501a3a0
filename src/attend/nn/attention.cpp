#include <attend/nn/attention.hpp>
#include <attend/nn/cache.hpp>
#include <attend/ops/arguments.hpp>
#include <attend/ops/attention.hpp>

#include <algorithm>
#include <cmath>

namespace attend {
namespace {

// softmax weights of all sequences, for those who look, on the host: [heads, Tq, Tk] of one, [sequences, heads, Tq, Tk]
// padded with 0 of several.
Tensor all_weights(const Tensor& q, const Tensor& k, const Tensor& lse, const Sequences& queries, const Sequences& keys,
                   const AttentionOptions& options) {
  const int64_t count = queries.count();
  if (count == 1) return attention_weights(q, k, lse, queries.offsets, keys.offsets, options, 0).to(Device::cpu);
  std::vector<Tensor> each;
  int64_t most_queries = 0, most_keys = 0;
  for (int64_t s = 0; s < count; ++s) {
    each.push_back(attention_weights(q, k, lse, queries.offsets, keys.offsets, options, s).to(Device::cpu));
    most_queries = std::max(most_queries, each.back().size(1));
    most_keys = std::max(most_keys, each.back().size(2));
  }
  Tensor all = Tensor::zeros({count, options.heads, most_queries, most_keys});
  for (int64_t s = 0; s < count; ++s) {
    const Tensor& one = each[static_cast<size_t>(s)];
    const float* from = one.data<float>();
    for (int64_t h = 0; h < options.heads; ++h)
      for (int64_t i = 0; i < one.size(1); ++i, from += one.size(2))
        std::copy_n(from, one.size(2), all.data<float>() + ((s * options.heads + h) * most_queries + i) * most_keys);
  }
  return all;
}

// weights·V with weights that somebody edited: the plain sum on the host, head by head.
Tensor weighted_sum(const Tensor& weights, const Tensor& v, const Sequences& queries, const Sequences& keys,
                    int64_t heads) {
  const Tensor q_ends = queries.offsets.to(Device::cpu), k_ends = keys.offsets.to(Device::cpu);
  Tensor out = Tensor::zeros({queries.tokens(), v.size(1)});
  const int64_t width = v.size(1) / heads, most_queries = weights.size(-2), most_keys = weights.size(-1);
  const int32_t *q_offsets = q_ends.data<int32_t>(), *k_offsets = k_ends.data<int32_t>();
  for (int64_t s = 0; s < queries.count(); ++s)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t i = 0; i < q_offsets[s + 1] - q_offsets[s]; ++i)
        for (int64_t j = 0; j < k_offsets[s + 1] - k_offsets[s]; ++j) {
          const float weight = weights.data<float>()[((s * heads + h) * most_queries + i) * most_keys + j];
          const float* value = v.data<float>() + (k_offsets[s] + j) * v.size(1) + h * width;
          float* to = out.data<float>() + (q_offsets[s] + i) * v.size(1) + h * width;
          for (int64_t d = 0; d < width; ++d) to[d] += weight * value[d];
        }
  return out;
}

// The weights of cached attention, from the pages, on the host: [heads, Tq, Tk], or [sequences, heads, Tq, Tk] padded
// with 0.
Tensor cached_weights(kernels::AttentionCached args, Tensor query, Tensor keys, Tensor lse, Tensor ends,
                      Cache::View view) {
  for (Tensor* tensor : {&query, &keys, &lse, &ends, &view.lengths, &view.pages}) *tensor = tensor->to(Device::cpu);
  args.q = query.data<float>();
  args.k_pages = keys.data<float>();
  args.lse = lse.data<float>();
  args.q_offsets = ends.data<int32_t>();
  args.lengths = view.lengths.data<int32_t>();
  args.page_table = view.pages.data<int32_t>();
  const int32_t *offsets = args.q_offsets, *lengths = args.lengths;
  int64_t most_queries = 1, most_keys = 1;
  for (int64_t s = 0; s < args.sequences; ++s) {
    most_queries = std::max<int64_t>(most_queries, offsets[s + 1] - offsets[s]);
    most_keys = std::max<int64_t>(most_keys, lengths[s]);
  }
  const int64_t rows = offsets[args.sequences];
  Tensor weights = Tensor::zeros({args.sequences, args.heads, most_queries, most_keys});
  for (int64_t s = 0; s < args.sequences; ++s) {
    const int32_t* pages = args.page_table + s * args.max_pages;
    const int64_t queries = offsets[s + 1] - offsets[s];
    for (int64_t h = 0; h < args.heads; ++h)
      for (int64_t i = 0; i < queries; ++i) {
        const int64_t row = offsets[s] + i, seen = args.causal ? lengths[s] - queries + i + 1 : lengths[s];
        const float* q = args.q + row * args.q_stride + h * args.width;
        float* to = weights.data<float>() + ((s * args.heads + h) * most_queries + i) * most_keys;
        for (int64_t j = 0; j < seen; ++j) {
          const float* k = args.k_pages +
                           (pages[j / args.page_size] * args.page_size + j % args.page_size) * args.k_stride +
                           h * args.width;
          float score = 0;
          for (int64_t d = 0; d < args.width; ++d) score += q[d] * k[d];
          to[j] = std::exp(score * args.scale - args.lse[h * rows + row]);
        }
      }
  }
  return args.sequences == 1 ? weights.view({args.heads, most_queries, most_keys}) : weights;
}

}  // namespace

Tensor MultiHeadAttention::attend(Pass& pass, const Tensor& x, const Sequences& sequences, const Tensor& memory,
                                  const Sequences& sources, bool causal) const {
  const Tensor q = pass.observe("query", query(x)), k = pass.observe("key", key(memory)),
               v = pass.observe("value", value(memory));
  AttentionOptions options{.heads = heads, .causal = causal, .dropout = pass.dropout(dropout, "weights")};
  AttentionResult result = attention(q, k, v, sequences.offsets, sources.offsets, options);
  if (pass.wants("weights") || pass.edits("weights")) {
    const Tensor weights = pass.observe("weights", all_weights(q, k, result.lse, sequences, sources, options));
    if (pass.edits("weights"))
      result.out = weighted_sum(weights, v.to(Device::cpu), sequences, sources, heads).to(q.device());
  }
  return out(pass.observe("mixed", result.out));
}

Tensor MultiHeadAttention::attend_cached(Pass& pass, const Tensor& x, const Sequences& sequences, bool source) const {
  Cache& cache = *pass.cache;
  PagedStore& store = source ? cache.source() : cache.self();
  const Cache::View& view = source ? cache.source_view() : cache.self_view();
  const Tensor q = pass.observe("query", query(x));
  if (!source) {
    const Tensor k = pass.observe("key", key(x)), v = pass.observe("value", value(x));
    int64_t row = 0;
    for (size_t i = 0; i < cache.active().size(); ++i) {
      const PagedStore::Sequence& sequence = cache.self_sequence(cache.active()[i]);
      const int64_t count = cache.counts()[i];
      store.write(layer, sequence, sequence.length - count, k, v, row, count);
      row += count;
    }
  }
  const int64_t width = q.size(1) / heads, value_width = store.value_width() / heads;
  const Device device = ops::device_of("attention", {&q, &store.keys(layer), &view.pages});
  const Tensor offsets = ops::indices(sequences.offsets, device, "attention: offsets");
  Tensor mixed = ops::result({q.size(0), heads * value_width}, device);
  Tensor lse = pass.wants("weights") ? ops::result({heads, q.size(0)}, device) : Tensor{};
  kernels::AttentionCached args{};
  args.sequences = sequences.count();
  args.heads = args.key_heads = heads;
  args.width = width;
  args.value_width = value_width;
  args.page_size = PagedStore::page_size;
  args.max_pages = view.max_pages;
  args.q_offsets = ops::i32(offsets, "attention: offsets");
  args.lengths = ops::i32(view.lengths, "attention: lengths");
  args.page_table = ops::i32(view.pages, "attention: pages");
  args.q = ops::f32(q, "attention: q");
  args.q_stride = q.size(1);
  args.k_pages = ops::f32(store.keys(layer), "attention: key pages");
  args.v_pages = ops::f32(store.values(layer), "attention: value pages");
  args.k_stride = store.key_width();
  args.v_stride = store.value_width();
  args.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(width)));
  args.causal = !source;
  args.out = ops::f32(mixed, "attention: out");
  args.out_stride = mixed.size(1);
  args.lse = ops::f32(lse, "attention: lse");
  ops::run(device, &kernels::KernelTable::attention_cached, args);
  if (lse.defined()) pass.observe("weights", cached_weights(args, q, store.keys(layer), lse, offsets, view));
  return out(pass.observe("mixed", mixed));
}

Tensor MultiHeadAttention::self(Pass& pass, const Tensor& x, const Sequences& sequences, bool causal) const {
  Pass::Scope scope(pass, "attention");
  if (pass.cache && causal) return attend_cached(pass, x, sequences, false);
  return attend(pass, x, sequences, x, sequences, causal);
}

Tensor MultiHeadAttention::cross(Pass& pass, const Tensor& x, const Sequences& sequences, const Tensor& memory,
                                 const Sequences& sources) const {
  Pass::Scope scope(pass, "cross");
  if (pass.cache) return attend_cached(pass, x, sequences, true);
  return attend(pass, x, sequences, memory, sources, false);
}

void MultiHeadAttention::remember(Cache& cache, std::span<const int> slots, const Tensor& memory) const {
  const Tensor k = key(memory), v = value(memory);
  int64_t row = 0;
  for (size_t s = 0; s < slots.size(); ++s) {
    const PagedStore::Sequence& sequence = cache.source_sequence(slots[s]);
    cache.source().write(layer, sequence, 0, k, v, row, sequence.length);
    row += sequence.length;
  }
}

}  // namespace attend
