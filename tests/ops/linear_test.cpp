#include "op_case.hpp"

#include <doctest/doctest.h>

#include <cmath>

namespace attend::testing {
namespace {

using reference::Matrix;

struct Linear {
  Shape x;
  int64_t out;
  bool bias = true;
  Activation activation = Activation::none;
  bool packed = false;
  bool x_tracked = true, weight_tracked = true;
};

const char* name_of(Activation activation) {
  constexpr const char* names[] = {"none",       "relu", "gelu",    "gelu_tanh", "silu",
                                   "quick_gelu", "tanh", "sigmoid", "relu2"};
  return names[static_cast<int>(activation)];
}

Case row_of(const Linear& p) {
  const int64_t rows = p.x.rows(), in = p.x.last(), out = p.out;
  Case row;
  row.name =
      fmt::format("linear x {} W [{}, {}] {}{}{}{}{}", p.x, out, in, name_of(p.activation), p.bias ? "" : " no bias",
                  p.packed ? " packed" : "", p.x_tracked ? "" : " x untracked", p.weight_tracked ? "" : " W untracked");
  const double deviation = 1 / std::sqrt(static_cast<double>(std::max<int64_t>(in, 1)));
  row.inputs = {{p.x, p.x_tracked}, {{out, in}, p.weight_tracked, deviation}};
  if (p.bias) row.inputs.push_back({{out}, p.weight_tracked});
  row.run = [p](const Tensors& t) -> Tensors {
    Weight weight(t[1]);
    if (p.packed) weight.pack();
    return {linear(t[0], weight, p.bias ? t[2] : Tensor{}, p.activation)};
  };
  row.twin = [p, rows, in, out](const Vectors& v) -> Vectors {
    return {reference::linear(Matrix(rows, in, v[0]), Matrix(out, in, v[1]), p.bias ? v[2] : Vector{}, p.activation)
                .values};
  };
  row.terms = static_cast<double>(std::max({rows, in, out}));
  if (rows * in * out > 100000) row.samples = 8;
  return row;
}

}  // namespace

std::vector<Case> linear_cases() {
  std::vector<Linear> table = {
      {{1, 1}, 1},    {{0, 5}, 3},        {{3, 0}, 2},    {{2, 3}, 0},         {{1, 7}, 5},
      {{5, 16}, 16},  {{7, 33}, 17},      {{13, 64}, 48}, {{33, 17}, 65},      {{70, 129}, 31},
      {{2, 3, 5}, 4}, {{6, 8}, 9, false}, {{1, 100}, 37}, {{130, 300}, 257},   {{3, 1030}, 5},
      {{1030, 3}, 2}, {{4}, 6},           {{40, 24}, 1},  {{9, 20}, 33, true}, {{0, 4}, 3, false, Activation::gelu},
  };
  for (int a = 0; a <= static_cast<int>(Activation::relu2); ++a) {
    table.push_back({{7, 5}, 19, true, static_cast<Activation>(a)});
    table.push_back({{3, 4}, 6, false, static_cast<Activation>(a), true});
  }
  table.push_back({{5, 33}, 40, true, Activation::none, true});
  table.push_back({{130, 70}, 90, true, Activation::relu, true});
  table.push_back({{6, 7}, 5, true, Activation::gelu, false, false, true});
  table.push_back({{6, 7}, 5, true, Activation::none, false, true, false});
  table.push_back({{6, 7}, 5, true, Activation::none, false, false, false});
  std::vector<Case> rows;
  for (const Linear& p : table) rows.push_back(row_of(p));
  return rows;
}

TEST_CASE("linear") {
  for (const Case& row : linear_cases()) check(row);
}

}  // namespace attend::testing
