#include <attend/base/error.hpp>
#include <attend/base/unicode.hpp>
#include <attend/inspect/words.hpp>

#include <algorithm>

namespace attend {
namespace {

constexpr size_t none = static_cast<size_t>(-1);

/// Index of the word that `piece` covers most of; where it covers none, of the word behind it or, at the end, before
/// it.
size_t word_of(const Span& piece, const std::vector<Word>& words) {
  size_t best = none;
  uint32_t most = 0;
  auto word =
      std::partition_point(words.begin(), words.end(), [&](const Word& w) { return w.span.end <= piece.begin; });
  if (word == words.end()) return words.size() - 1;
  best = static_cast<size_t>(word - words.begin());
  for (; word != words.end() && word->span.begin < piece.end; ++word) {
    const uint32_t covered = std::min(piece.end, word->span.end) - std::max(piece.begin, word->span.begin);
    if (covered <= most) continue;
    most = covered;
    best = static_cast<size_t>(word - words.begin());
  }
  return best;
}

std::string_view without_punctuation(std::string_view text) {
  while (!text.empty() && is_punctuation(code_point_at(text, 0).value))
    text.remove_prefix(static_cast<size_t>(code_point_at(text, 0).length));
  while (!text.empty()) {
    const size_t last = previous_code_point(text, text.size());
    if (!is_punctuation(code_point_at(text, last).value)) break;
    text = text.substr(0, last);
  }
  return text;
}

}  // namespace

std::vector<Word> split_into_words(std::string_view text) {
  std::vector<Word> words;
  uint32_t place = 0;
  bool inside = false;
  for (size_t at = 0; at < text.size(); ++place) {
    const CodePoint c = code_point_at(text, at);
    const auto length = static_cast<size_t>(c.length);
    if (is_white_space(c.value)) {
      inside = false;
    } else {
      if (!inside) words.push_back({{}, {place, place}});
      words.back().text += text.substr(at, length);
      words.back().span.end = place + 1;
      inside = true;
    }
    at += length;
  }
  return words;
}

std::vector<WordPieces> words_of(std::string_view text, const Encoding& encoding) {
  const std::vector<Word> words = split_into_words(text);
  std::vector<WordPieces> result;
  size_t last = none;  // the word of the last entry
  for (size_t i = 0; i < encoding.size(); ++i) {
    const auto begin = static_cast<int64_t>(i);
    // A text of nothing but white space has no word to put its pieces under.
    const bool special = encoding.special_mask[i] || words.empty();
    const size_t word = special ? none : word_of(encoding.offsets[i], words);
    if (!special && word == last) {
      result.back().end = begin + 1;
      continue;
    }
    last = word;
    if (special)
      result.push_back({encoding.tokens[i], {}, true, begin, begin + 1});
    else
      result.push_back({words[word].text, words[word].span, false, begin, begin + 1});
  }
  return result;
}

std::vector<size_t> find_word(const std::vector<WordPieces>& words, std::string_view word) {
  std::vector<size_t> found;
  for (size_t i = 0; i < words.size(); ++i)
    if (words[i].text == word) found.push_back(i);
  if (!found.empty() || without_punctuation(word).empty()) return found;
  for (size_t i = 0; i < words.size(); ++i)
    if (!words[i].special && without_punctuation(words[i].text) == without_punctuation(word)) found.push_back(i);
  return found;
}

Matrix word_weights(std::span<const float> weights, const std::vector<WordPieces>& words) {
  const int64_t pieces = words.empty() ? 0 : words.back().end, count = std::ssize(words);
  if (std::ssize(weights) != pieces * pieces)
    fail<ShapeError>("word_weights: {} weights do not fit {} pieces", weights.size(), pieces);
  Matrix result(count, count);
  for (int64_t a = 0; a < count; ++a) {
    const WordPieces& query = words[static_cast<size_t>(a)];
    for (int64_t b = 0; b < count; ++b) {
      const WordPieces& key = words[static_cast<size_t>(b)];
      for (int64_t i = query.begin; i < query.end; ++i)
        for (int64_t j = key.begin; j < key.end; ++j)
          result(a, b) += static_cast<double>(weights[static_cast<size_t>(i * pieces + j)]);
      result(a, b) /= static_cast<double>(query.size());
    }
  }
  return result;
}

}  // namespace attend
