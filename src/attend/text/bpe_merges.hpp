// The merging loop of BPE training.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace attend {

/// Words as symbols. Word i is symbols[begin(i), begin(i) + length(i)).
class BpeCorpus {
 public:
  void reserve(size_t words, size_t symbols);
  void add_word(int64_t count);
  void add_symbol(int32_t id) { symbols_.push_back(id), ++words_.back().length; }

 private:
  friend class BpeMerger;
  struct Word {
    uint64_t begin;
    int64_t count;
    uint32_t length;
  };
  std::vector<Word> words_;
  std::vector<int32_t> symbols_;
};

/// Adds merged tokens to `tokens` (the index is the id) until there are vocab_size of them or no pair occurs
/// min_frequency times. Returns the merged pairs in order.
std::vector<std::pair<int32_t, int32_t>> learn_merges(BpeCorpus corpus, std::vector<std::string>& tokens,
                                                      int32_t vocab_size, int64_t min_frequency);

}  // namespace attend
