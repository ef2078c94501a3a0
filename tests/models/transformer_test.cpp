// Laws of the model: what a probe may and may not change, packed = alone, names.
#include <attend/base/error.hpp>
#include <attend/models/transformer.hpp>
#include <attend/nn/parameters.hpp>
#include <attend/tensor/context.hpp>
#include <attend/tensor/tape.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <set>

#include "models/small_transformer.hpp"

using namespace attend;
using testing::small_transformer;

namespace {

Transformer model_of(const TransformerConfig& config) {
  Transformer model(config);
  model.initialise(7);
  return model;
}

const std::vector<std::vector<int32_t>> source{{1, 2, 3, 4, 5}, {6, 7}, {8, 9, 10}},
    target{{49, 11, 12}, {49, 13, 14, 15}, {49}};

Tensor logits_of(const Transformer& model, Pass& pass) {
  const Tokens from = Tokens::of(source);
  const Tensor memory = model.encode(pass, from);
  return model.logits(model.decode(pass, Tokens::of(target), memory, from.sequences));
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.memory(), b.memory(), a.bytes()) == 0;
}

}  // namespace

TEST_CASE("transformer: a probe that only reads changes no bit, and sees every name") {
  for (bool pre_norm : {false, true}) {
    const Transformer model = model_of(small_transformer(pre_norm));
    Pass plain;
    const Tensor want = logits_of(model, plain);
    const std::vector<std::string> names = activation_names(model.config());
    Probe probe(names);
    Pass probed;
    probed.probe = &probe;
    CHECK(same_bits(logits_of(model, probed), want));
    for (const std::string& name : names) {
      CAPTURE(name);
      CHECK(probe.has(name));
    }
    const Tensor weights = probe["decoder.blocks.1.cross.weights"];
    CHECK(weights.shape() == Shape{3, 3, 4, 5});
    for (int64_t h = 0; h < 3; ++h) {  // sequence 1: four queries over two keys, padded with 0
      const float* row = weights.data<float>() + ((3 + h) * 4 + 3) * 5;
      CHECK(row[0] + row[1] == doctest::Approx(1).epsilon(1e-5));
      CHECK(row[2] == 0);
    }
    CHECK_THROWS_AS(probe["encoder.blocks.9.out"], ConfigError);
  }
}

TEST_CASE("transformer: editing an intermediate") {
  const Transformer model = model_of(small_transformer(false));
  Pass plain;
  const Tensor want = logits_of(model, plain);
  Probe same;
  same.edit("encoder.blocks.0.attention.weights", [](const Tensor& weights) { return weights; });
  Pass pass;
  pass.probe = &same;
  const Tensor unchanged = logits_of(model, pass);
  double worst = 0, moved = 0;
  for (int64_t i = 0; i < want.elements(); ++i)
    worst = std::max<double>(worst, std::abs(unchanged.data<float>()[i] - want.data<float>()[i]));
  CHECK(worst < 1e-4);
  Probe off;
  off.edit("encoder.blocks.0.attention.mixed", [](const Tensor& mixed) { return Tensor::zeros(mixed.shape()); });
  pass.probe = &off;
  const Tensor changed = logits_of(model, pass);
  for (int64_t i = 0; i < want.elements(); ++i)
    moved = std::max<double>(moved, std::abs(changed.data<float>()[i] - want.data<float>()[i]));
  CHECK(moved > 1e-3);
  Probe wrong;
  wrong.edit("encoder.out", [](const Tensor&) { return Tensor::zeros({1}); });
  pass.probe = &wrong;
  CHECK_THROWS_AS(logits_of(model, pass), ShapeError);
}

TEST_CASE("transformer: packed with others = alone") {
  const Transformer model = model_of(small_transformer(true));
  Pass pass;
  const Tensor all = logits_of(model, pass);
  int64_t row = 0;
  for (size_t s = 0; s < source.size(); ++s) {
    const Tokens from = Tokens::of({source[s]});
    const Tensor one =
        model.logits(model.decode(pass, Tokens::of({target[s]}), model.encode(pass, from), from.sequences));
    for (int64_t i = 0; i < one.elements(); ++i)
      CHECK(one.data<float>()[i] == doctest::Approx(all.data<float>()[row * 50 + i]).epsilon(1e-4));
    row += one.size(0);
  }
}

