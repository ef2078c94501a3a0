#include <attend/base/error.hpp>
#include <attend/generate/transformer_decoder.hpp>
#include <attend/tensor/tape.hpp>

#include <numeric>

namespace attend {

TransformerDecoder::TransformerDecoder(const Transformer& model, Probe* probe)
    : model_(model), probe_(probe), cache_(model.make_cache()) {
  if (model.config().decoder.layers == 0) fail<Unsupported>("generate: this model has no decoder");
}

std::vector<int> TransformerDecoder::encode(const std::vector<std::vector<int32_t>>& sources) {
  if (model_.config().encoder.layers == 0) fail<Unsupported>("generate: this model has no encoder to read a source");
  if (sources.empty()) return {};
  NoTape no_tape;
  Pass pass;
  pass.probe = probe_;
  const Tokens tokens = Tokens::of(sources);
  return model_.remember(cache_, model_.encode(pass, tokens), tokens.sequences);
}

void TransformerDecoder::append(int slot, std::span<const int32_t> tokens) {
  if (tokens.empty()) return;
  NoTape no_tape;
  const int64_t count = std::ssize(tokens);
  decode(tokens, {&slot, 1}, {&count, 1});
}

int64_t TransformerDecoder::max_length() const {
  const int64_t length = model_.config().max_length;
  return length > 0 ? length : StepModel::max_length();
}

Tensor TransformerDecoder::step(std::span<const int32_t> tokens, std::span<const int> slots) {
  NoTape no_tape;
  return model_.logits(decode(tokens, slots, std::vector<int64_t>(slots.size(), 1)));
}

Tensor TransformerDecoder::decode(std::span<const int32_t> tokens, std::span<const int> slots,
                                  std::span<const int64_t> counts) {
  Tokens batch{Tensor::from(Shape{std::ssize(tokens)}, tokens), Sequences::of(counts)};
  int32_t* position = batch.sequences.positions.data<int32_t>();
  for (size_t i = 0; i < slots.size(); ++i) {
    const int64_t past = cache_.length(slots[i]);
    if (past + counts[i] > max_length())
      fail<ShapeError>("generate: a sequence of {} tokens is beyond the model's {}", past + counts[i], max_length());
    std::iota(position, position + counts[i], static_cast<int32_t>(past));
    position += counts[i];
  }
  Pass pass;
  pass.cache = &cache_;
  pass.probe = probe_;
  cache_.begin(slots, counts);
  return model_.decode(pass, batch, {}, {});
}

}  // namespace attend
