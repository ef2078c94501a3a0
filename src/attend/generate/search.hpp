// The search for the answers of one request. Internal to the room: generate.hpp runs a batch of them in lock step.
#pragma once

#include <attend/generate/generate.hpp>
#include <attend/generate/logits.hpp>
#include <attend/tensor/random.hpp>

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

class Search {
 public:
  virtual ~Search() = default;

  /// A token to append to a slot; row i of advance() holds what follows rows()[i].
  struct Row {
    int32_t token;
    int slot;
  };
  /// What the model must compute next; empty when the search is done.
  virtual const std::vector<Row>& rows() const = 0;
  /// Scores of the rows, [rows, vocab] each: `scores` (logits for sampling and greedy search, log-probabilities for
  /// beams) may be overwritten, `logprobs` are the model's log-probabilities.
  virtual void advance(std::span<float> scores, std::span<const float> logprobs) = 0;
  /// Call once, when rows() is empty.
  virtual std::vector<Generated> take_answers() = 0;
};

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
