#include "op_case.hpp"

#include <doctest/doctest.h>

namespace attend::testing {
namespace {

using reference::Matrix;

struct NormRow {
  int64_t rows, width;
  NormKind kind = NormKind::layer;
  bool weight = true, bias = true;
  float epsilon = 1e-5f;
  double offset = 0;  // mean of x: the variance is a small difference of large numbers
};

Vector optional_input(const Vectors& v, bool present, size_t index) { return present ? v[index] : Vector{}; }
Tensor optional_input(const Tensors& t, bool present, size_t index) { return present ? t[index] : Tensor{}; }

Case norm_row(const NormRow& p) {
  Case row;
  const bool rms = p.kind == NormKind::rms;
  row.name = fmt::format("{} [{}, {}]{}{} ε {} offset {}", rms ? "RMSNorm" : "LayerNorm", p.rows, p.width,
                         p.weight ? "" : " no weight", p.bias ? "" : " no bias", p.epsilon, p.offset);
  row.inputs = {{{p.rows, p.width}, true, 1, p.offset}};
  if (p.weight) row.inputs.push_back({{p.width}, true, 0.2, 1});
  if (p.bias) row.inputs.push_back({{p.width}});
  const size_t bias_at = p.weight ? 2 : 1;
  row.run = [=](const Tensors& t) -> Tensors {
    return {norm(t[0], optional_input(t, p.weight, 1), optional_input(t, p.bias, bias_at), {p.kind, p.epsilon})};
  };
  row.twin = [=](const Vectors& v) -> Vectors {
    return {reference::norm(Matrix(p.rows, p.width, v[0]), optional_input(v, p.weight, 1),
                            optional_input(v, p.bias, bias_at), rms, static_cast<double>(p.epsilon))
                .values};
  };
  row.terms = static_cast<double>(std::max(p.rows, p.width));
  row.floor = 1 + p.offset;
  return row;
}

enum Reads { both, sum_only, normed_only };

struct AddNormRow {
  int64_t rows, width;
  NormKind kind = NormKind::layer;
  float dropout = 0;
  Reads reads = both;
  bool residual_tracked = true, x_tracked = true;
};

Case add_norm_row(const AddNormRow& p) {
  Case row;
  const bool rms = p.kind == NormKind::rms;
  row.name = fmt::format("add_norm {} [{}, {}] dropout {} reads {}{}{}", rms ? "rms" : "layer", p.rows, p.width,
                         p.dropout, static_cast<int>(p.reads), p.residual_tracked ? "" : " residual untracked",
                         p.x_tracked ? "" : " x untracked");
  row.inputs = {{{p.rows, p.width}, p.residual_tracked}, {{p.rows, p.width}, p.x_tracked}, {{p.width}, true, 0.2, 1}};
  if (!rms) row.inputs.push_back({{p.width}});
  row.in_loss = {p.reads != normed_only, p.reads != sum_only};
  if (p.reads == sum_only) row.has_none = {false, false, true, true};
  const Dropout dropout{p.dropout, 0x1234567890abcdefu};
  row.run = [=](const Tensors& t) -> Tensors {
    const NormedSum result = add_norm(t[0], t[1], t[2], rms ? Tensor{} : t[3], {.kind = p.kind}, dropout);
    return {result.sum, result.normed};
  };
  row.twin = [=](const Vectors& v) -> Vectors {
    const Matrix residual(p.rows, p.width, v[0]);
    const Matrix sum = reference::add(&residual, Matrix(p.rows, p.width, v[1]), dropout);
    return {sum.values, reference::norm(sum, v[2], rms ? Vector{} : v[3], rms, 1e-5f).values};
  };
  row.terms = static_cast<double>(std::max(p.rows, p.width));
  return row;
}

Case add_row(int64_t rows, int64_t width, float probability, bool with_residual) {
  Case row;
  row.name = fmt::format("{} [{}, {}] dropout {}", with_residual ? "add" : "dropout", rows, width, probability);
  row.inputs = {{{rows, width}}};
  if (with_residual) row.inputs.push_back({{rows, width}});
  const Dropout dropout{probability, 99};
  row.run = [=](const Tensors& t) -> Tensors {
    return {with_residual ? add(t[1], t[0], dropout) : attend::dropout(t[0], dropout)};
  };
  row.twin = [=](const Vectors& v) -> Vectors {
    if (!with_residual) return {reference::add(nullptr, Matrix(rows, width, v[0]), dropout).values};
    const Matrix residual(rows, width, v[1]);
    return {reference::add(&residual, Matrix(rows, width, v[0]), dropout).values};
  };
  return row;
}

}  // namespace

std::vector<Case> norm_cases() {
  std::vector<Case> rows;
  for (NormKind kind : {NormKind::layer, NormKind::rms}) {
    const bool bias = kind == NormKind::layer;
    for (auto [count, width] : {std::pair{0, 8}, {2, 0}, {1, 1}, {1, 2}, {3, 5}, {4, 16}, {70, 33}, {3, 1000}})
      rows.push_back(norm_row({count, width, kind, true, bias}));
    rows.push_back(norm_row({4, 19, kind, false, false}));
    rows.push_back(norm_row({4, 19, kind, true, false}));
    rows.push_back(norm_row({4, 19, kind, true, bias, 1e-12f}));
    rows.push_back(norm_row({4, 19, kind, true, bias, 0.1f}));
    rows.push_back(norm_row({4, 40, kind, true, bias, 1e-5f, 30}));
    for (float p : {0.0f, 0.3f})
      for (Reads reads : {both, sum_only, normed_only}) rows.push_back(add_norm_row({5, 17, kind, p, reads}));
    rows.push_back(add_norm_row({0, 4, kind}));
    rows.push_back(add_norm_row({6, 9, kind, 0.5f, both, false, true}));
    rows.push_back(add_norm_row({6, 9, kind, 0.5f, both, true, false}));
    rows.push_back(add_norm_row({130, 64, kind, 0.1f}));
  }
  rows.push_back(norm_row({4, 19, NormKind::layer, false, true}));
  for (auto [count, width] : {std::pair{0, 3}, {1, 1}, {5, 7}, {40, 33}})
    for (float p : {0.0f, 0.1f, 0.9f})
      for (bool residual : {false, true}) rows.push_back(add_row(count, width, p, residual));
  return rows;
}

TEST_CASE("norm, add_norm, add, dropout") {
  for (const Case& row : norm_cases()) check(row);
}

}  // namespace attend::testing
