// Which words of a text a tokenizer's pieces belong to, and weights between words out of weights between pieces.
#pragma once

#include <attend/inspect/attention_steps.hpp>
#include <attend/text/encoding.hpp>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace attend {

/// What stands between white space in a text.
struct Word {
  std::string text;
  Span span;  ///< code points of the text
};

std::vector<Word> split_into_words(std::string_view text);

/// The pieces [begin, end) of a word, or of one special token (</s>, a language token) that stands for no text.
struct WordPieces {
  std::string text;  ///< the word, punctuation included; a special token's name
  Span span;         ///< {0, 0} for special tokens
  bool special = false;
  int64_t begin = 0, end = 0;

  int64_t size() const noexcept { return end - begin; }
};

/// Every piece of `encoding` (made of `text`) under exactly one entry, in order. A piece belongs to the word it covers
/// most of, the first of equals; white space alone belongs to the word behind it, or before it at the end. Words of
/// which the tokenizer left nothing have no entry. Needs all columns of the encoding (not ids_only).
std::vector<WordPieces> words_of(std::string_view text, const Encoding& encoding);

/// Indices of the entries whose text is `word`, in order; where there are none, of those that are `word` but for
/// punctuation around them.
std::vector<size_t> find_word(const std::vector<WordPieces>& words, std::string_view word);

/// Weights between words: the mean over the query's pieces of the sum over the key's pieces, so that rows still sum to
/// 1. `weights` is row-major [pieces, pieces]. Throws ShapeError for another size.
Matrix word_weights(std::span<const float> weights, const std::vector<WordPieces>& words);

}  // namespace attend
