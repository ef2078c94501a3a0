#include "attend/metrics/words.hpp"

#include <utf8proc.h>

#include <algorithm>

#include "attend/base/unicode.hpp"

namespace attend {
namespace {

bool is_cased(char32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL || category == UTF8PROC_CATEGORY_LT ||
         to_lower(c) != c || to_upper(c) != c;  // Roman numerals, circled letters
}

// Case_Ignorable of the Unicode Standard, section 3.13: marks, formats, modifiers and the signs inside words.
bool is_case_ignorable(char32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return std::u32string_view(U"'.:··՟״‘’․‧︓﹒﹕＇．：").find(c) != std::u32string_view::npos;
  }
}

// A capital sigma ends a word if a cased letter stands before it and none after it, signs inside words aside.
bool is_final_sigma(std::u32string_view text, size_t at) {
  size_t before = at, after = at + 1;
  while (before > 0 && is_case_ignorable(text[before - 1])) --before;
  while (after < text.size() && is_case_ignorable(text[after])) ++after;
  return before > 0 && is_cased(text[before - 1]) && (after == text.size() || !is_cased(text[after]));
}

}  // namespace

bool is_separator(char32_t c) noexcept { return is_white_space(c) || (c >= 0x1c && c <= 0x1f); }

std::u32string characters_of(std::string_view text) {
  std::u32string characters;
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    characters += c.value;
    i += static_cast<size_t>(c.length);
  }
  return characters;
}

std::string_view strip_end(std::string_view text) noexcept {
  while (!text.empty()) {
    const size_t start = previous_code_point(text, text.size());
    if (!is_separator(code_point_at(text, start).value)) break;
    text = text.substr(0, start);
  }
  return text;
}

std::string_view strip(std::string_view text) noexcept {
  text = strip_end(text);
  while (!text.empty()) {
    const CodePoint first = code_point_at(text, 0);
    if (!is_separator(first.value)) break;
    text.remove_prefix(static_cast<size_t>(first.length));
  }
  return text;
}

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> words;
  size_t start = 0;
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    const size_t next = i + static_cast<size_t>(c.length);
    if (is_separator(c.value)) {
      if (i > start) words.push_back(text.substr(start, i - start));
      start = next;
    }
    i = next;
  }
  if (text.size() > start) words.push_back(text.substr(start));
  return words;
}

std::string lower_case(std::string_view text) {
  const std::u32string characters = characters_of(text);
  std::string lower;
  for (size_t i = 0; i < characters.size(); ++i) {
    const char32_t c = characters[i];
    if (c == U'İ')
      lower += "i\u0307";
    else if (c == U'Σ' && is_final_sigma(characters, i))
      lower += "ς";
    else
      append_utf8(lower, to_lower(c));
  }
  return lower;
}

std::vector<uint32_t> WordIndex::numbers(std::span<const std::string_view> words) {
  std::vector<uint32_t> result;
  for (const std::string_view word : words)
    result.push_back(numbers_.try_emplace(word, static_cast<uint32_t>(numbers_.size())).first->second);
  return result;
}

std::vector<std::vector<uint32_t>> NgramIndex::numbers(std::span<const uint32_t> tokens, int max_order) {
  std::vector<std::vector<uint32_t>> result(static_cast<size_t>(max_order));
  std::vector<uint32_t> shorter(tokens.size() + 1, UINT32_MAX);  // the empty n-gram
  for (size_t n = 1; n <= result.size() && n <= tokens.size(); ++n) {
    auto& numbers = result[n - 1];
    for (size_t i = 0; i + n <= tokens.size(); ++i) {
      const uint64_t key = uint64_t{shorter[i]} << 32 | tokens[i + n - 1];
      numbers.push_back(numbers_.try_emplace(key, static_cast<uint32_t>(numbers_.size())).first->second);
    }
    shorter = numbers;
  }
  return result;
}

}  // namespace attend
