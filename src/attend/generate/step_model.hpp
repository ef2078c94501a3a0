// What generation needs of a model: append tokens to sequences, get the scores of the next ones.
#pragma once

#include <attend/tensor/tensor.hpp>

#include <cstdint>
#include <limits>
#include <span>

namespace attend {

/// A decoder with its state by sequence slot. The searches of generate.hpp see models through this alone.
class StepModel {
 public:
  virtual ~StepModel() = default;

  /// Number of scores per token.
  virtual int64_t vocab() const = 0;

  /// The longest sequence (prompt included) the model has positions for.
  virtual int64_t max_length() const { return std::numeric_limits<int64_t>::max(); }

  /// Appends tokens[i] to the sequence slots[i] (no slot twice) and returns the logits of what follows each, f32
  /// [tokens, vocab] on the host, in the order given. The caller may overwrite the returned tensor.
  virtual Tensor step(std::span<const int32_t> tokens, std::span<const int> slots) = 0;

  /// A new slot with a copy of the state of `slot`, cheap (pages shared until written).
  virtual int fork(int slot) = 0;

  /// Gives a slot back.
  virtual void free(int slot) noexcept = 0;
};

}  // namespace attend
