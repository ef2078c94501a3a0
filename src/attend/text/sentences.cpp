#include "attend/text/sentences.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "attend/base/error.hpp"
#include "attend/base/unicode.hpp"

namespace attend {
namespace {

// Lower case, without the last full stop. What they introduce stands behind them in the same sentence.
constexpr std::array<std::string_view, 52> abbreviations = {
    "mr",   "mrs",  "ms",  "dr",   "prof", "rev", "hon", "gen", "col",    "capt", "lt",   "sgt",  "gov",
    "sen",  "rep",  "st",  "mt",   "ft",   "vs",  "cf",  "ca",  "approx", "fig",  "figs", "eq",   "eqs",
    "sec",  "ch",   "vol", "vols", "pp",   "ed",  "eds", "e.g", "i.e",    "viz",  "al",   "dept", "univ",
    "assn", "bros", "jan", "feb",  "mar",  "apr", "jun", "jul", "aug",    "sept", "oct",  "nov",  "dec"};

// Only in front of a number: "No. 5", but "No. I won't."
constexpr std::array<std::string_view, 5> before_numbers = {"no", "nos", "art", "p", "para"};

bool is_wide_terminator(char32_t c) { return c == U'。' || c == U'！' || c == U'？' || c == U'｡'; }
bool is_terminator(char32_t c) { return c == U'.' || c == U'!' || c == U'?' || c == U'…' || c == U'‼' || c == U'⁇'; }

bool is_closing(char32_t c) {
  constexpr std::u32string_view closing = U"\"')]}»”’›」』】〉》）］｝＂＇";
  return closing.find(c) != std::u32string_view::npos;
}

bool is_opening(char32_t c) {
  constexpr std::u32string_view opening = U"\"'([{«“‘‹「『【〈《（［｛";
  return opening.find(c) != std::u32string_view::npos;
}

bool is_line_break(char32_t c) { return c == U'\n' || c == U'\r' || c == 0x2028 || c == 0x2029 || c == 0x85; }

bool is_clause_end(char32_t c) {
  return c == U',' || c == U';' || c == U':' || c == U'、' || c == U'，' || c == U'；' || c == U'：' || c == U'—' ||
         c == U'–';
}

class Splitter {
 public:
  explicit Splitter(std::string_view text) : text_(text) {}

  std::vector<SentenceSpan> split() {
    size_t begin = 0;
    for (size_t at = 0; at < text_.size();) {
      const CodePoint c = code_point_at(text_, at);
      size_t next = at + c.length;
      if (at == begin && is_white_space(c.value)) {
        begin = next;
      } else if (is_line_break(c.value)) {
        add(begin, at);
        begin = next;
      } else if (is_wide_terminator(c.value) || is_terminator(c.value)) {
        bool wide = false;
        size_t run = at;  // terminators in a row: "?!", "..."
        while (run < text_.size()) {
          const CodePoint t = code_point_at(text_, run);
          if (!is_wide_terminator(t.value) && !is_terminator(t.value)) break;
          wide = wide || is_wide_terminator(t.value);
          run += t.length;
        }
        next = run;
        while (next < text_.size()) {
          const CodePoint t = code_point_at(text_, next);
          if (!is_closing(t.value)) break;
          next += t.length;
        }
        if (wide || ends_sentence(begin, at, run, next)) {
          add(begin, next);
          begin = next;
        }
      }
      at = next;
    }
    add(begin, text_.size());
    return std::move(spans_);
  }

 private:
  /// Terminators at [at, run), closing quotes and brackets at [run, end).
  bool ends_sentence(size_t begin, size_t at, size_t run, size_t end) const {
    if (end == text_.size()) return true;
    if (!is_white_space(code_point_at(text_, end).value)) return false;
    const CodePoint follower = first_behind(end);
    const bool lower = is_letter(follower.value) && to_upper(follower.value) != follower.value;
    const bool stop = run - at == 1 && text_[at] == '.';
    // A small letter goes on after a full stop, an ellipsis or a quoted question, but not after a plain one.
    const bool asks = text_.substr(at, run - at).find_first_of("!?") != std::string_view::npos;
    if (!stop) return !lower || (asks && run == end);
    if (lower) return false;
    if (run != end) return true;  // a quotation or bracket closes
    return !is_abbreviation(begin, at, follower.value);
  }

  /// The first character of the next word, behind quotes and brackets; U+0000 when the line ends.
  CodePoint first_behind(size_t at) const {
    while (at < text_.size()) {
      const CodePoint c = code_point_at(text_, at);
      if (is_line_break(c.value)) break;
      if (!is_white_space(c.value) && !is_opening(c.value)) return c;
      at += c.length;
    }
    return {0, 0, true};
  }

