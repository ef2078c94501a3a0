#include <attend/base/error.hpp>
#include <attend/generate/generate.hpp>
#include <attend/generate/search.hpp>
#include <attend/ops/arguments.hpp>
#include <attend/tensor/tape.hpp>

#include <algorithm>
#include <cmath>

namespace attend {
namespace {

Tensor log_softmax(const Tensor& logits) {
  Tensor result = ops::result(logits.shape(), logits.device());
  const int64_t columns = logits.size(1);
  ops::run(logits.device(), &kernels::KernelTable::softmax,
           kernels::Softmax{.rows = logits.size(0),
                            .columns = columns,
                            .x = ops::f32(logits, "generate: logits"),
                            .ldx = columns,
                            .y = ops::f32(result, "generate: log probabilities"),
                            .ldy = columns,
                            .log = true});
  return result;
}

/// One step of the model for all searches at once.
class Batch {
 public:
  Batch(StepModel& model, bool beams) : model_(model), vocab_(model.vocab()), beams_(beams) {}

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
    Tensor scores = model_.step(tokens_, slots_);
    const auto count = static_cast<int64_t>(tokens_.size());
    if (scores.shape() != Shape{count, vocab_})
      fail<ShapeError>("generate: the model gave scores {} for {} tokens and a vocabulary of {}", scores.shape(), count,
                       vocab_);
    const Tensor logprobs = log_softmax(scores).to(Device::cpu);  // the searches choose on the host
    scores = scores.to(Device::cpu);
    if (beams_) scores.assign(logprobs);
    size_t begin = 0;
    for (const auto& search : searches) {
      if (!search) continue;
      const size_t size = search->rows().size() * static_cast<size_t>(vocab_);
      search->advance(scores.values<float>().subspan(begin, size), logprobs.values<float>().subspan(begin, size));
      begin += size;
    }
  }

 private:
  StepModel& model_;
  const int64_t vocab_;
  const bool beams_;
  std::vector<int32_t> tokens_;
  std::vector<int> slots_;
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
  Batch batch(model, beams);
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
