// Attention(Q,K,V) = softmax(QKᵀ/√dₖ)V, step by step in double precision, with everything in between: for learners and
// for checking the fast operation (Vaswani et al. 2017, equation 1).
#pragma once

#include <attend/ops/reference/reference.hpp>

#include <string_view>

namespace attend {

using reference::Matrix;

/// a·b. Throws ShapeError where the columns of `a` are not the rows of `b`. A row vector times W is multiply(x, W).
Matrix multiply(const Matrix& a, const Matrix& b);
Matrix transposed(const Matrix& a);

/// One head's attention over one sequence.
struct AttentionSteps {
  Matrix q, k, v;   ///< [Tq, dₖ], [Tk, dₖ], [Tk, d_v]
  Matrix products;  ///< QKᵀ [Tq, Tk]
  Matrix scores;    ///< QKᵀ/√dₖ; -∞ where the causal mask forbids
  Matrix weights;   ///< softmax of each row of the scores
  Matrix out;       ///< weights·V [Tq, d_v]
};

/// Throws ShapeError where Q, K and V do not fit each other or there is nothing in them. Causal: query i of Tq sees
/// keys ≤ i + Tk - Tq; a query without any key gives weights and output 0.
AttentionSteps attention_steps(Matrix q, Matrix k, Matrix v, bool causal = false);

/// A matrix as people type it: numbers separated by commas or spaces, rows by semicolons, "1,2,3; 4,5,6". Throws
/// ConfigError "WHERE: …" for anything else, for rows of different lengths and for more than 32 rows or columns.
Matrix parse_matrix(std::string_view text, std::string_view where);

}  // namespace attend
