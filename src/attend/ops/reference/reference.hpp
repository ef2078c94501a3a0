// The operations once more: in double precision, one plain loop per sum of the formula, no threads, no tricks.
// Slow on purpose. The tests hold the fast operations to these, and their gradients to central differences of these.
#pragma once

#include <attend/kernels/kernels.hpp>

#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

namespace attend::reference {

using Vector = std::vector<double>;

/// [rows, columns], row-major.
struct Matrix {
  int64_t rows = 0, columns = 0;
  Vector values;

  Matrix() = default;
  Matrix(int64_t row_count, int64_t column_count, Vector elements);
  /// Filled with one value.
  Matrix(int64_t row_count, int64_t column_count, double value = 0);

  double& operator()(int64_t i, int64_t j) { return values[static_cast<size_t>(i * columns + j)]; }
  double operator()(int64_t i, int64_t j) const { return values[static_cast<size_t>(i * columns + j)]; }
};

/// act(x)
double activation(kernels::Activation kind, double x);

/// y = act(x·Wᵀ + b);  W [out, in], bias [out] or empty.
Matrix linear(const Matrix& x, const Matrix& weight, const Vector& bias, kernels::Activation kind);

/// y[i] = scale·E[id_i] + P[position_i];  positions null: none.
Matrix embedding(const std::vector<int32_t>& ids, const Matrix& table, double scale,
                 const std::vector<int32_t>& position_ids = {}, const Matrix* positions = nullptr);

/// What dropout multiplies this element with: 0 or 1/(1-p).
double dropout_factor(const kernels::Dropout& dropout, uint64_t element);

/// residual + dropout(x);  residual null: none.
Matrix add(const Matrix* residual, const Matrix& x, const kernels::Dropout& dropout = {});

/// LayerNorm: (x - mean)/√(var + ε)·w + b.   RMSNorm: x/√(mean(x²) + ε)·w.   weight empty: 1, bias empty: 0.
Matrix norm(const Matrix& x, const Vector& weight, const Vector& bias, bool rms, double epsilon);

/// A [sequences|1, heads|1, Tq, Tk] array; a size of 1 is shared.
struct Scores {
  int64_t sequences = 0, heads = 0, queries = 0, keys = 0;
  Vector values;

  bool empty() const { return values.empty(); }
  double at(int64_t sequence, int64_t head, int64_t query, int64_t key) const;
};

struct AttentionOptions {
  std::vector<int32_t> q_offsets, k_offsets;  ///< [sequences + 1]
  int64_t heads = 1, key_heads = 1;
  bool causal = false;  ///< query i of Tq sees keys ≤ i + Tk - Tq
  double scale = 1;
  double softcap = 0;  ///< s → c·tanh(s/c); 0 = off
  Scores bias;         ///< added to the scores
  Scores mask;         ///< not 0 = may attend
  kernels::Dropout dropout;
};

struct AttentionResult {
  Matrix out;      ///< [query tokens, heads·d_v]
  Matrix lse;      ///< [heads, query tokens]; -∞ where no key is allowed
  Vector weights;  ///< before dropout, [heads, Tq, Tk] of every sequence, one after the other
};

/// softmax(scale·QKᵀ + bias)V for every sequence and head; a query without allowed keys gives 0.
AttentionResult attention(const Matrix& q, const Matrix& k, const Matrix& v, const AttentionOptions& options);

/// log Σ exp(x), safe for large values.
double log_sum_exp(const double* x, int64_t count);

/// (1-ε)·(lse - z[target]) + ε·(lse - mean(z)) of each row; 0 where target = ignore.
Vector cross_entropy(const Matrix& logits, const std::vector<int32_t>& targets, double label_smoothing, int32_t ignore);

/// d f / d x by central differences: (f(x+h) - f(x-h)) / 2h. `f` reads x; x is as before afterwards.
double central_difference(const std::function<double()>& f, double& x, double step = 1e-5);

}  // namespace attend::reference
