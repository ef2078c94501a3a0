// Training an encoder–decoder from a recipe: batches → loss → gradients → AdamW, with checkpoints that a killed run
// goes on from bit for bit.
#pragma once

#include <attend/train/options.hpp>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace attend {

/// A line of the log.
struct TrainProgress {
  int64_t step, steps;
  double loss;  ///< mean since the last line, with label smoothing
  double learning_rate, gradient_norm;
  double tokens_per_second;  ///< source and target tokens
  int64_t tokens;            ///< since the start of the run
  double seconds_left;
};

/// One file × direction of a validation.
struct ValidationScore {
  std::string name, to;
  double loss = 0;  ///< nats per target token
  double bleu = 0, chrf = 0;
  std::string bleu_signature, chrf_signature;
};

struct Validation {
  int64_t step;
  std::vector<ValidationScore> scores;
  double value;  ///< what decides: mean chrF of the first file (higher is better), or minus its loss
  bool best;
};

struct TrainHooks {
  std::function<void(const std::string&)> on_message;
  std::function<void(const TrainProgress&)> on_progress;
  std::function<void(const Validation&)> on_validation;
  /// Asked after every step; true = write a checkpoint and return.
  std::function<bool()> should_stop;
};

struct TrainReport {
  int64_t step = 0;
  bool finished = false;       ///< false: stopped on request
  bool stopped_early = false;  ///< out of patience
  std::optional<Validation> best;
};

/// Runs the recipe into options.output: tokenizer.json, recipe.json, log.jsonl, checkpoints/, best/ (a model folder:
/// the averaged weights of the best validation) and last/ (those of the end). With `resume` it goes on from the newest
/// good checkpoint; the recipe must then be the same in everything that decides the weights. Without it the folder must
/// not have checkpoints. The same recipe, data and instruction set give the same bits, however often it was stopped.
TrainReport train_translator(const TrainOptions& options, const TrainHooks& hooks, bool resume);

}  // namespace attend
