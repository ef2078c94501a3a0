// The edge between padded batches [batch, length], as files and other frameworks have them, and packed sequences.
#pragma once

#include <attend/nn/pass.hpp>

namespace attend {

class PaddedBatch {
 public:
  /// ids i64 or i32 [batch, length]; mask of the same shape (not 0 = real) or undefined (all real). A token keeps its
  /// column as its position. Throws ShapeError naming `what`.
  PaddedBatch(const Tensor& ids, const Tensor& mask, const char* what);

  int64_t batch() const noexcept { return batch_; }
  int64_t length() const noexcept { return length_; }
  const Tensor& ids() const noexcept { return ids_; }  ///< i32 [tokens]
  const Sequences& sequences() const noexcept { return sequences_; }

  /// The values of a padded integer tensor [batch, length] at the real places: i32 [tokens].
  Tensor pack(const Tensor& padded) const;
  /// f32 [tokens, width] → [batch, length, width], 0 where nothing is real.
  Tensor unpack(const Tensor& packed) const;
  /// Attention weights as a Probe gives them → [batch, heads, query length, key length].
  static Tensor unpack_weights(const Tensor& weights, const PaddedBatch& queries, const PaddedBatch& keys);

 private:
  int64_t count(int64_t row) const;
  int64_t column(int64_t row, int64_t i) const;

  int64_t batch_, length_;
  std::vector<int64_t> places_;  // of each real token in [batch · length]
  Tensor ids_;
  Sequences sequences_;
};

}  // namespace attend
