// One layer of a Transformer: attention, attention to the encoder, feed-forward, each with residual and norm.
#pragma once

#include <attend/nn/attention.hpp>

#include <optional>

namespace attend {

/// The axes along which layers of different families differ.
struct BlockConfig {
  int64_t width = 512;  ///< d_model
  int64_t heads = 8;
  int64_t hidden = 2048;  ///< d_ff
  Activation activation = Activation::relu;
  NormOptions norm;
  bool pre_norm = false;  ///< x + f(norm(x)) instead of the paper's norm(x + f(x))
  bool causal = false;
  bool cross = false;  ///< attends to an encoder's output
  float dropout = 0;   ///< of each sub-layer's output (section 5.4)
  float attention_dropout = 0;
  float activation_dropout = 0;
  bool operator==(const BlockConfig& other) const;
};

struct TransformerBlock {
  BlockConfig config;
  MultiHeadAttention attention;
  Norm attention_norm;
  std::optional<MultiHeadAttention> cross;
  std::optional<Norm> cross_norm;
  FeedForward ffn;
  Norm ffn_norm;

  TransformerBlock() = default;
  TransformerBlock(const BlockConfig& config, int64_t layer);

  /// x [tokens, width] → [tokens, width]. `memory` and `sources` are read only with config.cross.
  Tensor operator()(Pass& pass, const Tensor& x, const Sequences& sequences, const Tensor& memory,
                    const Sequences& sources) const;

  /// Every matrix of the block (for packing).
  void for_each_linear(auto&& f) {
    for (MultiHeadAttention* part : {&attention, cross ? &*cross : nullptr})
      if (part)
        for (Linear* linear : {&part->query, &part->key, &part->value, &part->out}) f(*linear);
    f(ffn.up);
    f(ffn.down);
  }

  static void fields(auto& self, auto&& f) {
    f("attention", self.attention);
    f("attention_norm", self.attention_norm);
    f("cross", self.cross);
    f("cross_norm", self.cross_norm);
    f("ffn", self.ffn);
    f("ffn_norm", self.ffn_norm);
  }
};

}  // namespace attend
