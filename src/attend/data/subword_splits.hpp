// Subword dropout: tokens of a BPE taken apart again at random, so that a sentence is segmented differently each time
// it is read. After BPE-dropout (Provilkov, Emelianenko, Voita 2020), which leaves out merges while it encodes text;
// here the merges of ids that are encoded already are undone, so that a corpus is encoded once.
#pragma once

#include <attend/text/tokenizer.hpp>

#include <cstdint>
#include <span>
#include <vector>

namespace attend {

/// Immutable, so that threads may share it.
class SubwordSplits {
 public:
  /// Throws ConfigError for a probability outside [0, 1] and for a tokenizer without merges. A token of several merges
  /// splits into the parts of the first one. Added tokens (special, language) neither split nor come out of a split.
  SubwordSplits(const Tokenizer& tokenizer, double probability);

  double probability() const noexcept { return probability_; }
  bool splittable(int32_t id) const noexcept { return id >= 0 && id < std::ssize(parts_) && parts_[id].left >= 0; }

  /// Each token is split with the probability into the two it was merged from, and so is each of these: 1 gives
  /// characters (bytes). The text stays the same. A function of ids and key alone. Where the result would have more
  /// than `most` tokens, `ids` come back whole: cut short, the split would be finer at the beginning than at the end.
  std::vector<int32_t> split(std::span<const int32_t> ids, uint64_t key, int64_t most) const;

 private:
  struct Parts {
    int32_t left = -1, right = -1;  // -1: the token is not split
  };
  std::vector<Parts> parts_;  // by id
  double probability_;
};

}  // namespace attend
