// What operations keep: nothing from the system once they run steadily, no score matrix, not all logits.
#include "weighted_sum.hpp"

#include <attend/ops/attention.hpp>
#include <attend/ops/cross_entropy.hpp>
#include <attend/ops/embedding.hpp>
#include <attend/ops/linear.hpp>
#include <attend/ops/norm.hpp>
#include <attend/tensor/context.hpp>
#include <attend/tensor/random.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <optional>

namespace attend::testing {
namespace {

Tensor random(Shape shape, const char* name) {
  Tensor tensor(shape);
  fill_normal(tensor, Random{1, 0}.key(name), 0.1);
  return tensor;
}

// One pre-norm layer between tied embeddings.
struct Model {
  Tensor table = random({50, 16}, "table"), positions = random({8, 16}, "positions");
  Tensor norm1 = random({16}, "norm1"), norm2 = random({16}, "norm2");
  Tensor q = random({16, 16}, "q"), k = random({16, 16}, "k"), v = random({16, 16}, "v"), out = random({16, 16}, "out");
  Tensor up = random({64, 16}, "up"), down = random({16, 64}, "down"), up_bias = random({64}, "up_bias");
  Tensor ids = Tensor::from({7}, std::vector<int32_t>{3, 1, 4, 1, 5, 9, 2});
  Tensor targets = Tensor::from({7}, std::vector<int32_t>{1, 4, 1, -100, 9, 2, 6});
  Tensor places = Tensor::from({7}, std::vector<int32_t>{0, 1, 2, 3, 0, 1, 2});
  Tensor offsets = Tensor::from({3}, std::vector<int32_t>{0, 4, 7});

  Model() {
    for (Tensor* parameter : {&table, &positions, &norm1, &norm2, &q, &k, &v, &out, &up, &down, &up_bias})
      parameter->set_tracked();
  }

  Tensor loss(uint64_t step) const {
    auto drop = [&](const char* name) { return Dropout{0.1f, Random{1, step}.key(name)}; };
    const Tensor x = embedding(ids, table, positions, places, {.scale = 4});
    const Tensor h = norm(x, norm1, {});
    AttentionOptions options{.heads = 2, .causal = true};
    options.dropout = drop("weights");
    const Tensor a = attention(linear(h, q), linear(h, k), linear(h, v), offsets, offsets, options).out;
    const NormedSum s = add_norm(x, linear(a, out), norm2, {}, {.kind = NormKind::rms}, drop("attention"));
    const Tensor f = linear(linear(s.normed, up, up_bias, Activation::gelu), down);
    return linear_cross_entropy(add(s.sum, f, drop("ffn")), table, {}, targets, {.label_smoothing = 0.1f});
  }
};

TEST_CASE("steady training and steady inference take nothing from the system") {
  Context context({.threads = 2});
  ContextScope scope(context);
  const Model model;
  auto train = [&](uint64_t step) {
    Tape tape;
    return floats(tape.backward(model.loss(step)).of(model.table));
  };
  const std::vector<float> first = train(0);
  train(1);
  const int64_t before = context.allocator()->statistics().system_allocations;
  for (uint64_t step = 2; step < 30; ++step) CHECK(train(step) != first);  // other dropout masks
  CHECK(train(0) == first);
  CHECK(context.allocator()->statistics().system_allocations == before);
  for (uint64_t step = 0; step < 30; ++step) model.loss(step);
  CHECK(context.allocator()->statistics().system_allocations == before);
}

TEST_CASE("everything may be kept after its tape and its context are gone") {
  std::optional<Gradients> gradients;
  Tensor loss;
  std::vector<float> expected;
  std::optional<Model> model;
  {
    Context context({.threads = 2});
    ContextScope scope(context);
    model.emplace();
    Tape tape;
    loss = model->loss(0);
    gradients = tape.backward(loss);
    expected = floats(gradients->of(model->q));
  }
  CHECK(loss.item() > 0);
  CHECK(floats(gradients->of(model->q)) == expected);
  Tape tape;  // and the parameters serve in another context
  CHECK(floats(tape.backward(model->loss(0)).of(model->q)) == expected);
}

TEST_CASE("attention never stores the scores, cross-entropy through a projection never all logits") {
  Context context({.threads = 2});
  ContextScope scope(context);
  auto peak_of = [&](const std::function<Tensor()>& loss) {
    const int64_t before = context.allocator()->statistics().bytes_used;
    Tape tape;
    tape.backward(loss());
    return context.allocator()->statistics().peak_bytes_used - before;
  };
  const int64_t length = 600, heads = 4, width = 8;
  const Tensor x = random({length, heads * width}, "x").set_tracked();
  const Tensor offsets = Tensor::from({2}, std::vector<int32_t>{0, static_cast<int32_t>(length)});
  const int64_t attention_peak = peak_of([&] {
    const Tensor out = attention(x, x, x, offsets, offsets, {.heads = heads}).out;
    return weighted_sum({out}, {x});
  });
  CHECK(attention_peak < heads * length * length * 4 / 4);

  const int64_t rows = 2400, vocab = 8200;
  const Tensor h = random({rows, width}, "h").set_tracked(), w = random({vocab, width}, "w").set_tracked();
  const Tensor targets = Tensor::zeros({rows}, DType::i32);
  const int64_t projected_peak = peak_of([&] { return linear_cross_entropy(h, w, {}, targets); });
  CHECK(projected_peak < rows * vocab * 4 / 4);
}

}  // namespace
}  // namespace attend::testing
