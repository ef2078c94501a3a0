// Beam search as transformers 5 does it, written slowly and independently of the library: dense candidate lists, full
// sorts, and -1e9 for whatever must not be chosen.
#pragma once

#include <attend/generate/options.hpp>

#include "fake_model.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace attend::testing {

struct Hypothesis {
  std::vector<int32_t> ids;
  float score = -1e9f;
  bool finished = false;
};

inline std::vector<Hypothesis> hf_beam_search(const FakeModel& model, const std::vector<int32_t>& prompt,
                                              const GenerationOptions& options) {
  const auto beams = static_cast<size_t>(options.num_beams);
  const size_t keep = std::max<size_t>(2, options.eos_token_id.size() + 1) * beams;
  const auto prompt_length = static_cast<int64_t>(prompt.size());
  const int64_t max_length = options.length_limit(prompt_length, model.max_length());
  const auto power = [&](int64_t n) { return static_cast<float>(std::pow(double(n), double(options.length_penalty))); };
  const auto sort = [](std::vector<Hypothesis>& list) {
    std::stable_sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
  };

  std::vector<Hypothesis> running(beams, {prompt, -1e9f, false}), finished(beams);
  running[0].score = 0;
  bool improvable = true;
  for (int64_t length = prompt_length;; ++length) {
    std::vector<Hypothesis> all;
    for (const auto& beam : running) {
      auto logprobs = model.logprobs(beam.ids);
      if (length - prompt_length < options.min_new_tokens)
        for (int32_t token : options.eos_token_id) logprobs[static_cast<size_t>(token)] = -INFINITY;
      for (size_t token = 0; token < logprobs.size(); ++token) {
        all.push_back({beam.ids, static_cast<float>(logprobs[token]) + beam.score, false});
        all.back().ids.push_back(static_cast<int32_t>(token));
      }
    }
    sort(all);
    all.resize(keep);

    auto next = all, merged = finished;
    const bool was_full = std::all_of(finished.begin(), finished.end(), [](const auto& f) { return f.finished; });
    bool all_end = true;
    for (size_t i = 0; i < keep; ++i) {
      const bool ends = options.ends_with(all[i].ids.back()) || length + 1 >= max_length;
      all_end = all_end && ends;
      if (ends) next[i].score -= 1e9f;
      auto candidate = all[i];
      candidate.score /= power(length + 1 - prompt_length);
      candidate.finished = ends && i < beams;
      if (was_full && options.early_stopping == EarlyStopping::yes) candidate.score -= 1e9f;
      if (!improvable) candidate.score -= 1e9f;
      if (!candidate.finished) candidate.score -= 1e9f;
      merged.push_back(candidate);
    }
    sort(next);
    next.resize(beams);
    running = next;
    sort(merged);
    merged.resize(beams);
    finished = merged;

    const bool full = std::all_of(finished.begin(), finished.end(), [](const auto& f) { return f.finished; });
    const bool longest = options.early_stopping == EarlyStopping::never && options.length_penalty > 0;
    const float best = running[0].score / power((longest ? max_length : length + 1) - prompt_length);
    improvable = improvable && (!full || best > finished.back().score);
    if (!improvable || (full && options.early_stopping == EarlyStopping::yes) || all_end) break;
  }
  std::erase_if(finished, [](const auto& f) { return !f.finished; });
  finished.resize(std::min(finished.size(), static_cast<size_t>(options.num_return_sequences)));
  for (auto& f : finished) f.ids.erase(f.ids.begin(), f.ids.begin() + prompt_length);
  return finished;
}

}  // namespace attend::testing
