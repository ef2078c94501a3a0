#include "attend/text/byte_level.hpp"

#include "attend/base/unicode.hpp"

namespace attend {
namespace {

constexpr bool stands_for_itself(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

constexpr std::array<char16_t, 256> make_characters() {
  std::array<char16_t, 256> characters{};
  char16_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte)
    characters[byte] = stands_for_itself(byte) ? static_cast<char16_t>(byte) : next++;
  return characters;
}

constexpr int first_unused = 0x100 + 68;

constexpr std::array<int16_t, first_unused> make_bytes() {
  std::array<int16_t, first_unused> bytes{};
  for (auto& byte : bytes) byte = -1;
  constexpr auto characters = make_characters();
  for (int byte = 0; byte < 256; ++byte) bytes[characters[byte]] = static_cast<int16_t>(byte);
  return bytes;
}

constexpr std::array<int16_t, first_unused> byte_of_character = make_bytes();

}  // namespace

constinit const std::array<char16_t, 256> byte_level_characters = make_characters();

void append_byte_level(std::string& out, std::string_view bytes) {
  for (const char byte : bytes) append_utf8(out, byte_level_characters[static_cast<unsigned char>(byte)]);
}

void append_from_byte_level(std::string& out, std::string_view token) {
  const size_t before = out.size();
  for (size_t i = 0; i < token.size();) {
    const CodePoint c = code_point_at(token, i);
    const int byte = c.value < first_unused ? byte_of_character[c.value] : -1;
    if (byte < 0) {
      out.resize(before);
      out.append(token);
      return;
    }
    out += static_cast<char>(byte);
    i += c.length;
  }
}

}  // namespace attend
