// How the learning rate moves with the steps.
#pragma once

#include <attend/base/options.hpp>

namespace attend {

enum class ScheduleKind : uint8_t { constant, linear, cosine, inverse_sqrt, noam };

constexpr auto enum_names(ScheduleKind) {
  return std::to_array<EnumName<ScheduleKind>>({{ScheduleKind::constant, "constant"},
                                                {ScheduleKind::linear, "linear"},
                                                {ScheduleKind::cosine, "cosine"},
                                                {ScheduleKind::inverse_sqrt, "inverse_sqrt"},
                                                {ScheduleKind::noam, "noam"}});
}

/// The factor on the learning rate at `step` (from 0), with w warm-up steps of N in all:
///   constant      1
///   linear        s/w, then (N-s)/(N-w)
///   cosine        s/w, then ½(1 + cos(π(s-w)/(N-w)))
///   inverse_sqrt  s/w, then √(w/s)
///   noam          width^-½ · min((s+1)^-½, (s+1)·w^-1½)         (equation 3 of the paper)
struct Schedule {
  ScheduleKind kind = ScheduleKind::inverse_sqrt;
  int64_t warmup = 0;
  int64_t steps = 1;
  int64_t width = 512;  ///< of the model, for noam

  double operator()(int64_t step) const;
};

}  // namespace attend