  bool is_abbreviation(size_t begin, size_t at, char32_t follower) const {
    constexpr size_t longest = 16;
    size_t start = at;
    while (start > begin && at - start <= longest) {
      const size_t previous = previous_code_point(text_, start);
      const char32_t c = code_point_at(text_, previous).value;
      if (!is_word(c) && c != U'.') break;
      start = previous;
    }
    const std::string_view word = text_.substr(start, at - start);
    if (word.empty() || follower == 0) return false;
    if (std::all_of(word.begin(), word.end(), is_digit)) {
      // "2024. 1. 5. 회의": a date; "1. First": the number of a list item.
      const bool in_date = start >= 3 && text_.substr(start - 2, 2) == ". " && is_digit(text_[start - 3]);
      return is_number(follower) || in_date || (word.size() <= 3 && is_first_word(begin, start));
    }
    std::string lower;
    for (const char c : word) lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (std::find(abbreviations.begin(), abbreviations.end(), lower) != abbreviations.end()) return true;
    if (std::find(before_numbers.begin(), before_numbers.end(), lower) != before_numbers.end())
      return is_number(follower);
    // Initials: one capital letter, or letters with full stops between ("U.S", "J.R"). "I" is a word.
    const bool capital = word.size() == 1 && word[0] >= 'A' && word[0] <= 'Z' && word[0] != 'I';
    return capital || is_dotted_letters(word);
  }

  static bool is_dotted_letters(std::string_view word) {
    if (word.size() < 3 || word.size() % 2 == 0) return false;
    for (size_t i = 0; i < word.size(); ++i) {
      const char c = word[i];
      const bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
      if (i % 2 == 0 ? !letter : c != '.') return false;
    }
    return true;
  }

  static bool is_digit(char c) { return c >= '0' && c <= '9'; }

  /// Nothing but a few quotes and brackets between `begin` and `start`.
  bool is_first_word(size_t begin, size_t start) const {
    constexpr size_t farthest = 16;
    if (start - begin > farthest) return false;
    while (begin < start) {
      const CodePoint c = code_point_at(text_, begin);
      if (!is_white_space(c.value) && !is_opening(c.value)) return false;
      begin += c.length;
    }
    return true;
  }

  void add(size_t begin, size_t end) {
    const SentenceSpan span = trim(text_, begin, end);
    if (span.begin < span.end) spans_.push_back(span);
  }

 public:
  static SentenceSpan trim(std::string_view text, size_t begin, size_t end) {
    while (begin < end) {
      const CodePoint c = code_point_at(text, begin);
      if (!is_white_space(c.value)) break;
      begin += c.length;
    }
    while (end > begin) {
      const size_t previous = previous_code_point(text, end);
      if (!is_white_space(code_point_at(text, previous).value)) break;
      end = previous;
    }
    return {begin, end};
  }

 private:
  std::string_view text_;
  std::vector<SentenceSpan> spans_;
};

/// The end of the longest start of [begin, end) that fits and stops at a character; at least one character.
size_t longest_fit(std::string_view text, size_t begin, size_t end, size_t max_length,
                   const std::function<size_t(std::string_view)>& length) {
  auto fits = [&](size_t stop) { return length(text.substr(begin, stop - begin)) <= max_length; };
  auto next_character = [&](size_t at) { return std::min(at + code_point_at(text, at).length, end); };
  auto character_start = [&](size_t at) {
    for (int i = 0; i < 3 && at > begin && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80; ++i) --at;
    return at;
  };
  // Doubling first, so that a very long sentence is not measured as a whole for each of its parts.
  size_t low = begin, high = end;
  for (size_t step = 64;; step *= 2) {
    const size_t stop = low + step < end ? character_start(low + step) : end;
    if (!fits(stop)) {
      high = stop;
      break;
    }
    if (stop == end) return end;
    low = stop;
  }
  for (;;) {
    size_t middle = character_start(low + (high - low) / 2);
    if (middle <= low) middle = next_character(low);
    if (middle >= high) break;
    (fits(middle) ? low : high) = middle;
  }
  return low == begin ? next_character(begin) : low;
}

/// Where to cut [begin, limit] for the sake of the reader.
size_t best_cut(std::string_view text, size_t begin, size_t limit) {
  size_t space = 0, clause = 0;
  char32_t previous = 0;
  for (size_t at = begin; at < limit;) {
    const CodePoint c = code_point_at(text, at);
    if (at > begin && is_white_space(c.value)) {
      space = at;
      if (is_clause_end(previous)) clause = at;
    }
    at += c.length;
    if (c.value == U'、' || c.value == U'，') clause = at;  // needs no white space behind it
    previous = c.value;
  }
  // A clause near the start would leave a stub; white space is better then.
  if (clause > begin + (limit - begin) / 4) return clause;
  return space > begin ? space : limit;
}

}  // namespace

std::vector<SentenceSpan> split_sentences(std::string_view text) { return Splitter(text).split(); }

std::vector<SentenceSpan> split_sentences(std::string_view text, size_t max_length,
                                          const std::function<size_t(std::string_view)>& length) {
  if (max_length < 1) fail<ConfigError>("sentence splitting: max_length must be at least 1");
  std::vector<SentenceSpan> result;
  for (SentenceSpan sentence : split_sentences(text)) {
    for (;;) {
      const size_t limit = longest_fit(text, sentence.begin, sentence.end, max_length, length);
      if (limit >= sentence.end) break;
      // White space right behind the limit is as good a place as one before it.
      const bool at_space = is_white_space(code_point_at(text, limit).value);
      const size_t cut = at_space ? limit : best_cut(text, sentence.begin, limit);
      result.push_back(Splitter::trim(text, sentence.begin, cut));
      sentence = Splitter::trim(text, cut, sentence.end);
    }
    result.push_back(sentence);
  }
  return result;
}

}  // namespace attend
