// Where a token stands: sinusoids (section 3.5 of the paper).
//   PE(pos, 2i) = sin(pos / 10000^(2i/width)),   PE(pos, 2i+1) = cos(pos / 10000^(2i/width))
#pragma once

#include <attend/tensor/tensor.hpp>

namespace attend {

enum class PositionKind : uint8_t {
  none,
  sinusoidal_interleaved,  ///< sin and cos in turn, as the paper writes it
  sinusoidal_halves,       ///< all sines, then all cosines (Marian, tensor2tensor)
  learned,                 ///< a trained table
};

/// The sinusoids of positions [0, length) as f32 [length, width].
Tensor sinusoids(PositionKind kind, int64_t length, int64_t width);

}  // namespace attend
