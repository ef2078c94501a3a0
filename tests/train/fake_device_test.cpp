// A whole Transformer on the fake device, whose memory faults when the host touches it: training steps, probing and
// generation give the bits of the CPU.
#include <attend/generate/generate.hpp>
#include <attend/generate/transformer_decoder.hpp>
#include <attend/nn/parameters.hpp>
#include <attend/tensor/context.hpp>
#include <attend/train/optimiser.hpp>

#include <doctest/doctest.h>

#include <optional>

#include "models/small_transformer.hpp"

namespace attend {
namespace {

using Ids = std::vector<int32_t>;
using Values = std::vector<float>;

Values floats(const Tensor& tensor) {
  const Tensor here = tensor.to(Device::cpu);
  return {here.values<float>().begin(), here.values<float>().end()};
}

TransformerConfig config_of(PositionKind positions, bool pre_norm) {
  TransformerConfig c = testing::small_transformer(pre_norm, 2, 31);
  c.positions = positions;
  c.logits_bias = true;
  c.frozen_pad_row = true;
  return c;
}

struct Result {
  std::vector<Values> numbers;  // losses, norms, weights, moments, what a probe saw, scores
  std::vector<Ids> answers;
};

Result run_on(Device device, const TransformerConfig& config) {
  const std::vector<Ids> source{{1, 2, 3, 4, 5, 0}, {6, 7, 0}, {8, 9, 10, 0}},
      target{{30, 11, 12}, {30, 13, 14, 15}, {30}};
  const Tensor labels = Tensor::from({8}, Ids{11, 12, 0, 13, 14, 15, -100, 0});
  Result result;
  Transformer model(config);
  model.initialise(5);
  model.set_trainable(true);
  model.move_to(device);
  AdamW adam(parameters(model), {.clip = 0.5});
  for (uint64_t step = 0; step < 3; ++step) {
    Gradients gradients;
    double loss = 0;
    for (uint64_t part = 0; part < 2; ++part) {  // gradients of two batches add up
      Pass pass = Pass::training(3, 2 * step + part);
      Tape tape;
      const Tensor one = model.loss(pass, Tokens::of(source), Tokens::of(target), labels, {.label_smoothing = 0.1f});
      CHECK(one.device() == device);
      tape.backward(one, gradients, 0.5f);
      loss += one.item();
    }
    result.numbers.push_back({static_cast<float>(loss), static_cast<float>(adam.step(gradients, 0.01))});
  }
  for (const Parameter& parameter : parameters(model)) {
    CHECK(parameter.tensor->device() == device);
    result.numbers.push_back(floats(*parameter.tensor));
  }
  for (const auto& [name, tensor] : adam.state()) {
    CHECK(tensor.device() == device);
    result.numbers.push_back(floats(tensor));
  }

  model.set_trainable(false);
  model.pack();
  Probe probe({"encoder.blocks.1.attention.weights", "decoder.blocks.0.cross.weights", "decoder.out"});
  probe.edit("decoder.blocks.1.cross.weights", [](const Tensor& weights) { return weights; });
  Pass pass;
  pass.probe = &probe;
  const Tokens from = Tokens::of(source);
  const Tensor hidden = model.decode(pass, Tokens::of(target), model.encode(pass, from), from.sequences);
  result.numbers.push_back(floats(model.logits(hidden)));
  for (const char* name : {"encoder.blocks.1.attention.weights", "decoder.blocks.0.cross.weights", "decoder.out"})
    result.numbers.push_back(floats(probe[name]));

  for (int64_t beams : {1, 3}) {
    Probe watch({"decoder.blocks.1.attention.weights"});
    TransformerDecoder decoder(model, &watch);
    const std::vector<int> slots = decoder.encode(source);
    std::vector<GenerationRequest> requests;
    for (int slot : slots) requests.push_back({.slot = slot, .prompt = {30}});
    GenerationOptions options;
    options.num_beams = beams;
    options.max_length = 40;  // beyond two pages of the cache
    for (const auto& each : generate(decoder, requests, options))
      for (const Generated& answer : each) {
        result.answers.push_back(answer.ids);
        result.numbers.push_back({answer.score});
      }
    result.numbers.push_back(floats(watch["decoder.blocks.1.attention.weights"]));
  }
  return result;
}

TEST_CASE("a Transformer trains and generates on another device with the same bits") {
  for (int threads : {1, 3}) {
    Context context({.threads = threads});
    ContextScope scope(context);
    for (auto [positions, pre_norm] :
         {std::pair{PositionKind::sinusoidal_halves, false}, std::pair{PositionKind::learned, true}}) {
      const TransformerConfig config = config_of(positions, pre_norm);
      const Result here = run_on(Device::cpu, config), there = run_on(Device::fake, config);
      CHECK(here.numbers == there.numbers);
      CHECK(here.answers == there.answers);
      CHECK(here.answers.size() == 6);
      size_t longest = 0;
      for (const Ids& answer : here.answers) longest = std::max(longest, answer.size());
      CHECK(longest > 17);
    }
  }
}

}  // namespace
}  // namespace attend
