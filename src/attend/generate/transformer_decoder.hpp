// The decoder of a Transformer, with its cache, as generation sees it.
#pragma once

#include <attend/generate/step_model.hpp>
#include <attend/models/transformer.hpp>

#include <cstdint>
#include <span>
#include <vector>

namespace attend {

class TransformerDecoder final : public StepModel {
 public:
  /// `model` must outlive this object, and so must `probe`: it sees every step of the decoder and every encode().
  explicit TransformerDecoder(const Transformer& model, Probe* probe = nullptr);

  /// Reads source sequences with the encoder: one slot each, ready for a prompt of one token. Throws ShapeError for
  /// sources beyond the model's length and Unsupported for a model without encoder.
  std::vector<int> encode(const std::vector<std::vector<int32_t>>& sources);
  /// A slot without source or past, for a model without encoder.
  int empty_slot() { return cache_.allocate(); }
  /// Appends tokens without computing what follows them: the beginning of a prompt of several tokens.
  void append(int slot, std::span<const int32_t> tokens);

  int64_t vocab() const override { return model_.config().vocab; }
  int64_t max_length() const override;
  Tensor step(std::span<const int32_t> tokens, std::span<const int> slots) override;
  int fork(int slot) override { return cache_.fork(slot); }
  void free(int slot) noexcept override { cache_.free(slot); }

 private:
  /// tokens = those of slots[0] (counts[0] of them), then of slots[1], …; the hidden states of all.
  Tensor decode(std::span<const int32_t> tokens, std::span<const int> slots, std::span<const int64_t> counts);

  const Transformer& model_;
  Probe* probe_;
  Cache cache_;
};

}  // namespace attend
