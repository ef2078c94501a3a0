#include <doctest/doctest.h>
#include <attend/base/error.hpp>
#include <attend/generate/generate.hpp>

#include "fake_model.hpp"
#include "hf_beam_search.hpp"

#include <map>
#include <set>
#include <string>

using namespace attend;
using attend::testing::FakeModel;

namespace {

GenerationRequest request_for(FakeModel& model, std::vector<int32_t> prompt) {
  return {.slot = model.start({prompt.begin(), prompt.end() - 1}), .prompt = prompt};
}

std::vector<Generated> generate_one(FakeModel& model, std::vector<int32_t> prompt, const GenerationOptions& options,
                                    const GenerationHooks& hooks = {}) {
  const std::vector<GenerationRequest> requests{request_for(model, std::move(prompt))};
  return generate(model, requests, options, hooks)[0];
}

}  // namespace

TEST_CASE("beam search equals a slow independent one in every mode") {
  std::map<std::string, std::vector<int32_t>> by_mode;  // the modes must differ, or this test sees nothing
  int by_eos = 0, by_length = 0;
  for (uint64_t seed = 0; seed < 12; ++seed)
    for (int64_t beams : {2, 3, 4})
      for (size_t end_tokens : {0, 1, 2})
        for (float penalty : {-1.0f, 0.0f, 0.6f, 1.0f, 2.0f})
          for (auto stopping : {EarlyStopping::no, EarlyStopping::yes, EarlyStopping::never}) {
            FakeModel model(17, seed, 0.5 + 0.7 * static_cast<double>(seed % 6));
            GenerationOptions options;
            options.num_beams = options.num_return_sequences = beams;
            options.max_new_tokens = 9;
            options.min_new_tokens = static_cast<int64_t>(seed % 3);
            options.length_penalty = penalty;
            options.early_stopping = stopping;
            for (size_t i = 0; i < end_tokens; ++i) options.eos_token_id.push_back(static_cast<int32_t>(3 + 4 * i));
            const std::vector<int32_t> prompt{static_cast<int32_t>(seed), 1, 2};
            CAPTURE(seed);
            CAPTURE(beams);
            CAPTURE(end_tokens);
            CAPTURE(penalty);
            CAPTURE(static_cast<int>(stopping));
            const auto expected = attend::testing::hf_beam_search(model, prompt, options);
            const auto answers = generate_one(model, prompt, options);
            CHECK(model.clean());
            REQUIRE(answers.size() == expected.size());
            for (size_t i = 0; i < answers.size(); ++i) {
              CHECK(answers[i].ids == expected[i].ids);
              CHECK(answers[i].score == doctest::Approx(expected[i].score).epsilon(1e-5));
              CHECK(answers[i].token_logprobs.size() == answers[i].ids.size());
              const bool eos = options.ends_with(answers[i].ids.back());
              CHECK(answers[i].finish_reason == (eos ? FinishReason::eos : FinishReason::length));
              ++(eos ? by_eos : by_length);
              for (const auto& mode :
                   {"stopping " + std::to_string(static_cast<int>(stopping)), "penalty " + std::to_string(penalty)})
                by_mode[mode].insert(by_mode[mode].end(), answers[i].ids.begin(), answers[i].ids.end());
            }
          }
  CHECK(by_eos > 100);
  CHECK(by_length > 100);
  std::set<std::vector<int32_t>> different;
  for (const auto& [mode, ids] : by_mode) different.insert(ids);
  CHECK(different.size() == 8);
}

