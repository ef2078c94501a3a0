// Long text cut into sentences, for models that translate one sentence at a time.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>
#include <vector>

namespace attend {

/// A sentence is text[begin, end), without the white space around it. What lies between two sentences, and before the
/// first and behind the last, is white space only, so that copying it keeps the layout of the text.
struct SentenceSpan {
  size_t begin = 0;
  size_t end = 0;
  bool operator==(const SentenceSpan&) const = default;
};

/// Where sentences end, for English, Korean and their neighbours in writing:
///  - at a line break, always;
///  - at . ! ? … (with the closing quotes and brackets behind them) before white space or the end of the text, and at
///    。 ！ ？ wherever they stand;
///  - not at the full stop of an abbreviation (Mr. Dr. e.g. U.S. No. 5), of an initial (J. Smith), of a numbered line's
///    number ("1. First"), before a lower-case letter, or inside 3.14, file.txt, a URL or an address, where no white
///    space follows.
/// Bytes that are not UTF-8 are ordinary characters. Linear in the length of the text.
std::vector<SentenceSpan> split_sentences(std::string_view text);

/// Cuts every sentence that `length` (tokens, usually) finds longer than max_length, as late as possible: behind a
/// clause
/// (, ; : 、 ， or a dash), else at white space, else between characters; a sentence that fits stays whole. A single
/// character that is too long by itself stays. `length` shall not shrink when text is appended; it is called O(log n)
/// times for each part. Throws ConfigError when max_length < 1.
std::vector<SentenceSpan> split_sentences(std::string_view text, size_t max_length,
                                          const std::function<size_t(std::string_view)>& length);

}  // namespace attend
