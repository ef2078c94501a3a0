#include "attend/base/unicode.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "attend/base/error.hpp"

using namespace attend;

TEST_CASE("every code point survives encoding and decoding") {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    append_utf8(text, c);
    const CodePoint decoded = code_point_at(text, 0);
    REQUIRE(decoded.valid);
    REQUIRE(decoded.value == c);
    REQUIRE(decoded.length == static_cast<int>(text.size()));
  }
}

TEST_CASE("surrogates and values beyond Unicode become U+FFFD") {
  for (const char32_t c : {char32_t{0xD800}, char32_t{0xDFFF}, char32_t{0x110000}}) {
    std::string text;
    append_utf8(text, c);
    CHECK(text == "\uFFFD");
  }
}

TEST_CASE("ill-formed bytes are found and replaced, one U+FFFD per maximal prefix") {
  struct Case {
    std::string text;
    int64_t position;
    std::string replaced;
  };
  const Case cases[] = {
      {"", -1, ""},
      {"한글 a", -1, "한글 a"},
      {"ab\x80", 2, "ab\uFFFD"},
      {"\xC0\xAF", 0, "\uFFFD\uFFFD"},                      // overlong
      {"\xE0\x80\x80", 0, "\uFFFD\uFFFD\uFFFD"},            // overlong
      {"\xED\xA0\x80", 0, "\uFFFD\uFFFD\uFFFD"},            // surrogate
      {"\xF4\x90\x80\x80", 0, "\uFFFD\uFFFD\uFFFD\uFFFD"},  // beyond U+10FFFF
      {"\xED\x95", 0, "\uFFFD"},                            // cut short
      {"\xF0\x9F\x98"
       "x",
       0, "\uFFFDx"},  // cut short by a letter
      {"\xF1\x80\x80\xE1\x80\xC2"
       "b",
       0,
       "\uFFFD\uFFFD\uFFFD"
       "b"},  // the standard's own example
      {"\xFF\xFE", 0, "\uFFFD\uFFFD"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text);
    CHECK(find_invalid_utf8(c.text) == c.position);
    CHECK(replace_invalid_utf8(c.text) == c.replaced);
  }
}

TEST_CASE("require_utf8 names place and byte") {
  CHECK_NOTHROW(require_utf8("안녕", "line 1"));
  CHECK_THROWS_WITH_AS(require_utf8("ab\xFF", "data.tsv:7"), "data.tsv:7: invalid UTF-8 at byte 2 (0xFF)", FormatError);
}

TEST_CASE("walking backwards visits the same characters") {
  const std::string text = "a한\xFF\xED\x95😀é";
  std::vector<size_t> forward, backward;
  for (size_t i = 0; i < text.size(); i += code_point_at(text, i).length) forward.push_back(i);
  for (size_t end = text.size(); end > 0; end = previous_code_point(text, end))
    backward.insert(backward.begin(), previous_code_point(text, end));
  // An ill-formed prefix of two bytes is one step forward and two steps back.
  CHECK(forward == std::vector<size_t>{0, 1, 4, 5, 7, 11});
  CHECK(backward == std::vector<size_t>{0, 1, 4, 5, 6, 7, 11});
  CHECK(count_code_points(text) == 6);
}

TEST_CASE("properties") {
  CHECK(is_letter(U'a'));
  CHECK(is_letter(U'가'));
  CHECK_FALSE(is_letter(U'1'));
  CHECK(is_number(U'½'));
  CHECK(is_mark(char32_t{0x301}));
  CHECK(is_punctuation(U'。'));
  CHECK(is_symbol(U'€'));
  CHECK(is_white_space(char32_t{0x3000}));
  CHECK_FALSE(is_white_space(char32_t{0x200B}));
  CHECK_FALSE(is_white_space(char32_t{0x180E}));
  CHECK(is_word(U'_'));
  CHECK_FALSE(is_word(U'-'));
  CHECK(to_lower(U'É') == U'é');
  CHECK(to_upper(U'é') == U'É');
}
