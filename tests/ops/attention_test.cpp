#include "op_case.hpp"

#include <attend/tensor/random.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace attend::testing {
namespace {

using reference::Matrix;

struct AttentionRow {
  std::vector<int32_t> queries, keys;  // lengths of the sequences
  int64_t heads = 1, key_heads = 1, width = 8, value_width = 8;
  bool causal = false;
  float scale = 0, softcap = 0;
  std::pair<int64_t, int64_t> mask{0, 0}, bias{0, 0};  // sequences and heads of it; 0 = none
  float dropout = 0;
  bool dead_rows = false;  // some masked rows keep no key at all
};

std::vector<int32_t> offsets_of(const std::vector<int32_t>& lengths) {
  std::vector<int32_t> offsets(lengths.size() + 1);
  std::partial_sum(lengths.begin(), lengths.end(), offsets.begin() + 1);
  return offsets;
}

std::string list(const std::vector<int32_t>& lengths) { return fmt::format("{}", fmt::join(lengths, ",")); }

reference::Scores scores_of(std::pair<int64_t, int64_t> size, int64_t queries, int64_t keys,
                            const std::function<double(uint64_t)>& value) {
  reference::Scores scores{size.first, size.second, queries, keys, {}};
  for (int64_t i = 0; i < size.first * size.second * queries * keys; ++i)
    scores.values.push_back(value(static_cast<uint64_t>(i)));
  return scores;
}

Shape shape_of(const reference::Scores& s) { return {s.sequences, s.heads, s.queries, s.keys}; }

Case row_of(const AttentionRow& p) {
  Case row;
  row.name = fmt::format(
      "attention {} queries, {} keys, {}/{} heads of {}/{}{} scale {} softcap {} mask {}×{}{} bias "
      "{}×{} dropout {}",
      list(p.queries), list(p.keys), p.heads, p.key_heads, p.width, p.value_width, p.causal ? " causal" : "", p.scale,
      p.softcap, p.mask.first, p.mask.second, p.dead_rows ? " dead rows" : "", p.bias.first, p.bias.second, p.dropout);
  const int32_t most_queries = *std::max_element(p.queries.begin(), p.queries.end());
  const int32_t most_keys = *std::max_element(p.keys.begin(), p.keys.end());
  const uint64_t key = Random{3, 1}.key(row.name);
  reference::AttentionOptions twin;
  twin.q_offsets = offsets_of(p.queries);
  twin.k_offsets = offsets_of(p.keys);
  twin.heads = p.heads;
  twin.key_heads = p.key_heads;
  twin.causal = p.causal;
  twin.scale = p.scale != 0 ? static_cast<double>(p.scale) : 1 / std::sqrt(static_cast<double>(p.width));
  twin.softcap = p.softcap;
  twin.dropout = {p.dropout, 4711};
  twin.mask = scores_of(p.mask, most_queries, most_keys, [&](uint64_t i) -> double {
    if (p.dead_rows && (i / static_cast<uint64_t>(most_keys)) % 3 == 1) return 0;
    return Random::uniform(key, i) < 0.6;
  });
  twin.bias = scores_of(p.bias, most_queries, most_keys,
                        [&](uint64_t i) { return static_cast<double>(static_cast<float>(Random::normal(key, i))); });

  const int64_t q_rows = twin.q_offsets.back(), k_rows = twin.k_offsets.back();
  const int64_t q_width = p.heads * p.width, k_width = p.key_heads * p.width, v_width = p.key_heads * p.value_width;
  row.inputs = {{{q_rows, q_width}}, {{k_rows, k_width}}, {{k_rows, v_width}}};
  row.run = [=](const Tensors& t) -> Tensors {
    AttentionOptions options{.heads = p.heads, .key_heads = p.key_heads, .causal = p.causal, .scale = p.scale};
    options.softcap = p.softcap;
    options.dropout = twin.dropout;
    if (!twin.bias.empty())
      options.bias =
          Tensor::from(shape_of(twin.bias), std::vector<float>(twin.bias.values.begin(), twin.bias.values.end()));
    if (!twin.mask.empty()) {
      options.mask = Tensor(shape_of(twin.mask), DType::boolean);
      std::transform(twin.mask.values.begin(), twin.mask.values.end(), options.mask.data<bool>(),
                     [](double x) { return x != 0; });
    }
    const Device device = t[0].device();
    options.bias = options.bias.defined() ? options.bias.to(device) : options.bias;
    options.mask = options.mask.defined() ? options.mask.to(device) : options.mask;
    const Tensor q_offsets = Tensor::from({static_cast<int64_t>(twin.q_offsets.size())}, twin.q_offsets).to(device);
    const Tensor k_offsets = Tensor::from({static_cast<int64_t>(twin.k_offsets.size())}, twin.k_offsets).to(device);
    const AttentionResult result = attention(t[0], t[1], t[2], q_offsets, k_offsets, options);
    Tensors outputs{result.out, result.lse};
    for (int64_t s = 0; s < q_offsets.elements() - 1; ++s)
      outputs.push_back(attention_weights(t[0], t[1], result.lse, q_offsets, k_offsets, options, s));
    return outputs;
  };
  row.twin = [=](const Vectors& v) -> Vectors {
    const reference::AttentionResult result = reference::attention(
        Matrix(q_rows, q_width, v[0]), Matrix(k_rows, k_width, v[1]), Matrix(k_rows, v_width, v[2]), twin);
    Vectors outputs{result.out.values, result.lse.values};
    auto from = result.weights.begin();
    for (size_t s = 0; s < p.queries.size(); ++s) {
      const auto to = from + p.heads * p.queries[s] * p.keys[s];
      outputs.emplace_back(from, to);
      from = to;
    }
    return outputs;
  };
  row.in_loss.assign(2 + p.queries.size(), false);
  row.in_loss[0] = true;
  row.terms = static_cast<double>(std::max({q_rows, k_rows, q_width}));
  // A score's rounding error is the relative error of its weight.
  row.floor = 1 + twin.scale * std::sqrt(static_cast<double>(p.width));
  if (q_rows * k_rows * q_width > 20000) row.samples = 8;
  return row;
}

}  // namespace

