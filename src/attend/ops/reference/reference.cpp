#include <attend/ops/reference/reference.hpp>

#include <algorithm>
#include <cmath>

namespace attend::reference {

Matrix::Matrix(int64_t row_count, int64_t column_count, Vector elements)
    : rows(row_count), columns(column_count), values(std::move(elements)) {}

Matrix::Matrix(int64_t row_count, int64_t column_count, double value)
    : Matrix(row_count, column_count, Vector(static_cast<size_t>(row_count * column_count), value)) {}

double activation(kernels::Activation kind, double x) {
  using kernels::Activation;
  const double pi = std::acos(-1.0);
  switch (kind) {
    case Activation::none:
      return x;
    case Activation::relu:
      return std::max(x, 0.0);
    case Activation::gelu:
      return x * 0.5 * std::erfc(-x / std::sqrt(2.0));
    case Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / pi) * (x + 0.044715 * x * x * x)));
    case Activation::silu:
      return x / (1 + std::exp(-x));
    case Activation::quick_gelu:
      return x / (1 + std::exp(-1.702 * x));
    case Activation::tanh:
      return std::tanh(x);
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::relu2:
      return x > 0 ? x * x : 0;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

Matrix linear(const Matrix& x, const Matrix& weight, const Vector& bias, kernels::Activation kind) {
  Matrix y(x.rows, weight.rows);
  for (int64_t i = 0; i < x.rows; ++i)
    for (int64_t o = 0; o < weight.rows; ++o) {
      double z = bias.empty() ? 0 : bias[static_cast<size_t>(o)];
      for (int64_t j = 0; j < x.columns; ++j) z += x(i, j) * weight(o, j);
      y(i, o) = activation(kind, z);
    }
  return y;
}

Matrix embedding(const std::vector<int32_t>& ids, const Matrix& table, double scale,
                 const std::vector<int32_t>& position_ids, const Matrix* positions) {
  Matrix y(static_cast<int64_t>(ids.size()), table.columns);
  for (int64_t i = 0; i < y.rows; ++i)
    for (int64_t j = 0; j < y.columns; ++j) {
      y(i, j) = scale * table(ids[static_cast<size_t>(i)], j);
      if (positions) y(i, j) += (*positions)(position_ids[static_cast<size_t>(i)], j);
    }
  return y;
}

// The mask of kernels/cpu/dropout_mask.hpp: element = block·2^20 + lane. (key, block) gives two seeds, which are mixed
// with the lane into 24 bits; an element survives if they are at least p·2^24.
double dropout_factor(const kernels::Dropout& dropout, uint64_t element) {
  if (dropout.probability == 0) return 1;
  const uint64_t block = element >> 20;
  const uint32_t lane = element & 0xfffff;
  uint64_t z = dropout.key + (block + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z = z ^ (z >> 31);
  uint32_t h = (lane + static_cast<uint32_t>(z)) * 0x9e3779b1u;
  h = (h ^ (h >> 15) ^ static_cast<uint32_t>(z >> 32)) * 0x85ebca6bu;
  h = (h ^ (h >> 13)) * 0xc2b2ae35u;
  const uint32_t bits = (h ^ (h >> 16)) >> 8;
  const double p = dropout.probability;
  return bits >= std::floor(p * 0x1p24 + 0.5) ? 1 / (1 - p) : 0;
}

Matrix add(const Matrix* residual, const Matrix& x, const kernels::Dropout& dropout) {
  Matrix sum(x.rows, x.columns);
  for (size_t i = 0; i < x.values.size(); ++i)
    sum.values[i] = (residual ? residual->values[i] : 0) + x.values[i] * dropout_factor(dropout, i);
  return sum;
}

Matrix norm(const Matrix& x, const Vector& weight, const Vector& bias, bool rms, double epsilon) {
  Matrix y(x.rows, x.columns);
  const double width = static_cast<double>(x.columns);
  for (int64_t i = 0; i < x.rows; ++i) {
    double mean = 0, variance = 0;
    for (int64_t j = 0; j < x.columns; ++j) mean += x(i, j) / width;
    if (rms) mean = 0;
    for (int64_t j = 0; j < x.columns; ++j) variance += (x(i, j) - mean) * (x(i, j) - mean) / width;
    for (int64_t j = 0; j < x.columns; ++j) {
      y(i, j) = (x(i, j) - mean) / std::sqrt(variance + epsilon);
      if (!weight.empty()) y(i, j) *= weight[static_cast<size_t>(j)];
      if (!bias.empty()) y(i, j) += bias[static_cast<size_t>(j)];
    }
  }
  return y;
}

double log_sum_exp(const double* x, int64_t count) {
  double largest = -std::numeric_limits<double>::infinity();
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, x[i]);
  if (std::isinf(largest)) return largest;
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += std::exp(x[i] - largest);
  return largest + std::log(sum);
}

Vector cross_entropy(const Matrix& logits, const std::vector<int32_t>& targets, double label_smoothing,
                     int32_t ignore) {
  Vector losses(static_cast<size_t>(logits.rows));
  for (int64_t i = 0; i < logits.rows; ++i) {
    const int32_t target = targets[static_cast<size_t>(i)];
    if (target == ignore) continue;
    const double lse = log_sum_exp(&logits.values[static_cast<size_t>(i * logits.columns)], logits.columns);
    double mean = 0;
    for (int64_t j = 0; j < logits.columns; ++j) mean += logits(i, j) / static_cast<double>(logits.columns);
    losses[static_cast<size_t>(i)] = (1 - label_smoothing) * (lse - logits(i, target)) + label_smoothing * (lse - mean);
  }
  return losses;
}

double central_difference(const std::function<double()>& f, double& x, double step) {
  const double before = x;
  x = before + step;
  const double above = f();
  x = before - step;
  const double below = f();
  x = before;
  return (above - below) / (2 * step);
}

}  // namespace attend::reference
