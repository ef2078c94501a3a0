// What the training of a translator reads: its tokenizer, its corpora, its validation pairs.
#pragma once

#include <attend/data/batches.hpp>
#include <attend/text/tokenizer.hpp>
#include <attend/train/options.hpp>

#include <memory>

namespace attend {

/// Pairs to score, as text.
struct ValidationPairs {
  std::string name;
  std::vector<std::string> source, target;
};

struct TranslationData {
  Tokenizer tokenizer;
  std::vector<TrainingSource> sources;
  std::vector<std::string> names;  ///< of the sources
  std::vector<ValidationPairs> validation;
  std::vector<Direction> directions;
  std::vector<std::string> targets;  ///< the language each direction translates to
  ExampleLayout layout;
  std::shared_ptr<const SubwordSplits> splits;  ///< of the training examples; null: off
};

/// Reads the recipe's files. The tokenizer is `folder`/tokenizer.json if the run goes on, else that of
/// `from` or the recipe's file, else trained from the files as often as their weights draw them, and written there;
/// encoded corpora are cached in `folder`/cache. `report` is told what happens, one line a step. Throws ConfigError if
/// no file is left or examples can be longer than the model, and what the readers throw.
TranslationData open_translation_data(const TrainOptions& options, const std::filesystem::path& folder, bool goes_on,
                                      const std::function<void(const std::string&)>& report);

}  // namespace attend
