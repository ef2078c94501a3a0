#include "attend/kernels/work.hpp"

#include <algorithm>

namespace attend::kernels {
namespace {

double number(int64_t x) { return static_cast<double>(x); }
double floats(int64_t rows, int64_t columns) { return 4.0 * number(rows) * number(columns); }
double size_of(Format format) { return format == Format::f32 ? 4 : 2; }
int present(const void* array) { return array != nullptr ? 1 : 0; }

// Pairs of query and key of one sequence that may see each other; causal is aligned to the end.
double visible_pairs(int64_t queries, int64_t keys, bool causal) {
  if (!causal) return number(queries) * number(keys);
  // Query i sees keys-queries+1+i of them: those that see any form an arithmetic series that ends at `keys`.
  const int64_t seeing = std::min(queries, keys), fewest = keys - seeing + 1;
  return 0.5 * number(seeing) * number(fewest + keys);
}

struct Extent {
  int64_t queries = 0, keys = 0, longest = 0;
  double pairs = 0;  // of one head
};

Extent extent(const Attention& p) {
  Extent e;
  for (int64_t s = 0; s < p.sequences; ++s) {
    const int64_t queries = p.q_offsets[s + 1] - p.q_offsets[s], keys = p.k_offsets[s + 1] - p.k_offsets[s];
    e.queries += queries;
    e.keys += keys;
    e.longest = std::max(e.longest, keys);
    e.pairs += visible_pairs(queries, keys, p.causal);
  }
  return e;
}

double query_bytes(const Attention& p, const Extent& e) { return floats(e.queries, p.heads * p.width); }
double key_bytes(const Attention& p, const Extent& e) { return floats(e.keys, p.key_heads * p.width); }
double value_bytes(const Attention& p, const Extent& e) { return floats(e.keys, p.key_heads * p.value_width); }
double out_bytes(const Attention& p, const Extent& e) { return floats(e.queries, p.heads * p.value_width); }

Work elementwise(const char* operation, int64_t size, int arrays) {
  return {operation, {size}, 0, floats(size, arrays)};
}

Work packed_product(const char* role, const MatmulPacked& p, double bytes_of_b) {
  return {role,
          {p.m, p.n, p.k},
          2 * number(p.m) * number(p.n) * number(p.k),
          floats(p.m, p.k) + bytes_of_b * number(p.k) * number(p.n) + floats(p.m, p.n)};
}

}  // namespace

Work work_of(const Matmul& p) noexcept {
  const char* role = p.a_transposed ? "matmul dW" : p.b_transposed || p.packed_b ? "matmul forward" : "matmul dX";
  const int results = 1 + (p.accumulate ? 1 : 0) + present(p.before);
  return {role,
          {p.m, p.n, p.k},
          2 * number(p.m) * number(p.n) * number(p.k),
          floats(p.m, p.k) + size_of(p.b_format) * number(p.k) * number(p.n) + results * floats(p.m, p.n)};
}

Work work_of(const PackMatmul& p) noexcept {
  return {"pack_matmul", {p.k, p.n}, 0, (size_of(p.b_format) + size_of(p.product)) * number(p.k) * number(p.n)};
}

Work work_of(const ActivationApply& p) noexcept { return elementwise("activation", p.size, 2); }

Work work_of(const PackHalf& p) noexcept { return {"pack_half", {p.k, p.n}, 0, 1.5 * floats(p.k, p.n)}; }

Work work_of(const MatmulHalf& p) noexcept { return packed_product("matmul forward f16", p, 2); }

Work work_of(const PackInt8& p) noexcept {
  return {"pack_int8", {p.k, p.n}, 0, (size_of(p.b_format) + 1) * number(p.k) * number(p.n)};
}

Work work_of(const MatmulInt8& p) noexcept { return packed_product("matmul forward int8", p, 1); }

Work work_of(const ActivationBackward& p) noexcept { return elementwise("activation_backward", p.size, 3); }

Work work_of(const ColumnSum& p) noexcept { return {"column_sum", {p.rows, p.columns}, 0, floats(p.rows, p.columns)}; }

Work work_of(const DropoutApply& p) noexcept { return elementwise("dropout", p.size, 2); }

Work work_of(const Norm& p) noexcept {
  const int arrays = 1 + present(p.residual) + present(p.sum) + present(p.y);
  return {p.y ? "norm" : "add", {p.rows, p.width}, 0, arrays * floats(p.rows, p.width)};
}

Work work_of(const NormBackward& p) noexcept {
  const int arrays = 3 + present(p.dsum_in) + present(p.dx);
  return {"norm_backward", {p.rows, p.width}, 0, arrays * floats(p.rows, p.width)};
}

Work work_of(const Attention& p) noexcept {
  const Extent e = extent(p);
  return {"attention",
          {e.queries, p.heads * p.width, e.longest},
          2 * e.pairs * number(p.heads * (p.width + p.value_width)),
          query_bytes(p, e) + key_bytes(p, e) + value_bytes(p, e) + out_bytes(p, e)};
}

Work work_of(const AttentionBackward& b) noexcept {
  const Attention& p = b.forward;
  const Extent e = extent(p);
  return {"attention_backward",
          {e.queries, p.heads * p.width, e.longest},
          2 * e.pairs * number(p.heads * (3 * p.width + 2 * p.value_width)),
          2 * (query_bytes(p, e) + key_bytes(p, e) + value_bytes(p, e) + out_bytes(p, e))};
}

Work work_of(const AttentionWeights& w) noexcept {
  const Attention& p = w.forward;
  const int64_t queries = p.q_offsets[w.sequence + 1] - p.q_offsets[w.sequence];
  const int64_t keys = p.k_offsets[w.sequence + 1] - p.k_offsets[w.sequence];
  return {"attention_weights",
          {queries, p.heads * p.width, keys},
          2 * visible_pairs(queries, keys, p.causal) * number(p.heads * p.width),
          floats(queries, p.heads * p.width) + floats(keys, p.key_heads * p.width) + floats(p.heads * queries, keys)};
}

Work work_of(const AttentionCached& p) noexcept {
  double pairs = 0;
  int64_t queries = 0, keys = 0, longest = 0;
  for (int64_t s = 0; s < p.sequences; ++s) {
    const int64_t count = p.q_offsets[s + 1] - p.q_offsets[s];
    queries += count;
    keys += p.lengths[s];
    longest = std::max<int64_t>(longest, p.lengths[s]);
    pairs += visible_pairs(count, p.lengths[s], p.causal);
  }
  return {"attention_cached",
          {queries, p.heads * p.width, longest},
          2 * pairs * number(p.heads * (p.width + p.value_width)),
          floats(keys, p.key_heads * (p.width + p.value_width)) + floats(queries, p.heads * (p.width + p.value_width))};
}

Work work_of(const SoftmaxCrossEntropy& p) noexcept {
  return {"softmax_cross_entropy", {p.rows, p.vocab}, 0, (1 + present(p.gradient)) * floats(p.rows, p.vocab)};
}

Work work_of(const Softmax& p) noexcept { return {"softmax", {p.rows, p.columns}, 0, 2 * floats(p.rows, p.columns)}; }

Work work_of(const LogSumExp& p) noexcept { return {"log_sum_exp", {p.rows, p.columns}, 0, floats(p.rows, p.columns)}; }

Work work_of(const TopK& p) noexcept { return {"top_k", {p.rows, p.columns}, 0, floats(p.rows, p.columns)}; }

Work work_of(const Embedding& p) noexcept {
  return {"embedding", {p.rows, p.width}, 0, (2 + present(p.positions)) * floats(p.rows, p.width)};
}

Work work_of(const EmbeddingBackward& p) noexcept {
  return {"embedding_backward", {p.rows, p.width}, 0, 3 * floats(p.rows, p.width)};
}

Work work_of(const Axpby& p) noexcept {
  return elementwise("axpby", p.size, 1 + (p.alpha != 0 ? 1 : 0) + (p.beta != 0 ? 1 : 0));
}

Work work_of(const SumOfSquares& p) noexcept { return elementwise("sum_of_squares", p.size, 1); }

Work work_of(const AdamW& p) noexcept { return elementwise("adamw", p.size, 7); }

Work work_of(const Convert& p) noexcept {
  return {"convert", {p.size}, 0, (size_of(p.from) + size_of(p.to)) * number(p.size)};
}

Work work_of(const Mean& p) noexcept { return elementwise("mean", p.size, 1); }

Work work_of(const Copy& p) noexcept { return {"copy", {p.bytes}, 0, 2 * number(p.bytes)}; }

}  // namespace attend::kernels
