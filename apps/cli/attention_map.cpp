#include "attention_map.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace attend::cli {
namespace {

constexpr int widest_label = 14, narrowest_cell = 3;

std::string number(float weight) {
  const std::string text = fmt::format("{:.2f}", weight);  // 0.42
  return text.starts_with("0") ? text.substr(1) : text.substr(0, 3);
}

int width_of_column(const std::string& label) { return std::clamp(display_width(label), narrowest_cell, widest_label); }

}  // namespace

std::string attention_map(const Tensor& weights, const std::vector<std::string>& rows,
                          const std::vector<std::string>& columns, Colors colors, int width) {
  int margin = 0;
  for (const std::string& row : rows) margin = std::max(margin, std::min(display_width(row), widest_label));
  std::string text;
  for (size_t begin = 0; begin < columns.size();) {
    size_t end = begin;
    for (int used = margin; end < columns.size(); ++end) {
      used += 1 + width_of_column(columns[end]);
      if (used > width && end > begin) break;
    }
    if (begin > 0) text += '\n';
    text.append(static_cast<size_t>(margin), ' ');
    for (size_t j = begin; j < end; ++j) text += ' ' + fitted(columns[j], width_of_column(columns[j]));
    text += '\n';
    for (size_t i = 0; i < rows.size(); ++i) {
      text += fitted(rows[i], margin);
      for (size_t j = begin; j < end; ++j) {
        const float weight = weights.data<float>()[i * columns.size() + j];
        const int cell = width_of_column(columns[j]);
        text += ' ';
        if (colors == Colors::none)
          text += fmt::format("{:>{}}", number(weight), cell);
        else  // the root shows small weights too
          text += fmt::format("{}{:{}}{}", heat(colors, std::sqrt(weight)), "", cell, end_of_color(colors));
      }
      text += '\n';
    }
    begin = end;
  }
  return text;
}

}  // namespace attend::cli