TEST_CASE("a beam as wide as the tree finds all sequences in order") {
  FakeModel model(3, 5);
  GenerationOptions options;
  options.num_beams = options.num_return_sequences = 81;
  options.max_new_tokens = 4;
  options.length_penalty = 0;
  options.early_stopping = EarlyStopping::never;
  const std::vector<int32_t> prompt{1};

  std::vector<std::pair<double, std::vector<int32_t>>> all;
  for (int code = 0; code < 81; ++code) {
    std::vector<int32_t> ids = prompt;
    double sum = 0;
    for (int i = 0, rest = code; i < 4; ++i, rest /= 3) {
      sum += model.logprobs(ids)[static_cast<size_t>(rest % 3)];
      ids.push_back(rest % 3);
    }
    all.emplace_back(sum, std::vector<int32_t>(ids.begin() + 1, ids.end()));
  }
  std::sort(all.rbegin(), all.rend());
  const auto answers = generate_one(model, prompt, options);
  REQUIRE(answers.size() == 81);
  for (size_t i = 0; i < answers.size(); ++i) {
    CAPTURE(i);
    CHECK(answers[i].ids == all[i].second);
    CHECK(answers[i].score == doctest::Approx(all[i].first).epsilon(1e-5));
  }
  CHECK(model.clean());
}

TEST_CASE("hypotheses never repeat, nor run past their end, when few tokens are allowed") {
  FakeModel model(6, 1);
  GenerationOptions options;
  options.num_beams = options.num_return_sequences = 5;
  options.max_new_tokens = 3;
  options.eos_token_id = {0};
  options.suppress_tokens = {2, 3, 4, 5};
  const auto answers = generate_one(model, {1}, options);
  std::set<std::vector<int32_t>> distinct;
  for (const auto& answer : answers) {
    CHECK(std::find(answer.ids.begin(), answer.ids.end() - 1, 0) == answer.ids.end() - 1);
    distinct.insert(answer.ids);
  }
  CHECK(distinct == std::set<std::vector<int32_t>>{{0}, {1, 0}, {1, 1, 0}, {1, 1, 1}});
  CHECK(answers.size() == 4);
}

TEST_CASE("a batch gives each request what it gets alone") {
  GenerationOptions options;
  options.num_beams = 3;
  options.num_return_sequences = 2;
  options.max_new_tokens = 12;
  options.eos_token_id = {4, 6};
  options.early_stopping = EarlyStopping::yes;
  for (bool sample : {false, true}) {
    CAPTURE(sample);
    options.do_sample = sample;
    FakeModel model(13, 7, 2.5);
    std::vector<std::vector<int32_t>> prompts{{0, 1}, {5}, {7, 8, 9, 10}, {11}};
    std::vector<GenerationRequest> requests;
    for (const auto& prompt : prompts) requests.push_back(request_for(model, prompt));
    std::vector<size_t> order;
    const auto together = generate(model, requests, options, {.on_finished = [&](size_t i, const auto& answers) {
                                     order.push_back(i);
                                     CHECK(answers.size() == 2);
                                   }});
    CHECK(model.clean());
    CHECK(std::set<size_t>(order.begin(), order.end()).size() == prompts.size());
    CHECK_FALSE(std::is_sorted(order.begin(), order.end()));  // they finish at different times
    for (size_t i = 0; i < prompts.size(); ++i) {
      const auto alone = generate_one(model, prompts[i], options);
      REQUIRE(alone.size() == together[i].size());
      for (size_t j = 0; j < alone.size(); ++j) {
        CHECK(alone[j].ids == together[i][j].ids);
        CHECK(alone[j].score == together[i][j].score);
        CHECK(alone[j].token_logprobs == together[i][j].token_logprobs);
      }
    }
  }
}

