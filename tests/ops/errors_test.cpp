// Wrong arguments: one line that says the operation, the actual values and what would fit.
#include "op_case.hpp"

#include <attend/base/error.hpp>
#include <attend/tensor/context.hpp>

#include <doctest/doctest.h>

#include <cmath>

namespace attend::testing {
namespace {

Tensor indices(std::vector<int32_t> values) { return Tensor::from({static_cast<int64_t>(values.size())}, values); }
Tensor zeros(Shape shape) { return Tensor::zeros(shape); }

template <class E>
void refused(const char* message, const std::function<void()>& call) {
  CAPTURE(message);
  CHECK_THROWS_WITH_AS(call(), message, E);
}

TEST_CASE("linear") {
  refused<ShapeError>("linear: x [2, 3] does not fit W [4, 5]", [] { linear(zeros({2, 3}), zeros({4, 5})); });
  refused<ShapeError>("linear: x [2, 3] does not fit W [3]", [] { linear(zeros({2, 3}), zeros({3})); });
  refused<ShapeError>("linear: x [] does not fit W [4, 1]", [] { linear(zeros({}), zeros({4, 1})); });
  refused<ShapeError>("linear: bias [3] does not fit W [4, 3]", [] {
    linear(zeros({2, 3}), zeros({4, 3}), zeros({3}));
  });
  refused<ShapeError>("linear: x must be f32, not i32", [] {
    linear(Tensor::zeros({2, 3}, DType::i32), zeros({4, 3}));
  });
  refused<ShapeError>("linear: W must be f32, f16 or bf16, not i64", [] {
    linear(zeros({2, 3}), Tensor::zeros({4, 3}, DType::i64));
  });
  refused<ShapeError>("linear: x is undefined", [] { linear({}, zeros({4, 1})); });
  refused<ShapeError>("linear: W is undefined", [] { linear(zeros({2, 1}), Weight{}); });
}

TEST_CASE("embedding") {
  const Tensor table = zeros({4, 2}), positions = zeros({3, 2});
  refused<ShapeError>("embedding: id 4 is outside [0, 4)", [&] { embedding(indices({0, 4}), table); });
  refused<ShapeError>("embedding: id -1 is outside [0, 4)", [&] { embedding(indices({-1}), table); });
  refused<ShapeError>("embedding: ids must be i32, not i64", [&] { embedding(Tensor::zeros({2}, DType::i64), table); });
  refused<ShapeError>("embedding: the table must be [vocab, width], not [8]",
                      [] { embedding(indices({0}), zeros({8})); });
  refused<ShapeError>("embedding: position 3 is outside [0, 3)",
                      [&] { embedding(indices({0}), table, positions, indices({3})); });
  refused<ShapeError>("embedding: positions [3, 2] and 1 position ids do not fit 2 tokens of width 2", [&] {
    embedding(indices({0, 1}), table, positions, indices({0}));
  });
  refused<ShapeError>("embedding: positions [3, 3] and 1 position ids do not fit 1 tokens of width 2", [&] {
    embedding(indices({0}), table, zeros({3, 3}), indices({0}));
  });
  refused<ShapeError>("embedding: position ids is undefined", [&] { embedding(indices({0}), table, positions); });
  refused<ShapeError>("embedding: ids is undefined", [&] { embedding({}, table); });
  refused<ShapeError>("embedding: table is undefined", [] { embedding(indices({0}), {}); });
}

TEST_CASE("norm, add_norm, add, dropout") {
  const Tensor x = zeros({2, 3});
  refused<ShapeError>("norm: weight or bias [4] does not fit x [2, 3]", [&] { norm(x, zeros({4}), {}); });
  refused<ConfigError>("norm: RMSNorm has no bias", [&] { norm(x, {}, zeros({3}), {.kind = NormKind::rms}); });
  refused<ShapeError>("norm: x is undefined", [] { norm({}, {}, {}); });
  refused<ShapeError>("add_norm: residual [3, 2] and x [2, 3] must have one shape", [&] {
    add_norm(zeros({3, 2}), x, {}, {});
  });
  refused<ShapeError>("add_norm: residual is undefined", [&] { add_norm({}, x, {}, {}); });
  refused<ShapeError>("add: residual is undefined", [&] { add({}, x); });
  refused<ShapeError>("add: residual [2] and x [2, 3] must have one shape", [&] { add(zeros({2}), x); });
  refused<ConfigError>("add: dropout probability 1 is not in [0, 1)", [&] { add(x, x, {.probability = 1}); });
  refused<ConfigError>("dropout: dropout probability -0.5 is not in [0, 1)",
                       [&] { dropout(x, {.probability = -0.5f}); });
  refused<ConfigError>("dropout: dropout probability nan is not in [0, 1)",
                       [&] { dropout(x, {.probability = std::nanf("")}); });
  refused<ShapeError>("dropout: x is undefined", [] { dropout({}, {}); });
}

TEST_CASE("attention") {
  const Tensor q = zeros({5, 8}), k = zeros({7, 8}), v = zeros({7, 8});
  const Tensor q_offsets = indices({0, 2, 5}), k_offsets = indices({0, 3, 7});
  auto call = [&](AttentionOptions options) {
    if (options.heads == 1) options.heads = 2;
    attention(q, k, v, q_offsets, k_offsets, options);
  };
  CHECK_NOTHROW(call({}));
  refused<ShapeError>("attention: q [5, 8] and k [7, 8] do not fit 3 heads over 3 key heads",
                      [&] { call({.heads = 3}); });
  refused<ShapeError>("attention: q [5, 8] and k [7, 8] do not fit 4 heads over 2 key heads",
                      [&] { call({.heads = 4, .key_heads = 2}); });
  refused<ShapeError>("attention: q [5, 8] and k [7, 8] do not fit -1 heads over -1 key heads",
                      [&] { call({.heads = -1}); });
  refused<ShapeError>("attention: query offsets must rise from 0 to 5 rows", [&] {
    attention(q, k, v, indices({0, 6}), k_offsets, {});
  });
  refused<ShapeError>("attention: query offsets must rise from 0 to 5 rows", [&] {
    attention(q, k, v, indices({0, 4, 3, 5}), k_offsets, {});
  });
  refused<ShapeError>("attention: query offsets must rise from 0 to 5 rows",
                      [&] { attention(q, k, v, indices({}), k_offsets, {}); });
  refused<ShapeError>("attention: key offsets must rise from 0 to 7 rows", [&] {
    attention(q, k, v, q_offsets, indices({1, 3, 7}), {});
  });
  refused<ShapeError>("attention: 2 query sequences, 1 key sequences", [&] {
    attention(q, k, v, q_offsets, indices({0, 7}), {});
  });
  refused<ShapeError>("attention: v [6, 8] does not fit k [7, 8]", [&] {
    attention(q, k, zeros({6, 8}), q_offsets, k_offsets, {.heads = 2});
  });
  refused<ShapeError>("attention: v [7, 9] does not fit k [7, 8]", [&] {
    attention(q, k, zeros({7, 9}), q_offsets, k_offsets, {.heads = 2});
  });
  refused<ShapeError>("attention: bias [2, 3, 3, 4] must be [2 or 1, 2 or 1, Tq ≥ 3, Tk ≥ 4]", [&] {
    call({.bias = zeros({2, 3, 3, 4})});
  });
  refused<ShapeError>("attention: bias [1, 1, 3, 3] must be [2 or 1, 2 or 1, Tq ≥ 3, Tk ≥ 4]", [&] {
    call({.bias = zeros({1, 1, 3, 3})});
  });
  refused<ShapeError>("attention: mask [1, 2, 2, 4] must be [2 or 1, 2 or 1, Tq ≥ 3, Tk ≥ 4]", [&] {
    call({.mask = Tensor::zeros({1, 2, 2, 4}, DType::boolean)});
  });
  refused<ShapeError>("attention: the mask must be bool, not f32", [&] { call({.mask = zeros({1, 1, 3, 4})}); });
  refused<ConfigError>("attention: dropout probability 1.5 is not in [0, 1)",
                       [&] { call({.dropout = {.probability = 1.5f}}); });
  refused<ShapeError>("attention: q is undefined", [&] { attention({}, k, v, q_offsets, k_offsets, {}); });
  refused<ShapeError>("attention: k is undefined", [&] { attention(q, {}, v, q_offsets, k_offsets, {}); });
  refused<ShapeError>("attention: v is undefined", [&] { attention(q, k, {}, q_offsets, k_offsets, {}); });
  refused<ShapeError>("attention: query offsets is undefined", [&] { attention(q, k, v, {}, k_offsets, {}); });

  const Tensor lse = zeros({2, 5});
  refused<ShapeError>("attention_weights: sequence 2 of 2",
                      [&] { attention_weights(q, k, lse, q_offsets, k_offsets, {.heads = 2}, 2); });
  refused<ShapeError>("attention_weights: lse [5] does not fit q [5, 8]",
                      [&] { attention_weights(q, k, zeros({5}), q_offsets, k_offsets, {.heads = 2}, 0); });
}

TEST_CASE("cross_entropy") {
  const Tensor logits = zeros({2, 3});
  refused<ShapeError>("cross_entropy: 1 targets for 2 rows of logits", [&] { cross_entropy(logits, indices({0})); });
  refused<ShapeError>("cross_entropy: target 3 is outside [0, 3)", [&] { cross_entropy(logits, indices({0, 3})); });
  refused<ShapeError>("cross_entropy: target -1 is outside [0, 3)", [&] { cross_entropy(logits, indices({-1, 0})); });
  refused<ConfigError>("cross_entropy: label smoothing 1 is not in [0, 1)", [&] {
    cross_entropy(logits, indices({0, 0}), {.label_smoothing = 1});
  });
  refused<ShapeError>("cross_entropy: logits is undefined", [] { cross_entropy({}, indices({0})); });
  refused<ShapeError>("cross_entropy: targets is undefined", [] { cross_entropy(zeros({1, 3}), {}); });
  refused<ShapeError>("linear_cross_entropy: x [2, 3] does not fit W [4, 2]", [&] {
    linear_cross_entropy(logits, zeros({4, 2}), {}, indices({0, 0}));
  });
  refused<ShapeError>("linear_cross_entropy: bias [3] does not fit W [4, 3]", [&] {
    linear_cross_entropy(logits, zeros({4, 3}), zeros({3}), indices({0, 0}));
  });
  refused<ShapeError>("linear_cross_entropy: W is undefined", [&] {
    linear_cross_entropy(logits, Weight{}, {}, indices({0, 0}));
  });
}

TEST_CASE("a failing operation leaves the tape as it was") {
  const Tensor w = zeros({4, 3}).set_tracked();
  Tape tape;
  CHECK_THROWS_AS(linear(zeros({2, 2}), w), ShapeError);
  CHECK(tape.operations() == 0);
  CHECK(Context::current().tape() == &tape);
}

}  // namespace
}  // namespace attend::testing
