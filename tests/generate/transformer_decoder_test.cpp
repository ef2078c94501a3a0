#include <doctest/doctest.h>
#include <attend/base/error.hpp>
#include <attend/generate/generate.hpp>
#include <attend/generate/transformer_decoder.hpp>

#include <algorithm>
#include <cmath>

using namespace attend;

namespace {

using Ids = std::vector<int32_t>;

Transformer small_model() {
  TransformerConfig config;
  config.source_vocab = config.vocab = 19;
  config.width = 16;
  config.max_length = 24;
  for (StackConfig* stack : {&config.encoder, &config.decoder}) {
    stack->layers = 2;
    stack->block.width = 16;
    stack->block.heads = 4;
    stack->block.hidden = 32;
  }
  config.decoder.block.causal = config.decoder.block.cross = true;
  Transformer model(config);
  model.initialise(7);
  return model;
}

/// The logits after the last token of `target`, by a full pass without cache.
std::vector<float> full_logits(const Transformer& model, const Ids& source, const Ids& target) {
  Pass pass;
  const Tokens from = Tokens::of({source});
  const Tensor memory = model.encode(pass, from);
  const Tensor logits = model.logits(model.decode(pass, Tokens::of({target}), memory, from.sequences));
  const auto values = logits.values<float>();
  return {values.end() - model.config().vocab, values.end()};
}

void check_equal(std::span<const float> a, std::span<const float> b) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) CHECK(std::abs(a[i] - b[i]) <= 2e-5f);
}

}  // namespace

TEST_CASE("steps, prompts and forks give the logits of a full pass") {
  const Transformer model = small_model();
  TransformerDecoder decoder(model);
  const std::vector<Ids> sources{{3, 4, 5, 6}, {7}};
  const auto slots = decoder.encode(sources);
  REQUIRE(slots.size() == 2);
  Ids prompt;  // longer than a page of the cache
  for (int32_t i = 0; i < 18; ++i) prompt.push_back(i);
  decoder.append(slots[0], prompt);
  const int copy = decoder.fork(slots[0]);

  const Ids tokens{9, 2, 10};
  const std::vector<int> order{slots[0], slots[1], copy};
  const Tensor logits = decoder.step(tokens, order);
  REQUIRE(logits.shape() == Shape{3, 19});
  Ids first = prompt, forked = prompt;
  first.push_back(9);
  forked.push_back(10);
  check_equal(logits.rows(0, 1).values<float>(), full_logits(model, sources[0], first));
  check_equal(logits.rows(1, 2).values<float>(), full_logits(model, sources[1], {2}));
  check_equal(logits.rows(2, 3).values<float>(), full_logits(model, sources[0], forked));

  const Ids more(6, 1);
  CHECK_THROWS_WITH_AS(decoder.append(slots[0], more), "generate: a sequence of 25 tokens is beyond the model's 24",
                       ShapeError);
  const Tensor again = decoder.step(Ids{11}, std::vector<int>{slots[0]});  // the refused tokens left nothing behind
  first.push_back(11);
  check_equal(again.values<float>(), full_logits(model, sources[0], first));
}

TEST_CASE("greedy search over a cache equals greedy search without one") {
  const Transformer model = small_model();
  const std::vector<Ids> sources{{1, 2, 3}, {4, 5, 6, 7, 8, 9, 10}};
  GenerationOptions options;
  options.max_new_tokens = 30;  // the model ends it at 24
  TransformerDecoder decoder(model);
  const auto slots = decoder.encode(sources);
  std::vector<GenerationRequest> requests;
  for (size_t i = 0; i < 2; ++i) requests.push_back({.slot = slots[i], .prompt = {0}});
  const auto answers = generate(decoder, requests, options);
  for (size_t i = 0; i < 2; ++i) {
    Ids ids{0};
    while (ids.size() < 24) {
      const auto logits = full_logits(model, sources[i], ids);
      ids.push_back(static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
    }
    CHECK(answers[i][0].ids == Ids(ids.begin() + 1, ids.end()));
    CHECK(answers[i][0].finish_reason == FinishReason::length);
  }
}
