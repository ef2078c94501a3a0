// Recomputation keeps nothing of what it runs, changes no bit and hands gradients to all that was read.
#include "weighted_sum.hpp"

#include <attend/ops/linear.hpp>
#include <attend/ops/norm.hpp>
#include <attend/tensor/context.hpp>
#include <attend/tensor/random.hpp>
#include <attend/tensor/recompute.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <stdexcept>

namespace attend::testing {
namespace {

Tensor random(Shape shape, const char* name) {
  Tensor tensor(shape);
  fill_normal(tensor, Random{1, 0}.key(name), 0.3);
  return tensor;
}

struct Layer {
  Tensor x = random({64, 32}, "x"), w = random({32, 32}, "w"), weight = random({32}, "weight");
  Tensor seed = random({64, 32}, "seed");  // d loss / d result

  std::function<Tensor()> part() const {
    return [x = x, w = w, weight = weight] {
      return norm(add(x, linear(x, w, {}, Activation::gelu), {0.2f, 17}), weight, {});
    };
  }
  std::vector<std::vector<float>> gradients(const std::function<Tensor()>& function) const {
    Tape tape;
    const Gradients g = tape.backward(weighted_sum({function()}, {seed}));
    return {floats(g.of(x)), floats(g.of(w)), floats(g.of(weight))};
  }
};

TEST_CASE("recompute: the gradients of everything that was read, bit for bit") {
  Layer layer;
  for (const bool input : {false, true})
    for (const bool parameter : {false, true}) {
      layer.x.set_tracked(input);
      layer.w.set_tracked(parameter);
      layer.weight.set_tracked(!input && !parameter);
      const auto part = layer.part();
      const auto want = layer.gradients(part);
      CHECK(want[0].empty() == !input);
      CHECK(want[1].empty() == !parameter);
      CHECK(layer.gradients([&] { return recompute(part, part); }) == want);
      // One in the other.
      const auto inner = [part] { return recompute(part, part); };
      CHECK(layer.gradients([&] { return recompute(inner, inner); }) == want);
    }
}

TEST_CASE("recompute: the second run is what gets differentiated") {
  Layer layer;
  layer.w.set_tracked();
  const auto part = layer.part();
  const auto other = [x = layer.x, w = layer.w] { return linear(x, w); };
  CHECK(layer.gradients([&] { return recompute(part, other); }) == layer.gradients(other));
  CHECK(layer.gradients(other) != layer.gradients(part));
}

TEST_CASE("recompute: nothing is kept, and nothing is recorded where nothing is trained") {
  Context context({.threads = 2});
  ContextScope scope(context);
  Layer layer;
  const auto used = [&] { return context.allocator()->statistics().bytes_used; };
  auto kept_by = [&](const std::function<Tensor()>& function, size_t operations) {
    Tape tape;
    const int64_t before = used();
    const Tensor y = function();
    CHECK(y.tracked() == layer.w.tracked());
    CHECK(tape.operations() == operations);
    return used() - before;
  };
  const auto with = [&] { return recompute(layer.part(), layer.part()); };
  const auto result = static_cast<int64_t>(layer.x.bytes());
  CHECK(kept_by(with, 0) == result);
  layer.w.set_tracked();
  CHECK(kept_by(layer.part(), 3) == 3 * result + 2 * 64 * 4);  // z, sum and result; mean and rstd of each row
  CHECK(kept_by(with, 1) == result);
  int runs = 0;
  const auto counted = [&] { return ++runs, layer.part()(); };
  recompute(counted, counted);  // without a tape
  CHECK(runs == 1);
}

TEST_CASE("what is made again is what was there") {
  const Tensor x = random({37, 24}, "x"), weight = random({24}, "weight").set_tracked(), bias = random({24}, "bias");
  const Tensor seed = random({37, 24}, "seed");
  for (const Activation activation : {Activation::relu, Activation::gelu, Activation::gelu_tanh, Activation::silu}) {
    const Tensor up = random({56, 24}, "up").set_tracked(), down = random({24, 56}, "down").set_tracked();
    // A view is another tensor to the tape, which must keep it.
    auto gradients = [&](bool views) {
      const auto kept = [&](const Tensor& y) { return views ? y.view(y.shape()) : y; };
      Tape tape;
      const Tensor normed = kept(add_norm(x, x, weight, bias, {}, {0.3f, 5}).normed);
      const Tensor hidden = kept(linear(normed, up, {}, activation));
      const Gradients g = tape.backward(weighted_sum({linear(hidden, down)}, {seed}));
      return std::pair(floats(g.of(up)), floats(g.of(down)));
    };
    CHECK(gradients(false) == gradients(true));
  }
}

TEST_CASE("recompute: a part that gives its input back, and one that throws") {
  Layer layer;
  layer.x.set_tracked();
  const auto same = [x = layer.x, w = layer.w] { return linear(x, w), x; };
  CHECK(layer.gradients([&] {
    Tensor y = recompute(same, same);
    CHECK(y.id() != layer.x.id());
    return y;
  })[0] == floats(layer.seed));

  const auto fails = []() -> Tensor { throw std::runtime_error("no"); };
  Tape tape;
  CHECK_THROWS_AS(recompute(fails, fails), std::runtime_error);
  CHECK(Context::current().tape() == &tape);
  const Tensor loss = weighted_sum({recompute(layer.part(), fails)}, {layer.seed});
  CHECK_THROWS_AS(tape.backward(loss), std::runtime_error);
  CHECK(Context::current().tape() == &tape);
}

}  // namespace
}  // namespace attend::testing
