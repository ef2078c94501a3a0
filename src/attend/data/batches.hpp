// Batches for an encoder–decoder: a deterministic endless stream for training, one walk in order for evaluation.
#pragma once

#include <attend/data/corpus.hpp>
#include <attend/data/subword_splits.hpp>
#include <attend/tensor/tensor.hpp>

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace attend {

/// Packed examples: no padding. Source: prefix + ids + eos. Decoder input: start + ids; labels: ids + eos.
struct PackedBatch {
  Tensor source_ids;        ///< i32 [source tokens]
  Tensor source_offsets;    ///< i32 [examples + 1]
  Tensor source_positions;  ///< i32 [source tokens], from 0 in each example
  Tensor decoder_ids;       ///< i32 [target tokens]
  Tensor labels;            ///< i32 [target tokens]
  Tensor target_offsets;    ///< i32 [examples + 1]
  Tensor target_positions;  ///< i32 [target tokens]

  /// Which examples these are.
  struct Origin {
    int32_t source;     ///< index of the corpus
    int32_t direction;  ///< index in its directions
    int64_t pair;
    bool operator==(const Origin&) const = default;
  };
  std::vector<Origin> origins;

  int64_t examples() const noexcept { return static_cast<int64_t>(origins.size()); }
  int64_t source_tokens() const noexcept { return source_ids.elements(); }
  int64_t target_tokens() const noexcept { return labels.elements(); }
};

/// Anything that hands out batches and can go on later where it stopped.
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  /// The next batch; nothing at the end.
  virtual std::optional<PackedBatch> next() = 0;
  /// What restore() needs to go on after the last batch handed out: a small JSON object.
  virtual nlohmann::json state() const = 0;
  /// Throws ConfigError for the state of another stream (other data, weights or options).
  virtual void restore(const nlohmann::json& state) = 0;
};

/// How the tokens of an example are laid out.
struct ExampleLayout {
  int32_t start = 0;  ///< first decoder input
  int32_t eos = 0;
  bool source_eos = true;  ///< the source ends with eos too
};

/// A way to read a pair: a two-way model has two, each with its language token in front of the source.
struct Direction {
  bool reversed = false;  ///< from the file's target column to its source column
  std::vector<int32_t> prefix;
};

struct TrainingSource {
  std::shared_ptr<const PairCorpus> corpus;
  double weight = 1;  ///< its share of the examples, relative to the others' weights, whatever its size
  std::vector<Direction> directions = {Direction{}};
};

struct BatchOptions {
  ExampleLayout layout;
  int64_t max_tokens = 4096;  ///< source + target tokens of a batch, never exceeded
  int64_t pool = 8192;        ///< examples that are sorted by length together
  uint64_t seed = 0;
  /// Splits the tokens of both sides, anew each time an example is drawn; null: off. A side stays whole where it would
  /// get longer than max_length, and both do where the example would get longer than max_tokens.
  std::shared_ptr<const SubwordSplits> splits = nullptr;
  int64_t max_length = std::numeric_limits<int64_t>::max();  ///< of a split side with its prefix and eos
};

/// Draws examples from the sources by weight; each source runs through its pairs × directions in an order shuffled anew
/// every epoch, each example once. A pool of them is sorted by length (ties at random), cut into batches, and the
/// batches shuffled. Everything is a function of (seed, position): no other machine, thread count or restart changes
/// it.
class TrainingBatches : public BatchSource {
 public:
  /// Throws ConfigError for options that cannot be: no weight, an example that may exceed max_tokens, …
  TrainingBatches(std::vector<TrainingSource> sources, BatchOptions options);

  /// Always a batch: the stream has no end.
  std::optional<PackedBatch> next() override;
  nlohmann::json state() const override;
  void restore(const nlohmann::json& state) override;

  /// How often source i has been gone through when the present pool is used up.
  double epochs(size_t source) const;

 private:
  struct Example {
    PackedBatch::Origin origin;
    uint64_t draw;  // its number in the stream
    int64_t length;
  };
  int64_t examples_of(size_t source) const;
  void fill_pool();

  std::vector<TrainingSource> sources_;
  BatchOptions options_;
  std::string fingerprint_;
  std::vector<double> cumulative_;  // weights up to and with source i, ending at 1
  // The position: pool number, how many examples each source had given before it, batches handed out of it.
  uint64_t pool_ = 0;
  std::vector<int64_t> drawn_before_;
  std::vector<int64_t> drawn_after_;
  size_t batch_ = 0;
  std::vector<std::vector<Example>> batches_;  // empty: the pool is not made yet
};

/// One walk through a corpus in the file's order.
class EvaluationBatches : public BatchSource {
 public:
  EvaluationBatches(std::shared_ptr<const PairCorpus> corpus, Direction direction, ExampleLayout layout,
                    int64_t max_tokens);

  std::optional<PackedBatch> next() override;
  nlohmann::json state() const override;
  void restore(const nlohmann::json& state) override;
  void rewind() noexcept { next_pair_ = 0; }

 private:
  TrainingSource source_;
  ExampleLayout layout_;
  int64_t max_tokens_;
  int64_t next_pair_ = 0;
};

/// Place `index` of a random order of [0, size), computed without storing the order; another order for each key.
int64_t permuted(int64_t index, int64_t size, uint64_t key);

}  // namespace attend
