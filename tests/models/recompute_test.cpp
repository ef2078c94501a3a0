// Recomputation changes no bit of a model's loss and gradients, whatever else the pass carries.
#include <attend/models/transformer.hpp>
#include <attend/nn/parameters.hpp>
#include <attend/tensor/context.hpp>
#include <attend/tensor/tape.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <optional>

#include "models/small_transformer.hpp"

using namespace attend;

namespace {

// Two kinds of blocks: post-norm with ReLU, pre-norm with GELU; all dropouts on.
TransformerConfig config_of(bool pre_norm) {
  TransformerConfig c = testing::small_transformer(pre_norm, 3);
  c.encoder.block.activation = c.decoder.block.activation = pre_norm ? Activation::gelu : Activation::relu;
  return c;
}

struct Example {
  Tokens source, target;
  Tensor labels;
};

Example example(int32_t first) {
  return {Tokens::of({{first, 2, 3, 4, 5}, {6, 7}, {8, 9, 10}}), Tokens::of({{49, 11, 12}, {49, 13, first, 15}, {49}}),
          Tensor::from(Shape{8}, std::vector<int32_t>{1, 2, 0, 3, 4, 5, 0, 0})};
}

Transformer trainable(const TransformerConfig& config) {
  Transformer model(config);
  model.initialise(7);
  model.set_trainable(true);
  return model;
}

Tensor loss_of(const Transformer& model, const Example& example, Pass& pass) {
  return model.loss(pass, example.source, example.target, example.labels, {.label_smoothing = 0.1f});
}

using Values = std::map<std::string, std::vector<float>>;

Values values_of(Transformer& model, const Gradients& gradients) {
  Values values;
  for (const Parameter& parameter : parameters(model))
    if (const Tensor g = gradients.of(*parameter.tensor); g.defined())
      values[parameter.name].assign(g.values<float>().begin(), g.values<float>().end());
  return values;
}

bool same_bits(const Values& a, const Values& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.size() == y.second.size() &&
           std::memcmp(x.second.data(), y.second.data(), x.second.size() * sizeof(float)) == 0;
  });
}

// Losses and gradients of two batches, added up.
Values two_batches(Transformer& model, bool recompute) {
  Gradients gradients;
  std::vector<float> losses;
  for (int32_t i = 0; i < 2; ++i) {
    Pass pass = Pass::training(3, static_cast<uint64_t>(i));
    pass.recompute = recompute;
    Tape tape;
    const Tensor loss = loss_of(model, example(1 + i), pass);
    tape.backward(loss, gradients);
    losses.push_back(static_cast<float>(loss.item()));
  }
  Values values = values_of(model, gradients);
  values["losses"] = losses;
  return values;
}

}  // namespace

TEST_CASE("recomputation: the same loss and gradients with any number of threads, over several batches") {
  for (const bool pre_norm : {false, true}) {
    Transformer model = trainable(config_of(pre_norm));
    const Values want = two_batches(model, false);
    CHECK(want.size() == parameters(model).size() + 1);
    for (const int threads : {1, 2, 3}) {
      Context context({.threads = threads});
      ContextScope scope(context);
      CHECK(same_bits(two_batches(model, true), want));
    }
    Values moved = want;
    moved.begin()->second[0] = std::nextafter(moved.begin()->second[0], 1e9f);
    CHECK_FALSE(same_bits(moved, want));
  }
}

TEST_CASE("recomputation: in the precision of the forward pass, wherever the backward pass runs") {
  Transformer model = trainable(config_of(true));
  auto gradients = [&](bool recompute, bool inside) {
    Pass pass = Pass::training(3, 1);
    pass.recompute = recompute;
    Tape tape;
    std::optional<ProductPrecision> precision(Precision::bf16);
    const Tensor loss = loss_of(model, example(1), pass);
    if (!inside) precision.reset();
    return values_of(model, tape.backward(loss));
  };
  const Values want = gradients(false, true);
  for (const bool inside : {false, true}) CHECK(same_bits(gradients(true, inside), want));
  Pass pass = Pass::training(3, 1);
  Tape tape;
  CHECK_FALSE(same_bits(values_of(model, tape.backward(loss_of(model, example(1), pass))), want));
}

TEST_CASE("recomputation: part of the parameters frozen") {
  for (const char* trained : {"decoder.blocks.1.cross.key.weight", "encoder.blocks.0.ffn_norm.bias", "embedding"}) {
    CAPTURE(trained);
    Transformer model = trainable(config_of(false));
    for (const Parameter& parameter : parameters(model)) parameter.tensor->set_tracked(parameter.name == trained);
    const Values want = two_batches(model, false);
    CHECK(want.size() == 2);
    CHECK(same_bits(two_batches(model, true), want));
  }
}

TEST_CASE("recomputation: a probe reads once and sees what it sees without") {
  Transformer model = trainable(config_of(false));
  const std::vector<std::string> names = activation_names(model.config());
  auto run = [&](bool recompute, Probe& probe) {
    Pass pass = Pass::training(3, 1);
    pass.recompute = recompute;
    pass.probe = &probe;
    Tape tape;
    const Tensor loss = loss_of(model, example(1), pass);
    Values values;
    for (const std::string& name : names)
      values[name].assign(probe[name].values<float>().begin(), probe[name].values<float>().end());
    probe = Probe(names);  // empty again: what the backward pass showed would stay
    values.merge(values_of(model, tape.backward(loss)));
    for (const std::string& name : names) CHECK_FALSE(probe.has(name));
    return values;
  };
  Probe first(names), second(names);
  CHECK(same_bits(run(true, first), run(false, second)));
}

TEST_CASE("recomputation: an edit runs once, and its effect is differentiated as without") {
  Transformer model = trainable(config_of(true));
  int edits = 0;
  auto run = [&](bool recompute) {
    Probe probe;
    probe.edit("encoder.blocks.1.ffn.out", [&](const Tensor& x) {
      Tensor changed = x.clone();
      changed.data<float>()[edits++ % 24] = 2;
      return changed;
    });
    Pass pass = Pass::training(3, 1);
    pass.recompute = recompute;
    pass.probe = &probe;
    Tape tape;
    edits = 0;
    const Values values = values_of(model, tape.backward(loss_of(model, example(1), pass)));
    CHECK(edits == 1);
    return values;
  };
  CHECK(same_bits(run(true), run(false)));
}

TEST_CASE("recomputation: the model may have moved, the pass may be gone") {
  std::optional<Transformer> model = trainable(config_of(false));
  const Values want = two_batches(*model, false);
  Gradients gradients;
  for (int32_t i = 0; i < 2; ++i) {
    Tape tape;
    Tensor loss;
    {
      Pass pass = Pass::training(3, static_cast<uint64_t>(i));
      pass.recompute = true;
      loss = loss_of(*model, example(1 + i), pass);
    }
    std::optional<Transformer> elsewhere = std::move(*model);
    model.reset();
    tape.backward(loss, gradients);
    model = std::move(elsewhere);
  }
  Values values = values_of(*model, gradients);
  values["losses"] = want.at("losses");
  CHECK(same_bits(values, want));
}

TEST_CASE("recomputation: steady steps take nothing from the system") {
  Context context({.threads = 2});
  ContextScope scope(context);
  Transformer model = trainable(config_of(true));
  two_batches(model, true);
  const int64_t before = context.allocator()->statistics().system_allocations;
  for (int i = 0; i < 10; ++i) two_batches(model, true);
  CHECK(context.allocator()->statistics().system_allocations == before);
}
