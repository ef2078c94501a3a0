// Greedy search, beam search and sampling over any StepModel. Equal to the generate() of Hugging Face transformers 5:
// the same order of processors, the same beams, the same scores.
#pragma once

#include <attend/generate/options.hpp>
#include <attend/generate/step_model.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace attend {

/// One sequence to continue.
struct GenerationRequest {
  /// Holds every token of the prompt but the last, which the first step appends.
  int slot = 0;
  /// The decoder's start token, or the whole prompt of a decoder-only model; at least one token.
  std::vector<int32_t> prompt;
  /// The encoder's tokens, for encoder_no_repeat_ngram_size.
  std::vector<int32_t> source;
  /// Goes before the lengths of the options.
  std::optional<int64_t> max_new_tokens = {};
  /// Equal seed and stream give equal samples, whatever else is in the batch.
  uint64_t stream = 0;
};

enum class FinishReason : uint8_t {
  eos,      ///< an end token (the last of ids)
  length,   ///< max_new_tokens, max_length or the model's length
  stopped,  ///< on_token said so
};

/// One answer.
struct Generated {
  std::vector<int32_t> ids;           ///< the new tokens, without prompt and padding
  std::vector<float> token_logprobs;  ///< log p of each under the model, before any processor
  /// Beam search: Σ of the processed log p / length^length_penalty, as transformers' sequences_scores. Otherwise the
  /// same formula over token_logprobs.
  float score = 0;
  FinishReason finish_reason = FinishReason::length;
};

/// A token chosen by greedy search or sampling.
struct TokenEvent {
  size_t request;   ///< index in the batch
  size_t sequence;  ///< 0 … num_return_sequences - 1
  int32_t token;
  float logprob;  ///< under the model
  bool last;      ///< this sequence ends here
};

/// One node of the beam tree: a candidate among those kept in one step of one request, best first.
struct BeamNode {
  enum class Fate : uint8_t {
    running,   ///< beam `beam` of the next step
    finished,  ///< became an answer (a better one may push it out later)
    dropped,
  };
  size_t request;
  int64_t step;    ///< 0 for the first new token
  int64_t rank;    ///< among this step's candidates
  int64_t parent;  ///< beam of this step that it extends
  int64_t beam;    ///< beam of the next step, -1 if it does not run on
  int32_t token;
  float logprob;  ///< of the token under the model
  float score;    ///< Σ of the processed log p so far, without length penalty
  Fate fate;
};

struct GenerationHooks {
  /// Greedy search and sampling: called for every token as soon as it is chosen; false ends its sequence.
  std::function<bool(const TokenEvent&)> on_token;
  /// Called when a request is done, with its index and answers, while others still run.
  std::function<void(size_t, const std::vector<Generated>&)> on_finished;
  /// Beam search: called for every candidate of every step.
  std::function<void(const BeamNode&)> on_beam;
};

/// The answers of every request, best first (samples in their own order): num_return_sequences each; fewer only where a
/// beam search has no more hypotheses, because constraints or a tiny vocabulary leave none. Finished sequences leave
/// the batch. Takes the requests' slots over: when it returns or throws, all of them are free. Throws ConfigError for
/// options that make no sense for this model and prompt, and Error if the constraints allow no token at all or the
/// model gives no finite score.
std::vector<std::vector<Generated>> generate(StepModel& model, std::span<const GenerationRequest> requests,
                                             const GenerationOptions& options, const GenerationHooks& hooks = {});

}  // namespace attend