TEST_CASE("transformer: same bits with other threads, with a tape, with dropout of the same step") {
  auto run = [](int threads, bool tape, uint64_t step) {
    Context context({.threads = threads});
    ContextScope scope(context);
    Transformer model = model_of(small_transformer(false));
    model.set_trainable(true);
    std::optional<Tape> recording;
    if (tape) recording.emplace();
    Pass pass = Pass::training(3, step);
    return logits_of(model, pass).clone();
  };
  const Tensor want = run(1, false, 5);
  for (int threads : {1, 2, 3})
    for (bool tape : {false, true}) CHECK(same_bits(run(threads, tape, 5), want));
  CHECK_FALSE(same_bits(run(1, false, 6), want));
}

TEST_CASE("transformer: the gradient of every parameter by differences") {
  Transformer model = model_of(small_transformer(false));
  model.set_trainable(true);
  const std::vector<int32_t> labels{1, 2, 0, 3, 4, 5, 0, 0};
  auto loss = [&] {
    Pass pass = Pass::training(1, 1);  // dropout on: its masks are the same every time
    return model.loss(pass, Tokens::of(source), Tokens::of(target), Tensor::from(Shape{8}, labels),
                      {.label_smoothing = 0.1f});
  };
  Tape tape;
  const Gradients gradients = tape.backward(loss());
  NoTape pause;
  for (const Parameter& parameter : parameters(model)) {
    CAPTURE(parameter.name);
    const Tensor gradient = gradients.of(*parameter.tensor);
    REQUIRE(gradient.defined());
    // Along the gradient itself: d loss / d t = |g|².
    double squares = 0;
    for (float g : gradient.values<float>()) squares += static_cast<double>(g) * g;
    if (squares < 1e-10) continue;  // a key's bias: exactly no influence
    const double step = 2e-3 / std::sqrt(squares);
    const Tensor before = parameter.tensor->clone();
    auto moved = [&](double t) {
      for (int64_t i = 0; i < before.elements(); ++i)
        parameter.tensor->data<float>()[i] =
            static_cast<float>(before.data<float>()[i] + t * gradient.data<float>()[i]);
      return loss().item();
    };
    const double slope = (moved(step) - moved(-step)) / (2 * step);
    moved(0);
    CHECK(slope == doctest::Approx(squares).epsilon(0.03).scale(squares + 1e-4));
  }
}

TEST_CASE("transformer: a fresh post-norm encoder keeps positions apart") {
  TransformerConfig c = small_transformer(false);
  c.encoder.layers = 6;
  const Transformer model = model_of(c);
  Pass pass;
  const Tensor memory = model.encode(pass, Tokens::of({{1, 2, 3, 4, 5, 6, 7, 8}}));
  const int64_t length = memory.size(0), width = memory.size(1);
  double apart = 0, all = 0;
  for (int64_t j = 0; j < width; ++j) {
    double mean = 0;
    for (int64_t i = 0; i < length; ++i) mean += memory.data<float>()[i * width + j] / static_cast<double>(length);
    for (int64_t i = 0; i < length; ++i) {
      const double x = memory.data<float>()[i * width + j];
      apart += (x - mean) * (x - mean);
      all += x * x;
    }
  }
  CHECK(apart / all > 0.4);
}

TEST_CASE("transformer: configurations and inputs that make no sense") {
  TransformerConfig c = small_transformer(false);
  c.width = 25;
  CHECK_THROWS_AS(Transformer{c}, ConfigError);
  c = small_transformer(false);
  c.encoder.block.heads = 5;
  CHECK_THROWS_WITH_AS(Transformer{c}, doctest::Contains("does not divide"), ConfigError);
  c = small_transformer(false);
  c.eos = {50};
  CHECK_THROWS_AS(Transformer{c}, ConfigError);
  c = small_transformer(false);
  c.embedding_dropout = 1;
  CHECK_THROWS_AS(Transformer{c}, ConfigError);
  const Transformer model = model_of(small_transformer(false));
  Pass pass;
  CHECK_THROWS_WITH_AS(model.encode(pass, Tokens::of({std::vector<int32_t>(65, 1)})), doctest::Contains("beyond"),
                       ShapeError);
  CHECK_THROWS_AS(model.encode(pass, Tokens::of({{50}})), ShapeError);
}