std::vector<Case> attention_cases() {
  const AttentionRow table[] = {
      {{1}, {1}},
      {{0}, {4}},
      {{4}, {0}},
      {{5}, {5}, 2, 2, 4, 4},
      {{5}, {5}, 2, 2, 4, 4, true},
      {{0, 3, 2}, {2, 0, 5}, 2, 2},
      {{5, 1, 7}, {5, 1, 7}, 2, 2, 8, 8, true},
      {{3, 4}, {9, 6}, 2, 2, 8, 8, true},
      {{6, 3}, {2, 3}, 2, 2, 8, 8, true},  // more queries than keys: the first ones see nothing
      {{7}, {9}, 4, 2, 5, 5},
      {{7}, {9}, 4, 1, 17, 17, true},
      {{6}, {9}, 2, 2, 8, 12},
      {{6}, {9}, 2, 2, 12, 8, true},
      {{6}, {9}, 2, 2, 1, 1},
      {{9}, {9}, 2, 2, 8, 8, true, 0, 2.5f},
      {{6}, {6}, 2, 2, 8, 8, false, 1},
      {{8, 12}, {8, 12}, 2, 2, 8, 8, false, 0, 0, {1, 1}},
      {{8, 12}, {12, 8}, 2, 2, 8, 8, false, 0, 0, {2, 1}, {}, 0, true},
      {{8, 12}, {12, 8}, 4, 2, 8, 8, true, 0, 0, {2, 4}, {1, 4}, 0, true},
      {{8, 12}, {12, 8}, 4, 2, 8, 8, false, 0, 0, {}, {2, 1}},
      {{8, 12}, {12, 8}, 4, 2, 8, 8, true, 0.5f, 3, {1, 4}, {2, 4}},
      {{8, 5}, {8, 5}, 2, 2, 8, 8, false, 0, 0, {}, {}, 0.25f},
      {{8, 5}, {8, 5}, 4, 2, 8, 8, true, 0, 2, {1, 1}, {1, 4}, 0.5f},
      {{1}, {150}, 2, 1, 16, 16, true},
      {{70}, {130}, 2, 1, 16, 16, true},
      {{70}, {130}, 2, 1, 16, 24, false, 0, 0, {1, 1}, {1, 2}},
      {{67, 1, 66}, {67, 1, 66}, 2, 2, 64, 64, true},
      {{33}, {290}, 1, 1, 32, 32, false, 0, 0, {}, {}, 0.1f},
      {{17}, {17}, 1, 1, 128, 128},
  };
  std::vector<Case> rows;
  for (const AttentionRow& p : table) rows.push_back(row_of(p));
  return rows;
}

TEST_CASE("attention") {
  for (const Case& row : attention_cases()) check(row);
}

}  // namespace attend::testing
