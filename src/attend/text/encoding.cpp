#include "attend/text/encoding.hpp"

#include <algorithm>

#include "attend/base/error.hpp"

namespace attend {
namespace {

/// Calls f(column of a, column of b) for all parallel columns.
template <class A, class B, class F>
void for_each_column(A& a, B& b, F&& f) {
  f(a.ids, b.ids);
  if (a.ids_only) return;
  f(a.tokens, b.tokens);
  f(a.offsets, b.offsets);
  f(a.word_ids, b.word_ids);
  f(a.type_ids, b.type_ids);
  f(a.sequence_ids, b.sequence_ids);
  f(a.special_mask, b.special_mask);
  f(a.attention_mask, b.attention_mask);
}

}  // namespace

void Encoding::add(int32_t id, std::string token, Span offset, int32_t word, int32_t type, int32_t sequence,
                   bool special, bool attended) {
  ids.push_back(id);
  if (ids_only) return;
  tokens.push_back(std::move(token));
  offsets.push_back(offset);
  word_ids.push_back(word);
  type_ids.push_back(type);
  sequence_ids.push_back(sequence);
  special_mask.push_back(special);
  attention_mask.push_back(attended);
}

void Encoding::append_columns(const Encoding& other) {
  for_each_column(*this, other,
                  [](auto& mine, const auto& theirs) { mine.insert(mine.end(), theirs.begin(), theirs.end()); });
}

void Encoding::append(const Encoding& other) {
  std::vector<Encoding> combined;
  combined.reserve((overflowing.size() + 1) * (other.overflowing.size() + 1) - 1);
  auto combine = [&](const Encoding& left, const Encoding& right) {
    Encoding& both = combined.emplace_back(left.window(0, left.size()));
    both.append_columns(right);
  };
  for (const Encoding& mine : overflowing) {
    combine(mine, other);
    for (const Encoding& theirs : other.overflowing) combine(mine, theirs);
  }
  for (const Encoding& theirs : other.overflowing) combine(*this, theirs);
  append_columns(other);
  overflowing = std::move(combined);
}

void Encoding::set_type(int32_t type) { std::fill(type_ids.begin(), type_ids.end(), type); }

void Encoding::set_sequence(int32_t sequence) {
  std::fill(sequence_ids.begin(), sequence_ids.end(), sequence);
  for (Encoding& window : overflowing) window.set_sequence(sequence);
}

Encoding Encoding::window(size_t begin, size_t end) const {
  Encoding result;
  result.ids_only = ids_only;
  for_each_column(result, *this,
                  [&](auto& mine, const auto& theirs) { mine.assign(theirs.begin() + begin, theirs.begin() + end); });
  return result;
}

void Encoding::truncate(int32_t max_length, int32_t stride, Side direction) {
  const auto limit = static_cast<size_t>(std::max(max_length, 0));
  if (limit >= size()) return;
  if (limit == 0) {
    Encoding empty;
    empty.ids_only = ids_only;
    std::swap(empty, *this);
    empty.overflowing.clear();
    overflowing.push_back(std::move(empty));
    return;
  }
  if (stride < 0 || static_cast<size_t>(stride) >= limit)
    fail<ConfigError>("truncation: stride {} must be smaller than the {} tokens left for the text", stride, max_length);
  const size_t step = limit - stride, count = size();
  std::vector<Encoding> windows;
  for (size_t done = 0;; done += step) {
    const size_t taken = std::min(done + limit, count);  // seen from the side that is kept
    const bool right = direction == Side::right;
    windows.push_back(right ? window(done, taken) : window(count - taken, count - done));
    if (taken == count) break;
  }
  Encoding kept = std::move(windows.front());
  kept.overflowing.assign(std::make_move_iterator(windows.begin() + 1), std::make_move_iterator(windows.end()));
  *this = std::move(kept);
}

void Encoding::pad(int32_t length, const Padding& padding) {
  for (Encoding& window : overflowing) window.pad(length, padding);
  if (length < 0 || static_cast<size_t>(length) <= size()) return;
  Encoding filling;
  filling.ids_only = ids_only;
  for (size_t i = size(); i < static_cast<size_t>(length); ++i)
    filling.add(padding.pad_id, padding.pad_token, {}, -1, padding.pad_type_id, -1, true, false);
  if (padding.direction == Side::left) {
    filling.append_columns(*this);
    filling.overflowing = std::move(overflowing);
    *this = std::move(filling);
  } else {
    append_columns(filling);
  }
}

void truncate(Encoding& first, Encoding* second, const Truncation& truncation) {
  const auto [max_length, stride, strategy, direction] = truncation;
  if (max_length < 0) fail<ConfigError>("truncation: max_length leaves no room for the special tokens");
  const auto length = static_cast<int32_t>(first.size());
  const auto other_length = second ? static_cast<int32_t>(second->size()) : 0;
  const int32_t excess = length + other_length - max_length;
  if (max_length == 0) {
    first.truncate(0, stride, direction);
    if (second) second->truncate(0, stride, direction);
    return;
  }
  if (excess <= 0) return;
  if (strategy == TruncationStrategy::longest_first) {
    if (!second) return first.truncate(max_length, stride, direction);
    // The shorter text stays whole if it fits in half; otherwise both get half, the longer one the odd token.
    int32_t shorter = std::min(length, other_length);
    int32_t longer = shorter > max_length ? shorter : std::max(shorter, max_length - shorter);
    if (shorter + longer > max_length) {
      shorter = max_length / 2;
      longer = shorter + max_length % 2;
    }
    first.truncate(length > other_length ? longer : shorter, stride, direction);
    second->truncate(length > other_length ? shorter : longer, stride, direction);
    return;
  }
  Encoding* target = strategy == TruncationStrategy::only_first ? &first : second;
  if (!target) fail<ConfigError>("truncation: only_second needs a second text");
  const auto target_length = static_cast<int32_t>(target->size());
  if (target_length <= excess)
    fail<ConfigError>("truncation: the text to cut has {} tokens, but {} must go", target_length, excess);
  target->truncate(target_length - excess, stride, direction);
}

void pad_batch(std::vector<Encoding>& batch, const Padding& padding) {
  int64_t length = padding.length.value_or(0);
  if (!padding.length)
    for (const Encoding& encoding : batch) length = std::max(length, static_cast<int64_t>(encoding.size()));
  const int64_t multiple = padding.pad_to_multiple_of.value_or(0);
  if (multiple > 0 && length % multiple > 0) length += multiple - length % multiple;
  if (length > INT32_MAX) fail<ConfigError>("padding: length {} is too long", length);
  for (Encoding& encoding : batch) encoding.pad(static_cast<int32_t>(length), padding);
}

}  // namespace attend
