#include "op_case.hpp"

#include <attend/tensor/random.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

namespace attend::testing {
namespace {

using reference::Matrix;

struct CrossEntropyRow {
  int64_t rows, vocab;
  float smoothing = 0;
  double ignored = 0;  // share of the targets
  bool mean = true;
  double count = 0;
  int64_t width = 0;  // of x: 0 = logits are given
  bool bias = true, packed = false, x_tracked = true, weight_tracked = true;
};

Case row_of(const CrossEntropyRow& p) {
  Case row;
  const bool projected = p.width > 0;
  row.name = fmt::format("{} [{}, {}] width {} smoothing {} ignored {}{} count {}{}{}{}{}",
                         projected ? "linear_cross_entropy" : "cross_entropy", p.rows, p.vocab, p.width, p.smoothing,
                         p.ignored, p.mean ? "" : " sum", p.count, p.bias ? "" : " no bias", p.packed ? " packed" : "",
                         p.x_tracked ? "" : " x untracked", p.weight_tracked ? "" : " W untracked");
  const uint64_t key = Random{5, 0}.key(row.name);
  std::vector<int32_t> targets;
  for (uint64_t i = 0; i < static_cast<uint64_t>(p.rows); ++i)
    targets.push_back(Random::uniform(key, 2 * i) < p.ignored
                          ? -100
                          : static_cast<int32_t>(Random::uniform(key, 2 * i + 1) * static_cast<double>(p.vocab)));
  const double counted = static_cast<double>(p.rows - std::count(targets.begin(), targets.end(), -100));
  const double divisor = !p.mean ? 1 : p.count > 0 ? p.count : std::max(counted, 1.0);
  const CrossEntropyOptions options{.label_smoothing = p.smoothing, .mean = p.mean, .count = p.count};

  auto loss_of = [=](const Matrix& logits) -> Vectors {
    const Vector losses = reference::cross_entropy(logits, targets, static_cast<double>(p.smoothing), -100);
    double sum = 0;
    for (double loss : losses) sum += loss;
    return {{sum / divisor}, losses};
  };
  if (!projected) {
    row.inputs = {{{p.rows, p.vocab}, true, 3}};
    row.run = [=](const Tensors& t) -> Tensors {
      Tensor losses;
      const Tensor loss = cross_entropy(t[0], Tensor::from({p.rows}, targets), options, &losses);
      return {loss, losses};
    };
    row.twin = [=](const Vectors& v) { return loss_of(Matrix(p.rows, p.vocab, v[0])); };
  } else {
    row.inputs = {{{p.rows, p.width}, p.x_tracked}, {{p.vocab, p.width}, p.weight_tracked}};
    if (p.bias) row.inputs.push_back({{p.vocab}, p.weight_tracked});
    row.run = [=](const Tensors& t) -> Tensors {
      Weight weight(t[1]);
      if (p.packed) weight.pack();
      return {linear_cross_entropy(t[0], weight, p.bias ? t[2] : Tensor{}, Tensor::from({p.rows}, targets), options)};
    };
    row.twin = [=](const Vectors& v) -> Vectors {
      const Matrix logits = reference::linear(Matrix(p.rows, p.width, v[0]), Matrix(p.vocab, p.width, v[1]),
                                              p.bias ? v[2] : Vector{}, Activation::none);
      return {loss_of(logits)[0]};
    };
  }
  row.terms = static_cast<double>(std::max(p.rows, p.vocab));
  row.floor = (projected ? std::sqrt(static_cast<double>(p.width)) : 1) / divisor;
  if (p.rows * p.vocab > 100000) row.samples = 6;
  return row;
}

}  // namespace

std::vector<Case> cross_entropy_cases() {
  const CrossEntropyRow table[] = {
      {0, 4},
      {1, 1},
      {1, 2},
      {5, 7},
      {9, 33, 0.1f},
      {9, 33, 0.1f, 0.4},
      {9, 33, 0, 1},
      {3, 1000},
      {3, 1000, 0.2f, 0.3, false},
      {12, 17, 0.1f, 0.2, true, 40},
      {70, 50, 0.1f},
      // through the projection
      {0, 4, 0, 0, true, 0, 3},
      {1, 1, 0, 0, true, 0, 1},
      {3, 5, 0, 0, true, 0, 4},
      {7, 19, 0.1f, 0.3, true, 0, 9},
      {7, 19, 0.1f, 0.3, false, 0, 9, false},
      {7, 19, 0, 0, true, 30, 9, true, true},
      {7, 19, 0, 1, true, 0, 9},
      {7, 19, 0, 0, true, 0, 9, true, false, false, true},
      {7, 19, 0, 0, true, 0, 9, true, false, true, false},
      {7, 19, 0, 0, true, 0, 9, true, false, false, false},
      {1030, 5, 0.1f, 0.1, true, 0, 2},    // two slices, 546 rows and the rest
      {530, 8200, 0.1f, 0.1, true, 0, 1},  // more logits than one slice holds
      {65, 8200, 0, 0, true, 0, 4, false, true},
  };
  std::vector<Case> rows;
  for (const CrossEntropyRow& p : table) rows.push_back(row_of(p));
  return rows;
}

TEST_CASE("cross_entropy, linear_cross_entropy") {
  for (const Case& row : cross_entropy_cases()) check(row);
}

}  // namespace attend::testing
