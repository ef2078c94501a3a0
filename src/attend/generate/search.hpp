// The search for the answers of one request. Internal to the room: generate.hpp runs a batch of them in lock step.
#pragma once

#include <attend/generate/generate.hpp>
#include <attend/generate/logits.hpp>
#include <attend/tensor/random.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace attend {

/// A slot that goes back to the model with its last owner.
class Slot {
 public:
  Slot() = default;
  Slot(StepModel& model, int index) : model_(&model), index_(index) {}
  Slot(Slot&& other) noexcept : model_(std::exchange(other.model_, nullptr)), index_(other.index_) {}
  Slot& operator=(Slot&& other) noexcept {
    if (this != &other) {
      reset();
      model_ = std::exchange(other.model_, nullptr);
      index_ = other.index_;
    }
    return *this;
  }
  ~Slot() { reset(); }

  int index() const noexcept { return index_; }
  Slot fork() const { return Slot(*model_, model_->fork(index_)); }
  void reset() noexcept {
    if (model_) std::exchange(model_, nullptr)->free(index_);
  }
  explicit operator bool() const noexcept { return model_ != nullptr; }

 private:
  StepModel* model_ = nullptr;
  int index_ = 0;
};

/// What the searches of one call share.
struct SearchSetting {
  const GenerationOptions& options;
  const GenerationHooks& hooks;
  int64_t vocab;
  int64_t model_length;
};

/// What the model says about the rows of a search in one step, and what the search is told of it. Row i of `values`
/// are vocab scores; log p(token) = (logit - max[i]) - log_sum[i].
struct StepScores {
  int64_t vocab;
  std::span<float> values;  ///< logits; the search may overwrite them in constrain()
  std::span<const float> max, log_sum;
  /// Written by constrain(): the best tokens are those with the highest ((value - shift) - less) + add, by row.
  std::span<float> shift, less, add;
  /// For advance(): `wanted` tokens of each row by these scores, best first; -1 where a row has no more.
  std::span<const int32_t> best;
  std::span<const float> best_scores;

  std::span<float> row(size_t i) const {
    return values.subspan(i * static_cast<size_t>(vocab), static_cast<size_t>(vocab));
  }
};

/// Total length at which a request ends. Throws ConfigError if its prompt leaves no room.
inline int64_t length_limit(const SearchSetting& setting, const GenerationRequest& request) {
  return setting.options.length_limit(std::ssize(request.prompt), setting.model_length, request.max_new_tokens);
}

class Search {
 public:
  virtual ~Search() = default;

  /// A token to append to a slot; row i of StepScores holds what follows rows()[i].
  struct Row {
    int32_t token;
    int slot;
  };
  /// What the model must compute next; empty when the search is done.
  virtual const std::vector<Row>& rows() const = 0;
  /// One step: first the constraints and the order to choose by, then the choice.
  virtual void constrain(const StepScores& step) = 0;
  virtual void advance(const StepScores& step) = 0;
  /// Call once, when rows() is empty.
  virtual std::vector<Generated> take_answers() = 0;

 protected:
  /// To be called by constrain() before it changes scores of tokens that can still be chosen, if it does.
  void keep_logits(const StepScores& step, bool keep) {
    if (keep)
      logits_.assign(step.values.begin(), step.values.end());
    else
      logits_.clear();
  }
  /// Under the model, before any processor; of a token that was not forbidden.
  float logprob(const StepScores& step, size_t row, int32_t token) const {
    const std::span<const float> logits = logits_.empty() ? std::span<const float>(step.values) : logits_;
    const float logit = logits[row * static_cast<size_t>(step.vocab) + static_cast<size_t>(token)];
    return (logit - step.max[row]) - step.log_sum[row];
  }

 private:
  std::vector<float> logits_;
};

/// Candidates that a beam search looks at in a step: enough that num_beams can run on even if every beam ends in every
/// end token. Repeated end tokens count.
inline int64_t candidates_of(const GenerationOptions& options) {
  return options.num_beams * std::max<int64_t>(2, 1 + std::ssize(options.eos_token_id));
}

/// Tokens that a search wants of each row, best first; 0: it draws from all of them.
inline int64_t wanted_tokens(const GenerationOptions& options) {
  return options.do_sample ? 0 : options.num_beams == 1 ? 1 : candidates_of(options);
}

std::unique_ptr<Search> make_sample_search(const SearchSetting& setting, size_t index, const GenerationRequest& request,
                                           Slot slot);
std::unique_ptr<Search> make_beam_search(const SearchSetting& setting, size_t index, const GenerationRequest& request,
                                         Slot slot);

/// The random stream of one step of one request.
inline uint64_t random_key(const GenerationOptions& options, const GenerationRequest& request, int64_t step) {
  const uint64_t seed = static_cast<uint64_t>(options.seed) ^ mix64(request.stream + 1);
  return Random{seed, static_cast<uint64_t>(step)}.key("generate");
}

/// log p sum / length^penalty as transformers rounds it.
float normalized_score(float sum, int64_t length, float length_penalty);

}  // namespace attend
