// Beam search with the bookkeeping of transformers 5: running beams, finished hypotheses, and a bound that says when
// the running ones can no longer improve on the finished ones.
#include <attend/base/error.hpp>
#include <attend/generate/search.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace attend {
namespace {

/// An extension of one beam by one token.
struct Candidate {
  float key;  // what candidates are ordered by: the score, or the score with noise when sampling
  float score;
  int32_t beam;
  int32_t token;
};

bool better(const Candidate& a, const Candidate& b) noexcept {
  if (a.key != b.key) return a.key > b.key;
  return a.beam != b.beam ? a.beam < b.beam : a.token < b.token;
}

/// Keeps the best `size` of what it is offered, without sorting the rest. Equal keys: the one offered first, as long as
/// offers come in the order of (beam, token).
class Best {
 public:
  explicit Best(size_t size) : size_(size) {}
  /// Below this a key cannot enter.
  float least() const noexcept { return heap_.size() < size_ ? lowest : heap_.front().key; }
  void offer(const Candidate& candidate) {
    if (!(candidate.key > least())) return;
    if (heap_.size() == size_) {
      std::pop_heap(heap_.begin(), heap_.end(), better);
      heap_.back() = candidate;
    } else {
      heap_.push_back(candidate);
    }
    std::push_heap(heap_.begin(), heap_.end(), better);
  }
  std::vector<Candidate> take() {
    std::sort(heap_.begin(), heap_.end(), better);
    return std::move(heap_);
  }

 private:
  static constexpr float lowest = -std::numeric_limits<float>::infinity();
  size_t size_;
  std::vector<Candidate> heap_;  // the worst on top
};

class BeamSearch final : public Search {
 public:
  BeamSearch(const SearchSetting& setting, size_t index, const GenerationRequest& request, Slot slot)
      : setting_(setting),
        index_(index),
        request_(request),
        prompt_length_(std::ssize(request.prompt)),
        max_length_(length_limit(setting, request)),
        processors_(setting.options, prompt_length_, max_length_, request.source),
        beams_(static_cast<size_t>(setting.options.num_beams)),
        candidates_(static_cast<size_t>(candidates_of(setting.options))) {
    running_.push_back({std::move(slot), request.prompt, {}, 0});
    rows_.push_back({request.prompt.back(), running_[0].slot.index()});
  }

  const std::vector<Row>& rows() const override { return rows_; }

  void constrain(const StepScores& step) override {
    const bool rewrites = processors_.rewrites(length_);
    keep_logits(step, rewrites);
    for (size_t b = 0; b < running_.size(); ++b) {
      const auto row = step.row(b);
      // Processors that rewrite scores want log-probabilities.
      if (rewrites)
        for (float& value : row) value = (value - step.max[b]) - step.log_sum[b];
      processors_(running_[b].ids, row);
      step.shift[b] = rewrites ? 0 : step.max[b];
      step.less[b] = rewrites ? 0 : step.log_sum[b];
      step.add[b] = running_[b].score;
    }
  }

  void advance(const StepScores& step) override {
    const auto candidates = setting_.options.do_sample ? drawn_candidates(step) : best_candidates(step);
    if (candidates.empty())
      fail<Error>("generate: no token has a finite score: the constraints forbid all, or the model is damaged");
    std::vector<int64_t> next(candidates.size(), -1);  // beam of the next step
    std::vector<size_t> chosen;
    for (size_t i : running_order(candidates)) {
      if (chosen.size() == beams_) break;
      next[i] = std::ssize(chosen);
      chosen.push_back(i);
    }
    const auto logprob = [&](const Candidate& candidate) {
      return this->logprob(step, static_cast<size_t>(candidate.beam), candidate.token);
    };
    for (size_t i = 0; i < candidates.size(); ++i) {
      const Candidate& candidate = candidates[i];
      // Only the best num_beams may become answers; the others are there to run on.
      const bool finished = i < beams_ && ends(candidate.token) && finish(candidate, logprob(candidate));
      if (!setting_.hooks.on_beam) continue;
      using Fate = BeamNode::Fate;
      const Fate fate = next[i] >= 0 ? Fate::running : finished ? Fate::finished : Fate::dropped;
      setting_.hooks.on_beam({index_, length_ - prompt_length_, static_cast<int64_t>(i), candidate.beam, next[i],
                              candidate.token, logprob(candidate), candidate.score, fate});
    }
    ++length_;
    if (chosen.empty() || done(candidates[chosen[0]].score))
      running_.clear();
    else
      replace_running(candidates, chosen, logprob);
    rows_.clear();
    for (const auto& beam : running_) rows_.push_back({beam.ids.back(), beam.slot.index()});
  }

  std::vector<Generated> take_answers() override {
    const auto wanted = static_cast<size_t>(setting_.options.num_return_sequences);
    if (finished_.size() > wanted) finished_.resize(wanted);
    return std::move(finished_);
  }

 private:
  struct Beam {
    Slot slot;
    std::vector<int32_t> ids;  // with the prompt
    std::vector<float> logprobs;
    float score;
  };

  bool ends(int32_t token) const { return setting_.options.ends_with(token) || length_ + 1 >= max_length_; }
  bool full() const { return finished_.size() == beams_; }

