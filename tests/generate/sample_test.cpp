#include <doctest/doctest.h>
#include <attend/base/error.hpp>
#include <attend/generate/generate.hpp>

#include "fake_model.hpp"

#include <map>
#include <optional>
#include <set>

using namespace attend;
using attend::testing::FakeModel;

namespace {

std::vector<Generated> generate_one(FakeModel& model, std::vector<int32_t> prompt, const GenerationOptions& options,
                                    const GenerationHooks& hooks = {}, uint64_t stream = 0) {
  std::vector<GenerationRequest> requests{
      {.slot = model.start({prompt.begin(), prompt.end() - 1}), .prompt = prompt, .stream = stream}};
  return generate(model, requests, options, hooks)[0];
}

/// Pearson's statistic of draws against probabilities.
double chi_square(const std::map<int32_t, int>& counts, const std::vector<double>& p, int draws) {
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    const auto found = counts.find(static_cast<int32_t>(i));
    const double difference = (found == counts.end() ? 0 : found->second) - p[i] * draws;
    if (p[i] > 0) sum += difference * difference / (p[i] * draws);
  }
  return sum;
}

}  // namespace

TEST_CASE("greedy search takes the best token until the end") {
  FakeModel model(9, 6);
  GenerationOptions options;
  options.max_new_tokens = 12;
  std::vector<int32_t> ids{3, 4};
  double sum = 0;
  while (ids.size() < 14) {
    const auto logprobs = model.logprobs(ids);
    const auto best = std::max_element(logprobs.begin(), logprobs.end());
    ids.push_back(static_cast<int32_t>(best - logprobs.begin()));
    sum += *best;
  }
  auto answer = generate_one(model, {3, 4}, options)[0];
  CHECK(answer.ids == std::vector<int32_t>(ids.begin() + 2, ids.end()));
  CHECK(answer.score == doctest::Approx(sum / 12).epsilon(1e-5));
  CHECK(answer.finish_reason == FinishReason::length);

  options.eos_token_id = {ids[5]};
  answer = generate_one(model, {3, 4}, options)[0];
  CHECK(answer.ids.back() == ids[5]);
  CHECK(answer.ids.size() <= 4);
  CHECK(answer.finish_reason == FinishReason::eos);
  CHECK(model.clean());
}

TEST_CASE("draws follow the distribution") {
  FakeModel model(8, 11, 1.0);
  GenerationOptions options;
  options.do_sample = true;
  options.max_new_tokens = 1;
  options.top_k = 0;
  options.num_return_sequences = 1000;
  const auto p = model.logprobs(std::vector<int32_t>{2});
  std::vector<double> plain, hot;
  double sum = 0, hot_sum = 0;
  for (double logp : p) sum += std::exp(logp), hot_sum += std::exp(logp / 2);
  for (double logp : p) plain.push_back(std::exp(logp) / sum), hot.push_back(std::exp(logp / 2) / hot_sum);

  const auto count = [&] {
    std::map<int32_t, int> counts;
    for (uint64_t stream = 0; stream < 20; ++stream)
      for (const auto& answer : generate_one(model, {2}, options, {}, stream)) ++counts[answer.ids[0]];
    return counts;
  };
  const double limit = 24.3;  // 7 degrees of freedom, one chance in a thousand
  const auto counts = count();
  CHECK(chi_square(counts, plain, 20000) < limit);
  CHECK(chi_square(counts, hot, 20000) > limit);
  options.temperature = 2;
  CHECK(chi_square(count(), hot, 20000) < limit);

  options.top_k = 3;
  CHECK(count().size() == 3);
  options.top_k = 0;
  options.temperature = 1;
  options.top_p = 0.01f;
  CHECK(count().size() == 1);
}

TEST_CASE("samples are equal for equal seeds and streams, and only for them") {
  FakeModel model(30, 12);
  GenerationOptions options;
  options.do_sample = true;
  options.max_new_tokens = 8;
  options.num_return_sequences = 3;
  const auto ids = [&](std::vector<Generated> answers) {
    std::vector<std::vector<int32_t>> result;
    for (const auto& answer : answers) result.push_back(answer.ids);
    return result;
  };
  const auto first = ids(generate_one(model, {1}, options));
  CHECK(std::set(first.begin(), first.end()).size() == 3);
  CHECK(ids(generate_one(model, {1}, options)) == first);
  CHECK(ids(generate_one(model, {1}, options, {}, 1)) != first);
  options.seed = 1;
  CHECK(ids(generate_one(model, {1}, options)) != first);
  options.seed = 0;

  std::vector<GenerationRequest> requests;
  for (int32_t i = 0; i < 4; ++i) requests.push_back({.slot = model.start({}), .prompt = {i}, .stream = 0});
  CHECK(ids(generate(model, requests, options)[1]) == first);
  CHECK(model.clean());
}

