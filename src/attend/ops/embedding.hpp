// y[i] = scale·E[id_i] + P[position_i]
#pragma once

#include <attend/tensor/tensor.hpp>

namespace attend {

struct EmbeddingOptions {
  float scale = 1;         ///< √width in the paper (section 3.4)
  int32_t frozen_id = -1;  ///< a row that gets no gradient (a padding row), or -1
};

/// Looks tokens up and adds their positions.
///   ids i32 [tokens], table f32 [vocab, width]; positions f32 [length, width] with position_ids i32 [tokens], or both
///   undefined → [tokens, width].
/// Backward: dE[id_i] += scale·dy[i];  dP[position_i] += dy[i].
/// Throws ShapeError if an id or position is outside its table (where they lie on a device: checked by who made them).
Tensor embedding(const Tensor& ids, const Tensor& table, const Tensor& positions = {}, const Tensor& position_ids = {},
                 const EmbeddingOptions& options = {});

}  // namespace attend
