// GPT-2's reversible mapping of bytes to printable characters (openai/gpt-2, encoder.py): printable Latin-1 bytes stand
// for themselves, the other 68 for U+0100 onwards, so that any bytes can be written as readable vocabulary entries.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace attend {

/// The code point of each byte.
extern const std::array<char16_t, 256> byte_level_characters;

/// Appends the UTF-8 of each byte's character.
void append_byte_level(std::string& out, std::string_view bytes);

/// Appends the bytes that `token` stands for; a token with any other character stands for its own UTF-8.
void append_from_byte_level(std::string& out, std::string_view token);

}  // namespace attend
