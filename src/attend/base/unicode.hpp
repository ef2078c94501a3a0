// UTF-8 and the Unicode properties of code points (utf8proc, Unicode 15).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace attend {

/// One decoded code point. A byte that starts no valid sequence gives U+FFFD with valid = false and the length of the
/// maximal ill-formed prefix (1 to 3), which is what one U+FFFD stands for in the Unicode Standard, section 3.9.
struct CodePoint {
  char32_t value;
  int length;  ///< bytes
  bool valid;
};

/// The code point at text[position]; position < text.size().
inline CodePoint code_point_at(std::string_view text, size_t position) noexcept {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(position);
  if (lead < 0x80) return {lead, 1, true};
  constexpr CodePoint broken{0xFFFD, 1, false};
  if (lead < 0xC2 || lead > 0xF4) return broken;
  const int length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's range rules out overlong forms, surrogates and values beyond U+10FFFF.
  const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  char32_t value = lead & (0xFFu >> (length + 1));
  for (int i = 1; i < length; ++i) {
    if (position + i >= text.size()) return {0xFFFD, i, false};
    const unsigned next = byte(position + i);
    if (next < (i == 1 ? low : 0x80) || next > (i == 1 ? high : 0xBF)) return {0xFFFD, i, false};
    value = (value << 6) | (next & 0x3F);
  }
  return {value, length, true};
}

/// Start of the code point that ends at `position` (> 0): inside valid UTF-8 the previous character, otherwise a byte.
size_t previous_code_point(std::string_view text, size_t position) noexcept;

/// Appends `value` as UTF-8; surrogates and values beyond U+10FFFF become U+FFFD.
void append_utf8(std::string& text, char32_t value);

/// Number of code points; every ill-formed prefix counts as one.
int64_t count_code_points(std::string_view text) noexcept;

/// Position of the first byte that breaks UTF-8, or -1. Overlong forms, surrogates and values beyond U+10FFFF break it.
int64_t find_invalid_utf8(std::string_view text) noexcept;

/// Throws FormatError "WHERE: invalid UTF-8 at byte N (0xXX)" unless `text` is well-formed.
void require_utf8(std::string_view text, std::string_view where);

/// `text` with every ill-formed prefix replaced by U+FFFD.
std::string replace_invalid_utf8(std::string_view text);

/// General category as in the Unicode Character Database.
bool is_letter(char32_t c) noexcept;       ///< L*
bool is_number(char32_t c) noexcept;       ///< N*
bool is_mark(char32_t c) noexcept;         ///< M*
bool is_punctuation(char32_t c) noexcept;  ///< P*
bool is_symbol(char32_t c) noexcept;       ///< S*

/// White_Space.
bool is_white_space(char32_t c) noexcept;

/// \w of regular expressions: letters, marks, decimal and letter numbers, connector punctuation, joiners.
bool is_word(char32_t c) noexcept;

/// Simple case mappings (one code point to one).
char32_t to_lower(char32_t c) noexcept;
char32_t to_upper(char32_t c) noexcept;

}  // namespace attend
