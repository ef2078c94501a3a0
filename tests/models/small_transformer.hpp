// The shape of a small encoder–decoder with every dropout on, for tests to change where they need another one.
#pragma once

#include <attend/models/transformer.hpp>

namespace attend::testing {

inline TransformerConfig small_transformer(bool pre_norm, int64_t layers = 2, int32_t vocab = 50) {
  TransformerConfig c;
  c.model_type = "vanilla_transformer";
  c.vocab = c.source_vocab = vocab;
  c.width = 24;
  c.max_length = 64;
  c.encoder.layers = layers;
  c.encoder.block = {.width = 24,
                     .heads = 3,
                     .hidden = 40,
                     .pre_norm = pre_norm,
                     .dropout = 0.1f,
                     .attention_dropout = 0.2f,
                     .activation_dropout = 0.3f};
  c.encoder.final_norm = pre_norm;
  c.embedding_dropout = 0.1f;
  c.decoder = c.encoder;
  c.decoder.block.causal = c.decoder.block.cross = true;
  c.pad = c.decoder_start = vocab - 1;
  c.eos = {0};
  return c;
}

}  // namespace attend::testing
