#include <attend/train/schedule.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

using namespace attend;

TEST_CASE("schedules follow their formulas") {
  constexpr int64_t warmup = 4, steps = 20, width = 64;
  constexpr double w = warmup, n = steps;
  for (int64_t step = 0; step < steps; ++step) {
    CAPTURE(step);
    const auto s = static_cast<double>(step);
    const auto value = [&](ScheduleKind kind) {
      return doctest::Approx(Schedule{.kind = kind, .warmup = warmup, .steps = steps, .width = width}(step))
          .epsilon(1e-12);
    };
    const bool rising = step < warmup;
    CHECK(1.0 == value(ScheduleKind::constant));
    CHECK((rising ? s / w : (n - s) / (n - w)) == value(ScheduleKind::linear));
    CHECK((rising ? s / w : 0.5 * (1 + std::cos(std::numbers::pi * (s - w) / (n - w)))) == value(ScheduleKind::cosine));
    CHECK((rising ? s / w : std::sqrt(w / s)) == value(ScheduleKind::inverse_sqrt));
    CHECK(std::min(1 / std::sqrt(s + 1), (s + 1) / (w * std::sqrt(w))) / std::sqrt(double{width}) ==
          value(ScheduleKind::noam));
  }
}

TEST_CASE("schedules stay finite and not negative at their edges") {
  for (const auto& entry : enum_names(ScheduleKind{}))
    for (int64_t warmup : {0, 1, 10})
      for (int64_t steps : {1, 10})
        for (int64_t step : {0, 1, 9, 10, 1000}) {
          CAPTURE(entry.name);
          CAPTURE(warmup);
          CAPTURE(steps);
          CAPTURE(step);
          const double value = Schedule{.kind = entry.value, .warmup = warmup, .steps = steps, .width = 16}(step);
          CHECK(std::isfinite(value));
          CHECK(value >= 0);
          CHECK(value <= 1);
        }
}
