// How gradients meet: one tensor used twice, handles that share memory, several backward passes.
#include "op_case.hpp"

#include <attend/base/error.hpp>

#include <doctest/doctest.h>

#include <cmath>

namespace attend::testing {
namespace {

using reference::Matrix;

// One tensor as embedding table and as output matrix: two gradients of different origin add up.
Case tied_row(int64_t vocab, int64_t width, bool norm_between) {
  Case row;
  row.name = fmt::format("tied embedding [{}, {}]{}", vocab, width, norm_between ? " with a norm" : "");
  const std::vector<int32_t> ids{1, 4, 1, 0, 2}, targets{4, 1, 0, -100, 1};
  row.inputs = {{{vocab, width}}, {{width}, true, 0.2, 1}};
  if (!norm_between) row.inputs.pop_back();
  row.run = [=](const Tensors& t) -> Tensors {
    Tensor h = embedding(Tensor::from({5}, ids), t[0], {}, {}, {.scale = 1.5f});
    if (norm_between) h = norm(h, t[1], {});
    return {linear_cross_entropy(h, t[0], {}, Tensor::from({5}, targets), {.label_smoothing = 0.1f})};
  };
  row.twin = [=](const Vectors& v) -> Vectors {
    const Matrix table(vocab, width, v[0]);
    Matrix h = reference::embedding(ids, table, 1.5);
    if (norm_between) h = reference::norm(h, v[1], {}, false, 1e-5f);
    const Matrix logits = reference::linear(h, table, {}, Activation::none);
    double sum = 0;
    for (double loss : reference::cross_entropy(logits, targets, 0.1f, -100)) sum += loss / 4;
    return {{sum}};
  };
  row.terms = static_cast<double>(vocab * width);
  row.floor = 4;
  row.samples = 200;
  return row;
}

// The residual is also what the layer reads, twice in a row: x + f(x), then y + y.
Case residual_row(int64_t rows, int64_t width) {
  Case row;
  row.name = "residual connections";
  row.inputs = {{{rows, width}}, {{width, width}, true, 0.4}, {{width}}, {{width}, true, 0.2, 1}};
  row.run = [=](const Tensors& t) -> Tensors {
    const Tensor y = add(t[0], linear(norm(t[0], t[3], {}), t[1], t[2], Activation::gelu));
    const NormedSum z = add_norm(y, y, t[3], t[2]);
    return {add(z.sum, z.normed), y, t[0]};
  };
  row.twin = [=](const Vectors& v) -> Vectors {
    const Matrix x(rows, width, v[0]);
    const Matrix f = reference::linear(reference::norm(x, v[3], {}, false, 1e-5f), Matrix(width, width, v[1]), v[2],
                                       Activation::gelu);
    const Matrix y = reference::add(&x, f), sum = reference::add(&y, y);
    return {reference::add(&sum, reference::norm(sum, v[3], v[2], false, 1e-5f)).values, y.values, v[0]};
  };
  row.in_loss = {true, true, true};
  row.terms = static_cast<double>(width * rows);
  row.floor = 4;
  return row;
}

// Q, K and V are one tensor; x is its own weight.
Case itself_row() {
  Case row;
  row.name = "self-products";
  row.inputs = {{{6, 8}}};
  row.run = [](const Tensors& t) -> Tensors {
    const Tensor offsets = Tensor::from({2}, std::vector<int32_t>{0, 6});
    return {attention(t[0], t[0], t[0], offsets, offsets, {.heads = 2, .causal = true}).out, linear(t[0], t[0])};
  };
  row.twin = [](const Vectors& v) -> Vectors {
    const Matrix x(6, 8, v[0]);
    reference::AttentionOptions options;
    options.q_offsets = options.k_offsets = {0, 6};
    options.heads = options.key_heads = 2;
    options.causal = true;
    options.scale = 0.5;
    return {reference::attention(x, x, x, options).out.values, reference::linear(x, x, {}, Activation::none).values};
  };
  row.in_loss = {true, true};
  row.terms = 12;
  row.floor = 8;
  return row;
}

TEST_CASE("a tensor that is used twice gets the sum of its gradients") {
  check(tied_row(5, 4, false));
  check(tied_row(9, 33, true));
  check(residual_row(5, 12));
  check(itself_row());
}

struct Small {
  Tensor x = Tensor::from({2, 3}, std::vector<float>{1, -2, 3, 0.5f, 0.25f, -1});
  Tensor w = Tensor::from({2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6}).set_tracked();
  Tensor b = Tensor::from({2}, std::vector<float>{0.5f, -0.5f}).set_tracked();
  Tensor ones = Tensor::full({2, 2}, 1);
  Tensor loss() const { return weighted_sum({linear(x, w, b)}, {ones}); }
};

TEST_CASE("gradients of several passes add up, times their scale") {
  const Small s;
  Gradients once, sum;
  {
    Tape tape;
    tape.backward(s.loss(), once);
  }
  CHECK(floats(once.of(s.w)) == std::vector<float>{1.5f, -1.75f, 2, 1.5f, -1.75f, 2});
  CHECK(floats(once.of(s.b)) == std::vector<float>{2, 2});
  CHECK_FALSE(once.of(s.x).defined());
  CHECK(once.of(s.w).shape() == s.w.shape());

  const Tensor kept = once.of(s.w);
  {
    Tape tape;
    tape.backward(s.loss(), once);
  }
  CHECK(floats(once.of(s.w)) == std::vector<float>{3, -3.5f, 4, 3, -3.5f, 4});
  CHECK(floats(kept) == std::vector<float>{1.5f, -1.75f, 2, 1.5f, -1.75f, 2});  // a handle that was given out stays

  for (float scale : {0.5f, 0.25f}) {  // cross_entropy makes its gradient before it knows the scale
    Tape tape;
    const Tensor loss =
        linear_cross_entropy(s.x, s.w, s.b, Tensor::from({2}, std::vector<int32_t>{0, 1}), {.mean = false});
    tape.backward(loss, sum, scale);
  }
  Tape tape;
  const Gradients whole = tape.backward(
      linear_cross_entropy(s.x, s.w, s.b, Tensor::from({2}, std::vector<int32_t>{0, 1}), {.mean = false}));
  for (size_t i = 0; i < 6; ++i)
    CHECK(floats(sum.of(s.w))[i] == doctest::Approx(0.75 * floats(whole.of(s.w))[i]).epsilon(1e-6));

  sum.clear();
  CHECK(sum.empty());
  CHECK_FALSE(sum.of(s.w).defined());
}

TEST_CASE("views and copies hand their gradient on") {
  const Small s;
  const std::vector<std::pair<Tensor (*)(const Tensor&), std::vector<float>>> ways{
      {[](const Tensor& w) {
         return w.view({3, 2});
       },
       {1, 2, 3, 4, 5, 6}},
      {[](const Tensor& w) { return w.clone(); }, {1, 2, 3, 4, 5, 6}},
      {[](const Tensor& w) { return w.to(DType::bf16).to(DType::f32); }, {1, 2, 3, 4, 5, 6}},
      {[](const Tensor& w) { return w.to(Device::fake).to(Device::cpu); }, {1, 2, 3, 4, 5, 6}},
      {[](const Tensor& w) { return w.rows(1, 2); }, {0, 0, 0, 1, 2, 3}},
      {[](const Tensor& w) { return w.view({6}).rows(2, 5).rows(1, 3).clone(); }, {0, 0, 0, 1, 2, 0}},
      {[](const Tensor& w) { return w.rows(1, 1); }, {0, 0, 0, 0, 0, 0}},
  };
  for (const auto& [way, wanted] : ways) {
    Tape tape;
    const Tensor shown = way(s.w);
    Tensor weights(shown.shape());
    float next = 1;
    for (float& weight : weights.values<float>()) weight = next++;
    const Gradients gradients = tape.backward(weighted_sum({shown}, {weights}));
    CHECK(gradients.of(s.w).shape() == s.w.shape());
    CHECK(floats(gradients.of(s.w)) == wanted);
  }
  Tape tape;  // two windows of one tensor, and the tensor itself
  const Tensor loss = weighted_sum({s.w.rows(0, 1), s.w.view({6}).rows(2, 4), s.w},
                                   {Tensor::full({1, 3}, 1), Tensor::full({2}, 10), Tensor::full({2, 3}, 100)});
  CHECK(floats(tape.backward(loss).of(s.w)) == std::vector<float>{101, 101, 111, 110, 100, 100});
  const Tensor outside = [&] {
    NoTape pause;
    return s.w.rows(0, 1);
  }();
  CHECK_FALSE(outside.tracked());
}

TEST_CASE("what is not needed is not computed") {
  Small s;
  Tape tape;
  s.w.set_tracked(false);
  s.b.set_tracked(false);
  const Tensor untracked = linear(s.x, s.w, s.b);
  CHECK(tape.operations() == 0);
  CHECK_FALSE(untracked.tracked());

  s.w.set_tracked();
  const Tensor used = linear(s.x, s.w), unused = linear(used, s.w.view({3, 2}));
  CHECK(tape.operations() == 3);
  const Gradients gradients = tape.backward(weighted_sum({used}, {s.ones}));
  CHECK(gradients.of(s.w).defined());
  CHECK_FALSE(gradients.of(used).defined());  // only parameters keep theirs
  CHECK_FALSE(gradients.of(unused).defined());
  CHECK(tape.operations() == 0);
}

TEST_CASE("a loss without a way back is refused") {
  const Small s;
  Tape tape;
  CHECK_THROWS_WITH_AS(tape.backward(linear(s.x, s.w)), "backward: the loss must be one number, not [2, 2]",
                       ShapeError);
  CHECK_THROWS_WITH_AS(tape.backward(Tensor::full({}, 1)),
                       "backward: the loss depends on no trainable tensor, or was computed without a tape",
                       ConfigError);
}

}  // namespace
}  // namespace attend::testing
