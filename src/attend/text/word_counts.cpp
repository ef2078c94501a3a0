#include "attend/text/word_counts.hpp"

#include <algorithm>
#include <bit>
#include <functional>

namespace attend {
namespace {

constexpr size_t smallest_index = 1024;

}  // namespace

WordCounts::WordCounts(Costs costs) : costs_(costs) { rebuild_index(smallest_index); }

void WordCounts::add(std::string_view word, int64_t count) {
  const int64_t cost = cost_of(word.size());
  if (cost > costs_.limit / 4 || word.size() > UINT32_MAX) {
    ++dropped_words_;
    dropped_occurrences_ += count;
    return;
  }
  const auto hash = static_cast<uint32_t>(std::hash<std::string_view>{}(word));
  const size_t mask = index_.size() - 1;
  size_t at = hash & mask;
  while (index_[at] != 0) {
    Entry& entry = entries_[index_[at] - 1];
    if (entry.hash == hash && word_of(entry) == word) {
      entry.count += count;
      return;
    }
    at = (at + 1) & mask;
  }
  entries_.push_back({bytes_.size(), count, static_cast<uint32_t>(word.size()), hash});
  bytes_.insert(bytes_.end(), word.begin(), word.end());
  index_[at] = static_cast<uint32_t>(entries_.size());
  cost_ += cost;
  if (cost_ > costs_.limit) return drop_rare_words();
  if (entries_.size() * 2 > index_.size()) rebuild_index(index_.size() * 2);
}

void WordCounts::drop_rare_words() {
  std::vector<std::pair<int64_t, uint32_t>> by_count;  // occurrences, bytes
  by_count.reserve(entries_.size());
  for (const Entry& entry : entries_) by_count.emplace_back(entry.count, entry.length);
  std::sort(by_count.begin(), by_count.end());
  int64_t left = cost_, threshold = 0;
  for (const auto& [count, length] : by_count) {
    if (left <= costs_.limit / 2 && count > threshold) break;
    threshold = count;
    left -= cost_of(length);
  }
  size_t kept = 0, used = 0;
  cost_ = 0;
  for (const Entry& entry : entries_) {
    if (entry.count <= threshold) {
      ++dropped_words_;
      dropped_occurrences_ += entry.count;
      continue;
    }
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(entry.begin), entry.length,
                bytes_.begin() + static_cast<std::ptrdiff_t>(used));
    entries_[kept++] = {used, entry.count, entry.length, entry.hash};
    used += entry.length;
    cost_ += cost_of(entry.length);
  }
  entries_.resize(kept);
  bytes_.resize(used);
  largest_loss_ += threshold;
  rebuild_index(std::max(smallest_index, std::bit_ceil(kept * 2 + 1)));
}

void WordCounts::rebuild_index(size_t slots) {
  index_.assign(slots, 0);
  index_.shrink_to_fit();
  for (size_t i = 0; i < entries_.size(); ++i) {
    size_t at = entries_[i].hash & (slots - 1);
    while (index_[at] != 0) at = (at + 1) & (slots - 1);
    index_[at] = static_cast<uint32_t>(i + 1);
  }
}

void WordCounts::clear() noexcept {
  bytes_ = {};
  entries_ = {};
  index_ = {};
  cost_ = 0;
  rebuild_index(smallest_index);
}

}  // namespace attend
