#include "terminal.hpp"

#include <attend/base/unicode.hpp>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace attend::cli {
namespace {

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

int width_of(char32_t c) { return std::max(0, utf8proc_charwidth(static_cast<utf8proc_int32_t>(c))); }

}  // namespace

Colors colors_of_output(ColorMode mode) {
  if (mode == ColorMode::never) return Colors::none;
  const std::string_view term = environment("TERM"), depth = environment("COLORTERM");
  if (mode == ColorMode::automatic &&
      (!isatty(STDOUT_FILENO) || !environment("NO_COLOR").empty() || term.empty() || term == "dumb"))
    return Colors::none;
  return depth == "truecolor" || depth == "24bit" ? Colors::rgb : Colors::palette256;
}

int terminal_columns() {
  constexpr int fewest = 20, most = 1000, usual = 100;
  const int columns = std::atoi(std::string(environment("COLUMNS")).c_str());
  if (columns >= fewest) return std::min(columns, most);
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= fewest) return std::min<int>(size.ws_col, most);
  return usual;
}

int display_width(std::string_view text) {
  int width = 0;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = code_point_at(text, at);
    width += width_of(c.value);
    at += static_cast<size_t>(c.length);
  }
  return width;
}

std::string fitted(std::string_view text, int columns) {
  int width = display_width(text);
  std::string result(text);
  if (width > columns) {
    result.clear();
    width = 0;
    for (size_t at = 0; at < text.size();) {
      const CodePoint c = code_point_at(text, at);
      if (width + width_of(c.value) > columns - 1) break;
      result += text.substr(at, static_cast<size_t>(c.length));
      width += width_of(c.value);
      at += static_cast<size_t>(c.length);
    }
    result += "…";
    ++width;
  }
  return result.append(static_cast<size_t>(std::max(0, columns - width)), ' ');
}

std::string printable(std::string_view text) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = code_point_at(text, at);
    const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c.value));
    const bool harmful = category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
                         category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
    append_utf8(result, harmful ? U'·' : c.value);
    at += static_cast<size_t>(c.length);
  }
  return result;
}

std::string heat(Colors colors, float strength) {
  if (colors == Colors::none) return {};
  // From a dark violet over red to a light yellow, even steps to the eye.
  constexpr float stops[][3] = {{26, 22, 46}, {92, 24, 110}, {190, 55, 82}, {244, 140, 50}, {252, 240, 160}};
  const float place = std::clamp(strength, 0.0f, 1.0f) * (std::size(stops) - 1);
  const size_t below = std::min<size_t>(static_cast<size_t>(place), std::size(stops) - 2);
  std::array<int, 3> rgb{};
  for (size_t i = 0; i < 3; ++i)
    rgb[i] = static_cast<int>(
        std::lround(std::lerp(stops[below][i], stops[below + 1][i], place - static_cast<float>(below))));
  if (colors == Colors::rgb) return fmt::format("\x1b[48;2;{};{};{}m", rgb[0], rgb[1], rgb[2]);
  const auto level = [](int value) { return value < 48 ? 0 : value < 115 ? 1 : (value - 35) / 40; };
  return fmt::format("\x1b[48;5;{}m", 16 + 36 * level(rgb[0]) + 6 * level(rgb[1]) + level(rgb[2]));
}

std::string_view end_of_color(Colors colors) { return colors == Colors::none ? "" : "\x1b[0m"; }

}  // namespace attend::cli