TEST_CASE("streaming sees every token once, in order, and can stop a sequence") {
  FakeModel model(20, 3);
  GenerationOptions options;
  options.do_sample = true;
  options.max_new_tokens = 7;
  options.num_return_sequences = 3;
  options.eos_token_id = {5, 6, 7};
  std::map<size_t, std::vector<int32_t>> seen;
  std::map<size_t, int> ends;
  auto answers = generate_one(model, {1}, options, {.on_token = [&](const TokenEvent& event) {
                                CHECK(ends[event.sequence] == 0);
                                seen[event.sequence].push_back(event.token);
                                ends[event.sequence] += event.last;
                                return true;
                              }});
  REQUIRE(answers.size() == 3);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(seen[i] == answers[i].ids);
    CHECK(ends[i] == 1);
  }

  const int64_t rows = model.rows();
  options.eos_token_id.clear();
  answers =
      generate_one(model, {1}, options, {.on_token = [](const TokenEvent& event) { return event.sequence != 1; }});
  CHECK(answers[0].ids.size() == 7);
  CHECK(answers[1].ids.size() == 1);
  CHECK(answers[1].finish_reason == FinishReason::stopped);
  CHECK(answers[2].finish_reason == FinishReason::length);
  CHECK(model.rows() - rows == 1 + 2 * 6);  // a stopped sequence leaves the batch, the first token is shared
  CHECK(model.clean());
}

TEST_CASE("constraints work while generating") {
  FakeModel model(10, 21);
  GenerationOptions options;
  options.max_new_tokens = 9;
  options.forced_bos_token_id = 7;
  options.forced_eos_token_id = {2};
  options.no_repeat_ngram_size = 1;
  options.suppress_tokens = {4};
  auto answer = generate_one(model, {0}, options)[0];
  CHECK(answer.ids.size() == 9);
  CHECK(answer.ids.front() == 7);
  CHECK(answer.ids.back() == 2);
  CHECK(std::count(answer.ids.begin(), answer.ids.end(), 4) == 0);

  options = {};
  options.max_new_tokens = 6;
  options.encoder_no_repeat_ngram_size = 1;
  std::vector<GenerationRequest> requests{{.slot = model.start({}), .prompt = {0}, .source = {1, 2, 3, 99}}};
  answer = generate(model, requests, options)[0][0];
  for (int32_t token : answer.ids) CHECK((token == 0 || token > 3));

  CHECK(generate(model, {}, options).empty());
  CHECK(model.clean());
}

TEST_CASE("scores that are not numbers are an error, not an answer") {
  struct Broken final : StepModel {
    int64_t vocab() const override { return 4; }
    Tensor step(std::span<const int32_t>, std::span<const int>) override { return Tensor::full({1, 4}, NAN); }
    int fork(int slot) override { return slot; }
    void free(int) noexcept override {}
  } model;
  std::vector<GenerationRequest> requests{{.slot = 0, .prompt = {0}}};
  GenerationOptions options;
  for (int64_t beams : {1, 2})
    for (bool sample : {false, true}) {
      options.num_beams = beams;
      options.do_sample = sample;
      CHECK_THROWS_AS(generate(model, requests, options), Error);
    }
}

TEST_CASE("a request's own limit goes before the options' and leaves its neighbours alone") {
  for (int64_t beams : {1, 3}) {
    GenerationOptions options;
    options.num_beams = beams;
    options.max_new_tokens = 5;
    options.forced_eos_token_id = {8};
    FakeModel model(9, 6);
    const auto request = [&](std::optional<int64_t> limit) {
      return GenerationRequest{.slot = model.start({3}), .prompt = {3, 4}, .max_new_tokens = limit};
    };
    const std::vector<GenerationRequest> requests{request({}), request(2), request(7)};
    const auto answers = generate(model, requests, options);
    const std::vector<GenerationRequest> alone{request({})};
    CHECK(generate(model, alone, options)[0][0].ids == answers[0][0].ids);
    for (const auto& [index, length] : {std::pair<size_t, size_t>{0, 5}, {1, 2}, {2, 7}}) {
      CHECK(answers[index][0].ids.size() == length);
      CHECK(answers[index][0].ids.back() == 8);
    }
    CHECK(model.clean());
  }
}
