// Greedy search and sampling: num_return_sequences independent continuations of one prompt.
#include <attend/base/error.hpp>
#include <attend/generate/search.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace attend {
namespace {

/// The best token, if its score is one.
int32_t checked(int32_t token, float score) {
  if (token < 0 || !std::isfinite(score))
    fail<Error>("generate: no token has a finite score: the constraints forbid all, or the model is damaged");
  return token;
}

/// Draws from softmax(scores) by inverting its distribution function at u in [0, 1).
int32_t draw_token(std::span<const float> scores, double u) {
  float most = -std::numeric_limits<float>::infinity();
  for (float score : scores)
    if (score > most) most = score;
  checked(0, most);
  double sum = 0;
  for (float score : scores)
    if (score > -std::numeric_limits<float>::infinity()) sum += std::exp(static_cast<double>(score) - most);
  double rest = u * sum;
  size_t chosen = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (!(scores[i] > -std::numeric_limits<float>::infinity())) continue;
    chosen = i;
    rest -= std::exp(static_cast<double>(scores[i]) - most);
    if (rest < 0) break;
  }
  return static_cast<int32_t>(chosen);
}

class SampleSearch final : public Search {
 public:
  SampleSearch(const SearchSetting& setting, size_t index, const GenerationRequest& request, Slot slot)
      : setting_(setting),
        index_(index),
        request_(request),
        max_length_(length_limit(setting, request)),
        processors_(setting.options, std::ssize(request.prompt), max_length_, request.source),
        answers_(static_cast<size_t>(setting.options.num_return_sequences)) {
    // All sequences are one until they have chosen their first token.
    running_.push_back({0, std::move(slot), request.prompt});
    rows_.push_back({request.prompt.back(), running_[0].slot.index()});
  }

  const std::vector<Row>& rows() const override { return rows_; }

  void constrain(const StepScores& step) override {
    keep_logits(step, processors_.rewrites(std::ssize(running_[0].ids)));
    for (size_t i = 0; i < running_.size(); ++i) {
      processors_(running_[i].ids, step.row(i));
      step.shift[i] = step.less[i] = step.add[i] = 0;
    }
  }

  void advance(const StepScores& step) override {
    std::vector<size_t> row_of(running_.size());
    for (size_t i = 0; i < running_.size(); ++i) row_of[i] = i;
    if (step_ == 0) {
      for (size_t i = 1; i < answers_.size(); ++i) {
        running_.push_back({i, running_[0].slot.fork(), running_[0].ids});
        row_of.push_back(0);
      }
    }
    const uint64_t key = random_key(setting_.options, request_, step_++);
    for (size_t i = 0; i < running_.size(); ++i) append(running_[i], step, row_of[i], key);

    std::erase_if(running_, [](const Sequence& sequence) { return !sequence.slot; });
    rows_.clear();
    for (const auto& sequence : running_) rows_.push_back({sequence.ids.back(), sequence.slot.index()});
  }

  std::vector<Generated> take_answers() override {
    for (auto& answer : answers_) {
      float sum = 0;
      for (float logprob : answer.token_logprobs) sum += logprob;
      answer.score = normalized_score(sum, std::ssize(answer.ids), setting_.options.length_penalty);
    }
    return std::move(answers_);
  }

 private:
  struct Sequence {
    size_t answer;
    Slot slot;  // empty when the sequence is done
    std::vector<int32_t> ids;
  };

  void append(Sequence& sequence, const StepScores& step, size_t row, uint64_t key) {
    const int32_t token = setting_.options.do_sample ? draw_token(step.row(row), Random::uniform(key, sequence.answer))
                                                     : checked(step.best[row], step.best_scores[row]);
    const float logprob = this->logprob(step, row, token);
    Generated& answer = answers_[sequence.answer];
    answer.ids.push_back(token);
    answer.token_logprobs.push_back(logprob);
    sequence.ids.push_back(token);

    bool last = true;
    if (setting_.options.ends_with(token))
      answer.finish_reason = FinishReason::eos;
    else if (std::ssize(sequence.ids) >= max_length_)
      answer.finish_reason = FinishReason::length;
    else
      last = false;
    const auto& on_token = setting_.hooks.on_token;
    if (on_token && !on_token({index_, sequence.answer, token, logprob, last}) && !last) {
      answer.finish_reason = FinishReason::stopped;
      last = true;
    }
    if (last) sequence.slot.reset();
  }

  const SearchSetting& setting_;
  const size_t index_;
  const GenerationRequest& request_;
  const int64_t max_length_;
  const LogitsProcessors processors_;
  int64_t step_ = 0;
  std::vector<Sequence> running_;
  std::vector<Row> rows_;
  std::vector<Generated> answers_;
};

}  // namespace

std::unique_ptr<Search> make_sample_search(const SearchSetting& setting, size_t index, const GenerationRequest& request,
                                           Slot slot) {
  return std::make_unique<SampleSearch>(setting, index, request, std::move(slot));
}

}  // namespace attend
