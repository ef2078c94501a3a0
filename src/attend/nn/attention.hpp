// Multi-head attention (section 3.2.2 of the paper):
//   MultiHead(Q,K,V) = Concat(head_1, …, head_h)·W_O,   head_i = Attention(x·W_Qi, m·W_Ki, m·W_Vi)
#pragma once

#include <attend/nn/layers.hpp>

namespace attend {

struct MultiHeadAttention {
  Linear query, key, value, out;
  int64_t heads = 1;
  float dropout = 0;  ///< of the attention weights
  int64_t layer = 0;  ///< which layer of a Cache this is

  MultiHeadAttention() = default;
  MultiHeadAttention(int64_t width, int64_t heads, float dropout, int64_t layer)
      : query(width, width),
        key(width, width),
        value(width, width),
        out(width, width),
        heads(heads),
        dropout(dropout),
        layer(layer) {}

  /// Each sequence attends to itself: x [tokens, width] → [tokens, width]. With a cache: to its past as well.
  Tensor self(Pass& pass, const Tensor& x, const Sequences& sequences, bool causal) const;
  /// Sequence s of x attends to sequence s of `memory` (encoder output). With a cache: to what remember() kept.
  Tensor cross(Pass& pass, const Tensor& x, const Sequences& sequences, const Tensor& memory,
               const Sequences& sources) const;
  /// Writes keys and values of the source sequences into the cache: sequence s for slots[s].
  void remember(Cache& cache, std::span<const int> slots, const Tensor& memory) const;

  static void fields(auto& self, auto&& f) {
    f("query", self.query);
    f("key", self.key);
    f("value", self.value);
    f("out", self.out);
  }

 private:
  Tensor attend(Pass& pass, const Tensor& x, const Sequences& sequences, const Tensor& memory, const Sequences& sources,
                bool causal) const;
  Tensor attend_cached(Pass& pass, const Tensor& x, const Sequences& sequences, bool source) const;
};

}  // namespace attend
