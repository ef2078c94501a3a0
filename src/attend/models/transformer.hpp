// The Transformer as one configurable model: stem + blocks + final norm + head, with an encoder, a decoder or both.
#pragma once

#include <attend/nn/cache.hpp>
#include <attend/nn/positions.hpp>
#include <attend/nn/transformer_block.hpp>
#include <attend/ops/cross_entropy.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace attend {

/// One side of the model: a stack of blocks.
struct StackConfig {
  int64_t layers = 0;  ///< 0 = the model has no such side
  BlockConfig block;   ///< of every layer
  bool final_norm = false;
};

struct TransformerConfig {
  std::string model_type;    ///< the family it came from and is written as
  int64_t source_vocab = 0;  ///< of the encoder
  int64_t vocab = 0;         ///< of the decoder and the head
  int64_t width = 512;
  int64_t max_length = 512;  ///< longest sequence the positions reach; 0 = no limit
  PositionKind positions = PositionKind::sinusoidal_interleaved;
  bool scale_embedding = true;  ///< times √width (section 3.4)
  float embedding_dropout = 0;
  bool share_embeddings = true;  ///< one table for source and target
  bool tie_head = true;          ///< the head's matrix is the target table
  bool head_bias = false;        ///< trained
  bool logits_bias = false;      ///< fixed, added to the logits (Marian's final_logits_bias)
  StackConfig encoder, decoder;
  int32_t pad = -1, bos = -1, decoder_start = -1;
  std::vector<int32_t> eos;
  bool frozen_pad_row = false;  ///< looking the padding token up gives its row no gradient

  /// Throws ConfigError naming the value that makes no sense.
  void validate() const;
};

/// Packed token sequences: ids i32 [tokens] and where they start and stand.
struct Tokens {
  Tensor ids;
  Sequences sequences;
  static Tokens of(const std::vector<std::vector<int32_t>>& sequences);
};

/// A stack of blocks with its final norm.
struct TransformerStack {
  std::vector<TransformerBlock> blocks;
  std::optional<Norm> final_norm;

  TransformerStack() = default;
  TransformerStack(const StackConfig& config, int64_t width);
  static void fields(auto& self, auto&& f) {
    f("blocks", self.blocks);
    f("final_norm", self.final_norm);
  }
};

class Transformer {
 public:
  /// Weights as of construction: matrices 0, norms 1. Call initialise() to train, or load().
  explicit Transformer(TransformerConfig config);
  Transformer(Transformer&&) = default;
  Transformer& operator=(Transformer&&) = default;

  const TransformerConfig& config() const noexcept { return config_; }

  /// Xavier-uniform matrices (smaller in what a block adds to its residual), embeddings N(0, 1/width), norms 1,
  /// biases 0; a function of the seed.
  void initialise(uint64_t seed);
  /// Marks all parameters as trainable (or not); packed weights are dropped, since they would go stale.
  void set_trainable(bool trainable);
  /// Packs all matrices for fast inference.
  void pack();
  int64_t parameter_count() const;

  /// Where the weights lie, and with them everything computed from them: tokens given on the host are brought there.
  Device device() const noexcept { return embedding_.tensor.device(); }
  /// Moves the weights; packed forms are dropped.
  void move_to(Device device);

  /// source → memory [tokens, width].
  Tensor encode(Pass& pass, const Tokens& source) const;
  /// target (decoder input) → hidden states [tokens, width]; with pass.cache only the new tokens are given.
  Tensor decode(Pass& pass, const Tokens& target, const Tensor& memory, const Sequences& sources) const;
  /// hidden states → logits [tokens, vocab].
  Tensor logits(const Tensor& hidden) const;
  /// Cross-entropy of `labels` i32 [target tokens] given source and decoder input.
  Tensor loss(Pass& pass, const Tokens& source, const Tokens& target, const Tensor& labels,
              const CrossEntropyOptions& options) const;

  /// A cache for generation, and slots in it that have read the source sequences.
  Cache make_cache() const;
  std::vector<int> remember(Cache& cache, const Tensor& memory, const Sequences& sources) const;

  /// "embedding" (or "source_embedding"), "encoder.blocks.0.attention.query.weight", …, "head.weight".
  static void fields(auto& self, auto&& f) {
    f("source_embedding", self.source_embedding_);
    f("embedding", self.embedding_);
    f("positions", self.positions_);
    f("encoder", self.encoder_);
    f("decoder", self.decoder_);
    f("head", self.head_);
    f("logits_bias", self.logits_bias_);
  }

 private:
  /// Every matrix that products use, the head's (or the tied table) included.
  template <class F>
  void for_each_matrix(F&& f);
  Tensor embed(Pass& pass, const Tokens& tokens, const Tensor& table) const;
  Tensor run(Pass& pass, const TransformerStack& stack, Tensor x, const Sequences& sequences, const Tensor& memory,
             const Sequences& sources) const;
  Tensor position_table(int64_t length) const;

  TransformerConfig config_;
  Tensor source_embedding_;  // undefined when shared
  Weight embedding_;         // a weight too: the tied head multiplies with it
  Tensor positions_;         // learned
  TransformerStack encoder_, decoder_;
  Linear head_;  // weight undefined when tied
  Tensor logits_bias_;
  mutable Tensor sinusoids_;  // as many positions as were needed so far
};

/// The names of all intermediates a Probe can read or edit in this model, in the order they come up.
std::vector<std::string> activation_names(const TransformerConfig& config);

}  // namespace attend
