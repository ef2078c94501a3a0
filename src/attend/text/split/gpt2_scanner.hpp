// GPT-2's split pattern without a regular-expression engine.
#pragma once

#include <string_view>

#include "attend/base/unicode.hpp"

namespace attend {

/// The pattern that scan_gpt2 implements (openai/gpt-2, encoder.py).
inline constexpr std::string_view gpt2_pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

namespace gpt2 {

enum class Kind : unsigned char { letter, number, space, other };

inline Kind kind_of(char32_t c) noexcept {
  if (is_letter(c)) return Kind::letter;
  if (is_number(c)) return Kind::number;
  return is_white_space(c) ? Kind::space : Kind::other;
}

inline Kind kind_of_ascii(unsigned char c) noexcept {
  if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') return Kind::letter;
  if (c >= '0' && c <= '9') return Kind::number;
  return c == ' ' || (c >= 9 && c <= 13) ? Kind::space : Kind::other;
}

struct Unit {
  Kind kind;
  int length;
};

inline Unit unit_at(std::string_view text, size_t at) noexcept {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte < 0x80) return {kind_of_ascii(byte), 1};
  const CodePoint c = code_point_at(text, at);
  if (c.value >= 0xAC00 && c.value <= 0xD7A3) return {Kind::letter, 3};
  return {kind_of(c.value), c.length};  // bytes that are not UTF-8 count as symbols
}

/// Length of the contraction ('s 't 're 've 'm 'll 'd) at an apostrophe, or 0.
inline size_t contraction_at(std::string_view text, size_t at) noexcept {
  if (at + 1 >= text.size()) return 0;
  const char a = text[at + 1];
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if (at + 2 >= text.size()) return 0;
  const char b = text[at + 2];
  return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

}  // namespace gpt2

/// Calls emit(begin, end) for every piece; the pieces cover the text.
template <class Emit>
void scan_gpt2(std::string_view text, Emit&& emit) {
  using gpt2::Kind;
  const size_t size = text.size();
  for (size_t begin = 0; begin < size;) {
    if (text[begin] == '\'') {
      if (const size_t length = gpt2::contraction_at(text, begin)) {
        emit(begin, begin + length);
        begin += length;
        continue;
      }
    }
    gpt2::Unit unit = gpt2::unit_at(text, begin);
    size_t end = begin + unit.length;
    if (text[begin] == ' ' && end < size) {
      const gpt2::Unit next = gpt2::unit_at(text, end);
      if (next.kind != Kind::space) {  // one space belongs to the word behind it
        unit = next;
        end += next.length;
      }
    }
    int last = unit.length;
    while (end < size) {
      const gpt2::Unit next = gpt2::unit_at(text, end);
      if (next.kind != unit.kind) break;
      end += next.length;
      last = next.length;
    }
    // White space before a word leaves its last character to it.
    if (unit.kind == Kind::space && end < size && end - begin > static_cast<size_t>(last)) end -= last;
    emit(begin, end);
    begin = end;
  }
}

}  // namespace attend
