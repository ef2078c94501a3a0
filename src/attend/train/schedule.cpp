#include <attend/train/schedule.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace attend {

double Schedule::operator()(int64_t step) const {
  const auto s = static_cast<double>(step), w = static_cast<double>(warmup), n = static_cast<double>(steps);
  if (kind == ScheduleKind::noam) {
    const double rising = warmup > 0 ? (s + 1) * std::pow(w, -1.5) : HUGE_VAL;
    return std::pow(static_cast<double>(width), -0.5) * std::min(std::pow(s + 1, -0.5), rising);
  }
  if (kind == ScheduleKind::constant) return 1;
  if (step < warmup) return s / w;
  const double left = std::max(n - w, 1.0);
  switch (kind) {
    case ScheduleKind::linear:
      return std::max(0.0, (n - s) / left);
    case ScheduleKind::cosine:
      return 0.5 * (1 + std::cos(std::numbers::pi * std::min(1.0, (s - w) / left)));
    default:
      return std::sqrt(std::max(w, 1.0) / std::max(s, 1.0));
  }
}

}  // namespace attend