  std::vector<Candidate> best_candidates(const StepScores& step) const {
    std::vector<Candidate> all;
    const size_t wanted = step.best.size() / running_.size();
    all.reserve(step.best.size());
    for (size_t i = 0; i < step.best.size(); ++i)
      if (step.best[i] >= 0)
        all.push_back({step.best_scores[i], step.best_scores[i], static_cast<int32_t>(i / wanted), step.best[i]});
    const auto kept = all.begin() + std::min(std::ssize(all), static_cast<ptrdiff_t>(candidates_));
    std::partial_sort(all.begin(), kept, all.end(), better);
    all.erase(kept, all.end());
    return all;
  }

  /// The best of score + Gumbel noise are draws without replacement from softmax(score).
  std::vector<Candidate> drawn_candidates(const StepScores& step) const {
    const auto vocab = static_cast<size_t>(setting_.vocab);
    const uint64_t key = random_key(setting_.options, request_, length_ - prompt_length_);
    Best best(candidates_);
    for (size_t b = 0; b < running_.size(); ++b)
      for (size_t token = 0; token < vocab; ++token) {
        const float score = step.row(b)[token] + running_[b].score;
        if (!(score > -std::numeric_limits<float>::infinity())) continue;
        const double u = Random::uniform(key, b * vocab + token);
        const float noise = static_cast<float>(std::log(-std::log((1.0 - u) * (1.0 - 0x1p-54))));
        best.offer({score - noise, score, static_cast<int32_t>(b), static_cast<int32_t>(token)});
      }
    return best.take();
  }

  /// The candidates that may run on, best first: draws come in the order of their noise, so they are sorted by score.
  std::vector<size_t> running_order(const std::vector<Candidate>& candidates) const {
    std::vector<size_t> order;
    for (size_t i = 0; i < candidates.size(); ++i)
      if (!ends(candidates[i].token)) order.push_back(i);
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return candidates[a].score > candidates[b].score; });
    return order;
  }

  /// Makes an answer of a candidate; true if it belongs to the best num_beams so far.
  bool finish(const Candidate& candidate, float logprob) {
    const auto& options = setting_.options;
    const float score = normalized_score(candidate.score, length_ + 1 - prompt_length_, options.length_penalty);
    const auto place =
        std::find_if(finished_.begin(), finished_.end(), [&](const Generated& other) { return other.score < score; });
    if (place == finished_.end() && full()) return false;
    const Beam& beam = running_[static_cast<size_t>(candidate.beam)];
    Generated answer{{beam.ids.begin() + prompt_length_, beam.ids.end()},
                     beam.logprobs,
                     score,
                     options.ends_with(candidate.token) ? FinishReason::eos : FinishReason::length};
    answer.ids.push_back(candidate.token);
    answer.token_logprobs.push_back(logprob);
    finished_.insert(place, std::move(answer));
    if (finished_.size() > beams_) finished_.pop_back();
    return true;
  }

  /// The chosen candidates become the beams: the first child of a beam takes its slot, others fork it.
  template <class Logprob>
  void replace_running(const std::vector<Candidate>& candidates, const std::vector<size_t>& chosen, Logprob&& logprob) {
    std::vector<int> children(running_.size());
    for (size_t i : chosen) ++children[static_cast<size_t>(candidates[i].beam)];
    std::vector<Beam> next;
    next.reserve(chosen.size());
    for (size_t i : chosen) {
      const Candidate& candidate = candidates[i];
      Beam& parent = running_[static_cast<size_t>(candidate.beam)];
      const bool last_child = --children[static_cast<size_t>(candidate.beam)] == 0;
      Beam beam{last_child ? std::move(parent.slot) : parent.slot.fork(), parent.ids, parent.logprobs, candidate.score};
      beam.ids.push_back(candidate.token);
      beam.logprobs.push_back(logprob(candidate));
      next.push_back(std::move(beam));
    }
    running_ = std::move(next);
  }

  /// Whether the running beams, of which the best has `score`, cannot or need not improve on the finished ones.
  bool done(float score) const {
    if (!full()) return false;
    const auto& options = setting_.options;
    if (options.early_stopping == EarlyStopping::yes) return true;
    const bool longest = options.early_stopping == EarlyStopping::never && options.length_penalty > 0;
    const int64_t hoped = (longest ? max_length_ : length_) - prompt_length_;
    return !(normalized_score(score, hoped, options.length_penalty) > finished_.back().score);
  }

  const SearchSetting& setting_;
  const size_t index_;
  const GenerationRequest& request_;
  const int64_t prompt_length_;
  const int64_t max_length_;
  const LogitsProcessors processors_;
  const size_t beams_, candidates_;
  int64_t length_ = prompt_length_;  // of the running beams, prompt included
  std::vector<Beam> running_;        // best first
  std::vector<Row> rows_;
  std::vector<Generated> finished_;  // best first, at most num_beams
};

}  // namespace

std::unique_ptr<Search> make_beam_search(const SearchSetting& setting, size_t index, const GenerationRequest& request,
                                         Slot slot) {
  return std::make_unique<BeamSearch>(setting, index, request, std::move(slot));
}

}  // namespace attend
