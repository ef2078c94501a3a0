#include <attend/base/near_name.hpp>

#include <fmt/format.h>

#include <algorithm>

namespace attend {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> steps(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      size_t& best = steps[i][j];
      if (i == 0 || j == 0) {
        best = i + j;
        continue;
      }
      best = std::min({steps[i - 1][j] + 1, steps[i][j - 1] + 1, steps[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        best = std::min(best, steps[i - 2][j - 2] + 1);
    }
  }
  return steps.back().back();
}

std::string suggestion(std::string_view wrong, const std::vector<std::string>& candidates) {
  if (wrong.size() > 64) return {};
  const std::string* nearest = nullptr;
  size_t distance = std::max<size_t>(1, wrong.size() / 3) + 1;
  for (const auto& candidate : candidates) {
    const size_t steps = edit_distance(wrong, candidate);
    if (steps < distance) {
      distance = steps;
      nearest = &candidate;
    }
  }
  return nearest ? fmt::format("; did you mean \"{}\"?", *nearest) : "";
}

}  // namespace attend
