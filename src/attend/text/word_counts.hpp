// How often each word occurs in a corpus of any size, in bounded memory.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace attend {

/// A word's cost is bytes · cost_per_byte + cost_per_word. When all words together cost more than the limit, the rarest
/// go: all with at most t occurrences so far, t being the smallest number that brings the cost to half the limit. What
/// went and comes back is counted from zero. So the result depends on the corpus and its order only; it is exact while
/// dropped_words() is 0; otherwise each count is too low by at most the sum of the t, which largest_loss() tells.
class WordCounts {
 public:
  struct Costs {
    int64_t limit;
    int64_t cost_per_byte;
    int64_t cost_per_word;
  };

  explicit WordCounts(Costs costs);

  /// Adds occurrences of a word; one that would take a quarter of the limit by itself is dropped at once.
  void add(std::string_view word, int64_t count);

  size_t size() const noexcept { return entries_.size(); }
  int64_t cost() const noexcept { return cost_; }

  /// Words dropped, each time it happened, and their occurrences.
  int64_t dropped_words() const noexcept { return dropped_words_; }
  int64_t dropped_occurrences() const noexcept { return dropped_occurrences_; }
  int64_t largest_loss() const noexcept { return largest_loss_; }

  /// Calls f(word, count) in the order in which the words were first seen.
  template <class F>
  void for_each(F&& f) const {
    for (const Entry& entry : entries_) f(word_of(entry), entry.count);
  }

  /// Frees everything but the numbers above.
  void clear() noexcept;

 private:
  struct Entry {
    uint64_t begin;
    int64_t count;
    uint32_t length;
    uint32_t hash;
  };

  std::string_view word_of(const Entry& entry) const noexcept {
    return std::string_view(bytes_.data() + entry.begin, entry.length);
  }
  int64_t cost_of(size_t length) const noexcept {
    return static_cast<int64_t>(length) * costs_.cost_per_byte + costs_.cost_per_word;
  }
  void drop_rare_words();
  void rebuild_index(size_t slots);

  Costs costs_;
  std::vector<char> bytes_;
  std::vector<Entry> entries_;
  std::vector<uint32_t> index_;  // open addressing; entry + 1, 0 = free
  int64_t cost_ = 0;
  int64_t dropped_words_ = 0;
  int64_t dropped_occurrences_ = 0;
  int64_t largest_loss_ = 0;
};

}  // namespace attend