TEST_CASE("the beam tree leads to every answer") {
  FakeModel model(15, 8);
  GenerationOptions options;
  options.num_beams = options.num_return_sequences = 3;
  options.max_new_tokens = 8;
  options.eos_token_id = {2};
  options.length_penalty = 1;
  std::vector<BeamNode> nodes;
  const auto answers = generate_one(model, {0}, options, {.on_beam = [&](const BeamNode& n) { nodes.push_back(n); }});

  std::map<std::pair<int64_t, int64_t>, const BeamNode*> running;  // (step, beam) → the node that became it
  for (const auto& node : nodes)
    if (node.fate == BeamNode::Fate::running) running[{node.step + 1, node.beam}] = &node;
  std::set<std::vector<int32_t>> finished;
  for (const auto& node : nodes) {
    CHECK((node.beam >= 0) == (node.fate == BeamNode::Fate::running));
    if (node.fate != BeamNode::Fate::finished) continue;
    std::vector<int32_t> ids;
    float sum = 0;
    for (const BeamNode* at = &node; at; at = at->step == 0 ? nullptr : running.at({at->step, at->parent})) {
      ids.insert(ids.begin(), at->token);
      sum += at->logprob;
    }
    CHECK(sum == doctest::Approx(node.score));
    finished.insert(ids);
  }
  REQUIRE(answers.size() == 3);
  for (const auto& answer : answers) CHECK(finished.count(answer.ids) == 1);
}

TEST_CASE("sampled beams depend on the seed and favour what is likely") {
  FakeModel model(12, 4);
  GenerationOptions options;
  options.num_beams = 3;
  options.do_sample = true;
  options.max_new_tokens = 4;
  std::set<std::vector<int32_t>> seen;
  double sampled = 0;
  for (options.seed = 0; options.seed < 40; ++options.seed) {
    const auto answer = generate_one(model, {0}, options)[0];
    CHECK(generate_one(model, {0}, options)[0].ids == answer.ids);
    seen.insert(answer.ids);
    sampled += answer.score / 40;
  }
  CHECK(seen.size() > 5);
  options.do_sample = false;
  CHECK(generate_one(model, {0}, options)[0].score >= sampled);
  CHECK(sampled > -std::log(12.0));  // better than blind chance
}

TEST_CASE("of the beams drawn, the most likely run on, best first") {
  FakeModel model(12, 4);
  GenerationOptions options;
  options.num_beams = 3;
  options.do_sample = true;
  options.max_new_tokens = 5;
  std::vector<BeamNode> nodes;
  generate_one(model, {0}, options, {.on_beam = [&](const BeamNode& n) { nodes.push_back(n); }});
  bool reordered = false;
  for (int64_t step = 0; step < 4; ++step) {
    std::vector<float> all;
    std::map<int64_t, float> running;
    for (const auto& node : nodes) {
      if (node.step != step) continue;
      all.push_back(node.score);
      if (node.beam >= 0) running[node.beam] = node.score;
    }
    reordered = reordered || !std::is_sorted(all.rbegin(), all.rend());
    std::sort(all.rbegin(), all.rend());
    REQUIRE(all.size() == 6);
    for (int64_t beam = 0; beam < 3; ++beam) CHECK(running.at(beam) == all[static_cast<size_t>(beam)]);
  }
  CHECK(reordered);
}

TEST_CASE("slots are given back when something goes wrong") {
  GenerationOptions options;
  options.num_beams = 4;
  options.max_new_tokens = 6;
  FakeModel model(20, 2);
  model.break_at(3);
  CHECK_THROWS_AS(generate_one(model, {0}, options), Error);
  CHECK(model.clean());

  options.num_return_sequences = 5;
  CHECK_THROWS_WITH_AS(generate_one(model, {0}, options),
                       "generation: num_return_sequences is 5, not at most num_beams = 4", ConfigError);
  CHECK(model.clean());
  options.num_return_sequences = 1;
  model.set_max_length(3);
  CHECK_THROWS_AS(generate_one(model, {0, 1, 2}, options), ConfigError);
  CHECK(model.clean());
  CHECK(generate_one(model, {0, 1}, options)[0].ids.size() == 1);  // one position is left
  options.suppress_tokens.resize(20);
  for (int32_t i = 0; i < 20; ++i) options.suppress_tokens[static_cast<size_t>(i)] = i;
  CHECK_THROWS_AS(generate_one(model, {0}, options), Error);
  CHECK(model.clean());
}
