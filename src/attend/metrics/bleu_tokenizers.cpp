#include "attend/metrics/bleu_tokenizers.hpp"

#include <algorithm>
#include <cstdint>

#include "attend/base/unicode.hpp"
#include "attend/metrics/words.hpp"

namespace attend {
namespace {

struct Range {
  char32_t first, last;
};

// What sacreBLEU's zh tokenizer sets apart. U+2001–U+2A6D and U+2F81–U+2FA1 stand where it means the planes beyond the
// basic one: its escapes for U+20000 and U+2F800 read as four digits and a character, and scores follow from that.
constexpr Range chinese_ranges[] = {{0x2001, 0x2A6D}, {0x2E80, 0x2EFF}, {0x2F00, 0x2FDF}, {0x2FF0, 0x303F},
                                    {0x3100, 0x312F}, {0x31A0, 0x31BF}, {0x31C0, 0x31EF}, {0x3200, 0x33FF},
                                    {0x3400, 0x4DB5}, {0x4E00, 0x9FBB}, {0xF900, 0xFA2D}, {0xFA30, 0xFA6A},
                                    {0xFA70, 0xFAD9}, {0xFE10, 0xFE1F}, {0xFE30, 0xFE4F}, {0xFF00, 0xFFEF}};

bool is_chinese(char32_t c) {
  return std::ranges::any_of(chinese_ranges, [c](Range range) { return c >= range.first && c <= range.last; });
}

bool is_digit(char32_t c) { return c >= '0' && c <= '9'; }
bool is_period_or_comma(char32_t c) { return c == '.' || c == ','; }

// ASCII punctuation and the space, but not ' - . ,
bool is_western_mark(char32_t c) {
  return (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') || c == '/' || (c >= ':' && c <= '@') ||
         (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

// Puts spaces around every character that `matches`.
template <class F>
std::u32string set_apart(std::u32string_view text, F matches) {
  std::u32string out;
  for (const char32_t c : text) {
    if (matches(c))
      out.append({U' ', c, U' '});
    else
      out += c;
  }
  return out;
}

// For every pair of neighbours that `matches`, from left to right and without overlap, puts spaces around one of them:
// the second ("a b ") or the first (" a b").
template <class F>
std::u32string split_pairs(std::u32string_view text, bool around_second, F matches) {
  std::u32string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i + 1 == text.size() || !matches(text[i], text[i + 1])) {
      out += text[i];
    } else {
      if (around_second)
        out.append({text[i], U' ', text[i + 1], U' '});
      else
        out.append({U' ', text[i], U' ', text[i + 1]});
      ++i;
    }
  }
  return out;
}

// Words with one space between them.
std::string joined(std::u32string_view text) {
  std::string out;
  bool space = false;
  for (const char32_t c : text) {
    if (is_separator(c)) {
      space = !out.empty();
      continue;
    }
    if (space) out += ' ';
    space = false;
    append_utf8(out, c);
  }
  return out;
}

// The language-dependent part of mteval-v13a.pl.
std::string split_western(std::u32string text) {
  text = set_apart(text, is_western_mark);
  text = split_pairs(text, true, [](char32_t a, char32_t b) { return !is_digit(a) && is_period_or_comma(b); });
  text = split_pairs(text, false, [](char32_t a, char32_t b) { return is_period_or_comma(a) && !is_digit(b); });
  text = split_pairs(text, true, [](char32_t a, char32_t b) { return is_digit(a) && b == '-'; });
  return joined(text);
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  std::string out;
  size_t start = 0;
  for (size_t found; (found = text.find(from, start)) != text.npos; start = found + from.size())
    out.append(text, start, found - start).append(to);
  text = out.append(text, start);
}

std::string tokenize_13a(std::string_view line) {
  std::string text(line);
  replace_all(text, "<skipped>", "");
  replace_all(text, "-\n", "");
  replace_all(text, "\n", " ");
  replace_all(text, "&quot;", "\"");
  replace_all(text, "&amp;", "&");
  replace_all(text, "&lt;", "<");
  replace_all(text, "&gt;", ">");
  return split_western(U' ' + characters_of(text) + U' ');
}

std::string tokenize_international(std::string_view line) {
  std::u32string text = characters_of(line);
  text = split_pairs(text, true, [](char32_t a, char32_t b) { return !is_number(a) && is_punctuation(b); });
  text = split_pairs(text, false, [](char32_t a, char32_t b) { return is_punctuation(a) && !is_number(b); });
  return joined(set_apart(text, is_symbol));
}

std::string tokenize_characters(std::string_view line) {
  std::string out;
  for (const char32_t c : characters_of(line)) {
    if (!out.empty()) out += ' ';
    append_utf8(out, c);
  }
  return out;
}

}  // namespace

std::string tokenize_for_bleu(BleuTokenizer tokenizer, std::string_view line) {
  switch (tokenizer) {
    case BleuTokenizer::mteval_13a:
      return tokenize_13a(line);
    case BleuTokenizer::international:
      return tokenize_international(line);
    case BleuTokenizer::characters:
      return tokenize_characters(line);
    case BleuTokenizer::chinese:
      return split_western(set_apart(characters_of(strip(line)), is_chinese));
    case BleuTokenizer::none:
      break;
  }
  return std::string(line);
}

}  // namespace attend
