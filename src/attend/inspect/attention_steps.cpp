#include <attend/base/error.hpp>
#include <attend/inspect/attention_steps.hpp>

#include <charconv>
#include <cmath>
#include <limits>

namespace attend {

Matrix multiply(const Matrix& a, const Matrix& b) {
  if (a.columns != b.rows)
    fail<ShapeError>("multiply: [{}, {}] does not fit [{}, {}]", a.rows, a.columns, b.rows, b.columns);
  Matrix product(a.rows, b.columns);
  for (int64_t i = 0; i < a.rows; ++i)
    for (int64_t j = 0; j < b.columns; ++j)
      for (int64_t d = 0; d < a.columns; ++d) product(i, j) += a(i, d) * b(d, j);
  return product;
}

Matrix transposed(const Matrix& a) {
  Matrix result(a.columns, a.rows);
  for (int64_t i = 0; i < a.rows; ++i)
    for (int64_t j = 0; j < a.columns; ++j) result(j, i) = a(i, j);
  return result;
}

AttentionSteps attention_steps(Matrix q, Matrix k, Matrix v, bool causal) {
  if (q.columns != k.columns || k.rows != v.rows || q.columns == 0)
    fail<ShapeError>("attention: Q [{}, {}], K [{}, {}] and V [{}, {}] do not fit each other", q.rows, q.columns,
                     k.rows, k.columns, v.rows, v.columns);
  constexpr double forbidden = -std::numeric_limits<double>::infinity();
  const double root = std::sqrt(static_cast<double>(q.columns));
  Matrix products = multiply(q, transposed(k));
  Matrix scores = products, weights(q.rows, k.rows);
  for (int64_t i = 0; i < q.rows; ++i) {
    double largest = forbidden, sum = 0;
    for (int64_t j = 0; j < k.rows; ++j) {
      scores(i, j) = causal && j > i + k.rows - q.rows ? forbidden : scores(i, j) / root;
      largest = std::max(largest, scores(i, j));
    }
    if (largest == forbidden) continue;
    for (int64_t j = 0; j < k.rows; ++j) sum += weights(i, j) = std::exp(scores(i, j) - largest);
    for (int64_t j = 0; j < k.rows; ++j) weights(i, j) /= sum;
  }
  Matrix out = multiply(weights, v);
  return {std::move(q),      std::move(k),       std::move(v),  std::move(products),
          std::move(scores), std::move(weights), std::move(out)};
}

Matrix parse_matrix(std::string_view text, std::string_view where) {
  constexpr int64_t most = 32;
  constexpr std::string_view between_numbers = ", \t", example = "such as \"1,2,3; 4,5,6\"";
  Matrix matrix(0, 0);
  for (size_t at = 0; at <= text.size(); ++matrix.rows) {
    const size_t row_end = std::min(text.find(';', at), text.size());
    int64_t columns = 0;
    while ((at = std::min(text.find_first_not_of(between_numbers, at), row_end)) < row_end) {
      const std::string_view word = text.substr(at, std::min(text.find_first_of(between_numbers, at), row_end) - at);
      double value = 0;
      const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
      if (error != std::errc() || end != word.data() + word.size() || !std::isfinite(value))
        fail<ConfigError>("{}: \"{}\" is not a number in a matrix {}", where, word, example);
      matrix.values.push_back(value);
      ++columns;
      at += word.size();
      if (columns > most || matrix.rows >= most) fail<ConfigError>("{}: more than {} rows or columns", where, most);
    }
    if (columns == 0) fail<ConfigError>("{}: a row without numbers; write a matrix {}", where, example);
    if (matrix.rows > 0 && columns != matrix.columns)
      fail<ConfigError>("{}: row {} has {} numbers and the first {}", where, matrix.rows + 1, columns, matrix.columns);
    matrix.columns = columns;
    at = row_end + 1;
  }
  return matrix;
}

}  // namespace attend
