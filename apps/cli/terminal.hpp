// Text as a terminal shows it.
#pragma once

#include <attend/base/options.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace attend::cli {

/// When to write colours: automatic = on a terminal, unless NO_COLOR is set (https://no-color.org) or TERM is dumb.
enum class ColorMode : uint8_t { automatic, always, never };
constexpr auto enum_names(ColorMode) {
  return std::to_array<EnumName<ColorMode>>(
      {{ColorMode::automatic, "auto"}, {ColorMode::always, "always"}, {ColorMode::never, "never"}});
}

enum class Colors : uint8_t { none, palette256, rgb };
/// What standard output may get.
Colors colors_of_output(ColorMode mode);

/// Columns of the terminal on standard output (or COLUMNS); 100 where there is none.
int terminal_columns();

/// Columns that valid UTF-8 takes: 2 for a wide character (Hangul), 0 for a combining one.
int display_width(std::string_view text);

/// Exactly `columns` columns: cut with "…" or filled with spaces.
std::string fitted(std::string_view text, int columns);

/// Without control characters and broken UTF-8, which would act on the terminal or break a line.
std::string printable(std::string_view text);

/// The escape sequence for a background between dark (0) and bright (1); empty for Colors::none.
std::string heat(Colors colors, float strength);
/// Ends what heat() began.
std::string_view end_of_color(Colors colors);

}  // namespace attend::cli
