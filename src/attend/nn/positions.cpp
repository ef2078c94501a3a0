#include <attend/base/error.hpp>
#include <attend/nn/positions.hpp>

#include <cmath>

namespace attend {

Tensor sinusoids(PositionKind kind, int64_t length, int64_t width) {
  const bool halves = kind == PositionKind::sinusoidal_halves;
  if (!halves && kind != PositionKind::sinusoidal_interleaved)
    fail<ConfigError>("sinusoids: this kind of positions has no formula");
  Tensor table({length, width});
  float* row = table.data<float>();
  const int64_t sines = (width + 1) / 2;
  for (int64_t position = 0; position < length; ++position, row += width)
    for (int64_t j = 0; j < width; ++j) {
      const int64_t i = j / 2;  // the pair of (2i, 2i+1)
      const double angle =
          static_cast<double>(position) / std::pow(10000.0, 2.0 * static_cast<double>(i) / static_cast<double>(width));
      const double value = j % 2 == 0 ? std::sin(angle) : std::cos(angle);
      row[halves ? (j % 2 == 0 ? i : sines + i) : j] = static_cast<float>(value);
    }
  return table;
}

}  // namespace attend
