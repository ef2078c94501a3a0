#include <attend/base/error.hpp>
#include <attend/generate/generate.hpp>
#include <attend/generate/search.hpp>
#include <attend/ops/arguments.hpp>
#include <attend/tensor/tape.hpp>

#include <algorithm>
#include <cmath>

namespace attend {
namespace {

/// One step of the model for all searches at once.
class Batch {
 public:
  Batch(StepModel& model, const GenerationOptions& options)
      : model_(model), vocab_(model.vocab()), wanted_(std::min(wanted_tokens(options), vocab_)) {}

  void run(std::vector<std::unique_ptr<Search>>& searches) {
    tokens_.clear();
    slots_.clear();
    for (const auto& search : searches) {
      if (!search) continue;
      for (const auto& row : search->rows()) {
        tokens_.push_back(row.token);
        slots_.push_back(row.slot);
      }
    }
    const Tensor logits = model_.step(tokens_, slots_).to(Device::cpu);  // the searches choose on the host
    const auto count = static_cast<int64_t>(tokens_.size());
    if (logits.shape() != Shape{count, vocab_})
      fail<ShapeError>("generate: the model gave scores {} for {} tokens and a vocabulary of {}", logits.shape(), count,
                       vocab_);
    resize(tokens_.size());
    Context& context = Context::current();
    float* const values = logits.data<float>();
    context.run(Device::cpu, &kernels::KernelTable::log_sum_exp,
                kernels::LogSumExp{count, vocab_, values, vocab_, max_.data(), log_sum_.data()});
    each(searches, logits, [](Search& search, const StepScores& step) { search.constrain(step); });
    context.run(Device::cpu, &kernels::KernelTable::top_k,
                kernels::TopK{.rows = count,
                              .columns = vocab_,
                              .k = wanted_,
                              .x = values,
                              .ldx = vocab_,
                              .shift = shift_.data(),
                              .log_sum = less_.data(),
                              .add = add_.data(),
                              .indices = best_.data(),
                              .scores = best_scores_.data()});
    each(searches, logits, [](Search& search, const StepScores& step) { search.advance(step); });
  }

 private:
  void resize(size_t rows) {
    for (auto* numbers : {&max_, &log_sum_, &shift_, &less_, &add_}) numbers->resize(rows);
    best_.resize(rows * static_cast<size_t>(wanted_));
    best_scores_.resize(best_.size());
  }

  /// Each running search with its rows.
  template <class F>
  void each(const std::vector<std::unique_ptr<Search>>& searches, const Tensor& logits, F&& f) {
    const auto vocab = static_cast<size_t>(vocab_), wanted = static_cast<size_t>(wanted_);
    size_t begin = 0;
    for (const auto& search : searches) {
      if (!search) continue;
      const size_t rows = search->rows().size();
      const auto part = [&](auto& numbers, size_t width = 1) {
        return std::span(numbers).subspan(begin * width, rows * width);
      };
      f(*search, StepScores{.vocab = vocab_,
                            .values = logits.values<float>().subspan(begin * vocab, rows * vocab),
                            .max = part(max_),
                            .log_sum = part(log_sum_),
                            .shift = part(shift_),
                            .less = part(less_),
                            .add = part(add_),
                            .best = part(best_, wanted),
                            .best_scores = part(best_scores_, wanted)});
      begin += rows;
    }
  }

  StepModel& model_;
  const int64_t vocab_, wanted_;
  std::vector<int32_t> tokens_;
  std::vector<int> slots_;
  std::vector<float> max_, log_sum_, shift_, less_, add_, best_scores_;
  std::vector<int32_t> best_;
};

}  // namespace

float normalized_score(float sum, int64_t length, float length_penalty) {
  // The power is rounded once, from double, and the division is in single precision.
  const double power = std::pow(static_cast<double>(length), static_cast<double>(length_penalty));
  return sum / static_cast<float>(power);
}

std::vector<std::vector<Generated>> generate(StepModel& model, std::span<const GenerationRequest> requests,
                                             const GenerationOptions& options, const GenerationHooks& hooks) {
  NoTape no_tape;
  std::vector<Slot> slots;  // theirs from here on, whatever happens
  slots.reserve(requests.size());
  for (const auto& request : requests) slots.emplace_back(model, request.slot);

  const SearchSetting setting{options, hooks, model.vocab(), model.max_length()};
  options.check(setting.vocab);
  const bool beams = options.num_beams > 1;
  std::vector<std::unique_ptr<Search>> searches;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (requests[i].prompt.empty()) fail<ConfigError>("generate: the prompt of request {} is empty", i);
    auto make = beams ? make_beam_search : make_sample_search;
    searches.push_back(make(setting, i, requests[i], std::move(slots[i])));
  }

  std::vector<std::vector<Generated>> answers(requests.size());
  Batch batch(model, options);
  for (size_t running = requests.size(); running > 0;) {
    batch.run(searches);
    for (size_t i = 0; i < searches.size(); ++i) {
      if (!searches[i] || !searches[i]->rows().empty()) continue;
      answers[i] = searches[i]->take_answers();
      searches[i].reset();
      --running;
      if (hooks.on_finished) hooks.on_finished(i, answers[i]);
    }
  }
  return answers;
}

}  // namespace attend
