// Attention(Q,K,V) = softmax(QKᵀ/√dₖ)V     (Vaswani et al. 2017, equation 1)
#pragma once

#include <attend/ops/dropout.hpp>

namespace attend {

struct AttentionOptions {
  int64_t heads = 1;
  int64_t key_heads = 0;  ///< heads of K and V; 0 = heads. Fewer: grouped-query attention
  bool causal = false;    ///< aligned to the end: query i of Tq sees keys ≤ i + Tk - Tq
  float scale = 0;        ///< 0 = 1/√dₖ
  float softcap = 0;      ///< c·tanh(score/c); 0 = off
  Tensor bias;            ///< f32 [sequences|1, heads|1, Tq, Tk] added to the scores (no gradient), or undefined
  Tensor mask;            ///< bool, same shape rule, true = may attend; or undefined
  Dropout dropout;        ///< of the weights
};

struct AttentionResult {
  Tensor out;  ///< [query tokens, heads·d_v]
  Tensor lse;  ///< [heads, query tokens]: log-sum-exp of each row of scores, which is all that is kept of them
};

/// Multi-head attention over packed sequences: sequence s has the query rows [q_offsets[s], q_offsets[s+1]) and the
/// key rows [k_offsets[s], k_offsets[s+1]) (i32 [sequences+1]; checked on the host, taken as they are on a device).
///   q [query tokens, heads·dₖ], k [key tokens, key_heads·dₖ], v [key tokens, key_heads·d_v].
/// The score matrix is never stored. A query without any allowed key gives 0.
/// Backward, with P the weights and D = rowsum(dO∘O):  dV = Pᵀ·dO,  dS = P∘(dO·Vᵀ - D),  dQ = scale·dS·K,  dK =
/// scale·dSᵀ·Q.
AttentionResult attention(const Tensor& q, const Tensor& k, const Tensor& v, Tensor q_offsets, Tensor k_offsets,
                          const AttentionOptions& options);

/// The weights of one sequence [heads, Tq, Tk], recomputed from Q, K and lse (for those who want to look).
Tensor attention_weights(const Tensor& q, const Tensor& k, const Tensor& lse, Tensor q_offsets, Tensor k_offsets,
                         const AttentionOptions& options, int64_t sequence);

}  // namespace attend
