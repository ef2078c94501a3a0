// A small StepModel whose scores are a fixed function of the last two tokens (and of the prompt's first), so that every
// sequence can be enumerated. It checks how its slots are used.
#pragma once

#include <attend/base/error.hpp>
#include <attend/generate/step_model.hpp>
#include <attend/tensor/random.hpp>

#include <cmath>
#include <map>
#include <set>
#include <vector>

namespace attend::testing {

class FakeModel final : public StepModel {
 public:
  FakeModel(int64_t vocab, uint64_t seed, double spread = 1.5) : vocab_(vocab), seed_(seed), spread_(spread) {}

  /// The logits of what follows `ids`.
  std::vector<float> logits(std::span<const int32_t> ids) const {
    uint64_t key = mix64(seed_ + 1) + static_cast<uint64_t>(ids[0]);
    for (size_t i = ids.size() < 2 ? 0 : ids.size() - 2; i < ids.size(); ++i)
      key = mix64(key * 31 + static_cast<uint64_t>(ids[i]) + 1);
    std::vector<float> row(static_cast<size_t>(vocab_));
    for (size_t i = 0; i < row.size(); ++i) row[i] = static_cast<float>(spread_ * Random::normal(key, i));
    return row;
  }
  std::vector<double> logprobs(std::span<const int32_t> ids) const {
    const auto row = logits(ids);
    double sum = 0;
    for (float x : row) sum += std::exp(static_cast<double>(x));
    std::vector<double> result;
    for (float x : row) result.push_back(x - std::log(sum));
    return result;
  }

  /// A slot that holds these tokens.
  int start(std::vector<int32_t> ids) {
    slots_[next_] = std::move(ids);
    return next_++;
  }

  int64_t vocab() const override { return vocab_; }
  int64_t max_length() const override { return max_length_; }
  Tensor step(std::span<const int32_t> tokens, std::span<const int> slots) override {
    if (std::set<int>(slots.begin(), slots.end()).size() != slots.size()) fail<Error>("fake: a slot twice in one step");
    if (steps_++ == fail_at_) fail<Error>("fake: broken on purpose");
    rows_ += std::ssize(tokens);
    Tensor result({std::ssize(tokens), vocab_});
    for (size_t i = 0; i < tokens.size(); ++i) {
      auto& ids = slots_.at(slots[i]);
      ids.push_back(tokens[i]);
      const auto row = logits(ids);
      std::copy(row.begin(), row.end(), result.data<float>() + static_cast<int64_t>(i) * vocab_);
    }
    return result;
  }
  int fork(int slot) override { return start(slots_.at(slot)); }
  void free(int slot) noexcept override { bad_frees_ += slots_.erase(slot) == 0; }

  bool clean() const { return slots_.empty() && bad_frees_ == 0; }
  int64_t rows() const { return rows_; }
  void set_max_length(int64_t length) { max_length_ = length; }
  void break_at(int64_t step) { fail_at_ = step; }

 private:
  int64_t vocab_;
  uint64_t seed_;
  double spread_;
  int64_t max_length_ = 1 << 20, fail_at_ = -1, steps_ = 0, rows_ = 0, bad_frees_ = 0;
  int next_ = 0;
  std::map<int, std::vector<int32_t>> slots_;
};

}  // namespace attend::testing
