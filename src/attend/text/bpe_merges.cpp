#include "attend/text/bpe_merges.hpp"

#include <algorithm>
#include <unordered_map>

namespace attend {

void BpeCorpus::reserve(size_t words, size_t symbols) {
  words_.reserve(words);
  symbols_.reserve(symbols);
}

void BpeCorpus::add_word(int64_t count) { words_.push_back({symbols_.size(), count, 0}); }

class BpeMerger {
 public:
  explicit BpeMerger(BpeCorpus corpus) : words_(std::move(corpus.words_)), symbols_(std::move(corpus.symbols_)) {
    for (size_t w = 0; w < words_.size(); ++w) {
      const Word& word = words_[w];
      for (uint32_t i = 0; i + 1 < word.length; ++i)
        change(symbols_[word.begin + i], symbols_[word.begin + i + 1], word.count, static_cast<uint32_t>(w));
    }
    queue_touched_pairs();
  }

  /// The most frequent pair and the words to look for it in; false when none is left.
  bool next(int64_t min_frequency) {
    while (!queue_.empty()) {
      std::pop_heap(queue_.begin(), queue_.end());
      top_ = std::move(queue_.back());
      queue_.pop_back();
      const int64_t count = pairs_.at(top_.pair).count;
      if (count == top_.count) return count >= std::max<int64_t>(min_frequency, 1);
      top_.count = count;  // merges of other pairs have taken some since it was queued
      push(std::move(top_));
    }
    return false;
  }

  int32_t left() const noexcept { return static_cast<int32_t>(top_.pair >> 32); }
  int32_t right() const noexcept { return static_cast<int32_t>(top_.pair & 0xFFFFFFFF); }

  /// Replaces the pair that next() found by `merged` everywhere.
  void merge(int32_t merged) {
    for (const uint32_t w : top_.words) merge_in_word(w, left(), right(), merged);
    top_.words = {};
    queue_touched_pairs();
  }

 private:
  using Word = BpeCorpus::Word;

  struct Pair {
    int64_t count = 0;
    std::vector<uint32_t> words;  // where it has come up since it was last queued
  };

  struct Entry {
    int64_t count;
    uint64_t pair;
    std::vector<uint32_t> words;
    bool operator<(const Entry& other) const noexcept {
      return count != other.count ? count < other.count : pair > other.pair;
    }
  };

  void push(Entry entry) {
    queue_.push_back(std::move(entry));
    std::push_heap(queue_.begin(), queue_.end());
  }

  void change(int32_t left, int32_t right, int64_t count, uint32_t word) {
    const uint64_t key = static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
    Pair& pair = pairs_[key];
    pair.count += count;
    if (count < 0) return;
    if (pair.words.empty()) touched_.push_back(key);
    if (pair.words.empty() || pair.words.back() != word) pair.words.push_back(word);
  }

  void merge_in_word(uint32_t w, int32_t left, int32_t right, int32_t merged) {
    Word& word = words_[w];
    int32_t* symbols = symbols_.data() + word.begin;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < word.length; ++i) {
      if (symbols[i] != left || i + 1 == word.length || symbols[i + 1] != right) {
        symbols[kept++] = symbols[i];
        continue;
      }
      if (kept > 0) {
        change(symbols[kept - 1], left, -word.count, w);
        change(symbols[kept - 1], merged, word.count, w);
      }
      ++i;
      if (i + 1 < word.length) {
        change(right, symbols[i + 1], -word.count, w);
        change(merged, symbols[i + 1], word.count, w);
      }
      symbols[kept++] = merged;
    }
    word.length = kept;
  }

  void queue_touched_pairs() {
    for (const uint64_t key : touched_) {
      Pair& pair = pairs_[key];
      std::vector<uint32_t> words = std::move(pair.words);
      pair.words = {};
      words.shrink_to_fit();
      if (pair.count > 0) push({pair.count, key, std::move(words)});
    }
    touched_.clear();
  }

  std::vector<Word> words_;
  std::vector<int32_t> symbols_;
  std::unordered_map<uint64_t, Pair> pairs_;
  std::vector<uint64_t> touched_;
  std::vector<Entry> queue_;  // a heap; counts may be out of date
  Entry top_{};
};

std::vector<std::pair<int32_t, int32_t>> learn_merges(BpeCorpus corpus, std::vector<std::string>& tokens,
                                                      int32_t vocab_size, int64_t min_frequency) {
  BpeMerger merger(std::move(corpus));
  std::unordered_map<std::string, int32_t> ids;
  for (size_t i = 0; i < tokens.size(); ++i) ids.emplace(tokens[i], static_cast<int32_t>(i));
  std::vector<std::pair<int32_t, int32_t>> merges;
  while (tokens.size() < static_cast<size_t>(vocab_size) && merger.next(min_frequency)) {
    std::string merged = tokens[merger.left()] + tokens[merger.right()];
    // Two ways to the same string ("ab" + "c", "a" + "bc") share one token.
    const auto [entry, added] = ids.try_emplace(merged, static_cast<int32_t>(tokens.size()));
    if (added) tokens.push_back(std::move(merged));
    merges.emplace_back(merger.left(), merger.right());
    merger.merge(entry->second);
  }
  return merges;
}

}  // namespace attend
