// What happens to the scores of the next token before one is chosen. Each function changes one row of scores in place;
// a forbidden token gets -infinity. Scores are logits, or log-probabilities in beam search. Results equal those of the
// Hugging Face transformers 5 processors of the same purpose; tokens outside the vocabulary are ignored.
#pragma once

#include <attend/generate/options.hpp>

#include <cstdint>
#include <span>
#include <vector>

namespace attend {

using Scores = std::span<float>;            ///< [vocab]
using TokenIds = std::span<const int32_t>;  ///< of a sequence so far, oldest first

/// score / temperature (> 0): below 1 sharpens, above 1 flattens.
void apply_temperature(Scores scores, float temperature);

/// Keeps the k best scores (and those equal to the k-th).
void keep_top_k(Scores scores, int64_t k, int64_t min_tokens_to_keep = 1);

/// Keeps the smallest set of best tokens whose probabilities exceed p together (nucleus sampling, Holtzman et al.
/// 2020).
void keep_top_p(Scores scores, float p, int64_t min_tokens_to_keep = 1);

/// Keeps tokens at least min_p times as probable as the best one (Nguyen et al. 2024).
void keep_min_p(Scores scores, float min_p, int64_t min_tokens_to_keep = 1);

/// Keeps the tokens whose surprise is nearest to the entropy, until their mass reaches `mass` (typical decoding,
/// Meister et al. 2022).
void keep_typical(Scores scores, float mass, int64_t min_tokens_to_keep = 1);

/// Keeps tokens of probability ≥ epsilon (Hewitt et al. 2022).
void keep_epsilon(Scores scores, float epsilon, int64_t min_tokens_to_keep = 1);

/// Keeps tokens of probability ≥ min(epsilon, √epsilon · e^-entropy) (Hewitt et al. 2022).
void keep_eta(Scores scores, float epsilon, int64_t min_tokens_to_keep = 1);

/// Every token of the context once: score·penalty if negative, score/penalty otherwise (Keskar et al. 2019).
void penalize_repetition(Scores scores, TokenIds context, float penalty);

/// Forbids what would complete an n-gram that `text` already holds; `context` is the sequence being continued. With
/// text = context no n-gram occurs twice; with text = source nothing of n tokens is copied.
void forbid_repeated_ngrams(Scores scores, TokenIds context, TokenIds text, int64_t n);

/// Forbids the last token of every word whose other tokens end the context. (A word of n > 1 tokens counts from a
/// context of n tokens on.)
void forbid_words(Scores scores, TokenIds context, std::span<const std::vector<int32_t>> words);

void forbid_tokens(Scores scores, TokenIds tokens);

/// These tokens get the score 0, everything else is forbidden.
void force_tokens(Scores scores, TokenIds tokens);

/// The processors that the options ask for, in the order of transformers' generate(), for one sequence.
class LogitsProcessors {
 public:
  /// max_length: total length at which generation ends (forced_eos_token_id comes just before). `source` are the
  /// encoder's ids. All three must outlive this object.
  LogitsProcessors(const GenerationOptions& options, int64_t prompt_length, int64_t max_length, TokenIds source);

  /// True if the options ask for nothing: operator() would change nothing.
  bool empty() const noexcept { return !any_; }
  void operator()(TokenIds context, Scores scores) const;
  /// Whether operator() may change the score of a token that can still be chosen, for a context of this length. If not,
  /// it only forbids tokens.
  bool rewrites(int64_t length) const noexcept;

 private:
  bool forces_first(int64_t length) const noexcept { return options_->forced_bos_token_id && length == 1; }
  bool forces_last(int64_t length) const noexcept {
    return !options_->forced_eos_token_id.empty() && length == max_length_ - 1;
  }
  void constrain(TokenIds context, Scores scores) const;
  void sharpen(Scores scores) const;

  const GenerationOptions* options_;
  std::vector<std::vector<int32_t>> bad_words_;  ///< without those that are just an end token
  int64_t max_length_, min_length_, min_tokens_to_keep_;
  TokenIds source_;
  bool any_;
};

}  // namespace attend
