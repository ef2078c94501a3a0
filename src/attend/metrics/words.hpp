// Lines as Python's str methods see them, which sacreBLEU's definitions are written in.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace attend {

/// str.isspace of one character: White_Space and the separators U+001C to U+001F.
bool is_separator(char32_t c) noexcept;

/// Code points; ill-formed UTF-8 becomes U+FFFD.
std::u32string characters_of(std::string_view text);

/// str.rstrip, str.strip, str.split without arguments, str.lower (final sigma and dotted I included).
std::string_view strip_end(std::string_view text) noexcept;
std::string_view strip(std::string_view text) noexcept;
std::vector<std::string_view> split_words(std::string_view text);
std::string lower_case(std::string_view text);

/// Numbers for words, equal for equal words; the words must outlive it.
class WordIndex {
 public:
  std::vector<uint32_t> numbers(std::span<const std::string_view> words);

 private:
  std::unordered_map<std::string_view, uint32_t> numbers_;
};

/// Numbers for n-grams, equal for equal n-grams.
class NgramIndex {
 public:
  /// result[n - 1][i] is the number of the n-gram at tokens[i], for n = 1 … max_order.
  std::vector<std::vector<uint32_t>> numbers(std::span<const uint32_t> tokens, int max_order);
  /// One more than the greatest number so far.
  size_t size() const noexcept { return numbers_.size(); }

 private:
  std::unordered_map<uint64_t, uint32_t> numbers_;  // (number of the n-gram without its last token, last token)
};

}  // namespace attend
