#include "op_case.hpp"

#include <attend/tensor/random.hpp>

#include <doctest/doctest.h>

namespace attend::testing {
namespace {

using reference::Matrix;

struct EmbeddingRow {
  int64_t tokens, vocab, width;
  bool positions = false;
  float scale = 1;
  int32_t frozen_id = -1;
  bool table_tracked = true;
};

Case row_of(const EmbeddingRow& p) {
  Case row;
  row.name =
      fmt::format("embedding {} tokens of [{}, {}]{} × {} frozen {}{}", p.tokens, p.vocab, p.width,
                  p.positions ? " + positions" : "", p.scale, p.frozen_id, p.table_tracked ? "" : " table untracked");
  const int64_t length = 9;
  row.inputs = {{{p.vocab, p.width}, p.table_tracked}};
  if (p.positions) row.inputs.push_back({{length, p.width}});
  std::vector<int32_t> ids, positions;
  const uint64_t key = Random{1, 2}.key(row.name);
  for (int64_t i = 0; i < p.tokens; ++i) {
    ids.push_back(static_cast<int32_t>(Random::uniform(key, static_cast<uint64_t>(i)) * static_cast<double>(p.vocab)));
    positions.push_back(static_cast<int32_t>((i * 5) % length));
  }
  row.run = [=](const Tensors& t) -> Tensors {
    const Tensor position_ids = p.positions ? Tensor::from({p.tokens}, positions).to(t[0].device()) : Tensor{};
    return {embedding(Tensor::from({p.tokens}, ids).to(t[0].device()), t[0], p.positions ? t[1] : Tensor{},
                      position_ids, {.scale = p.scale, .frozen_id = p.frozen_id})};
  };
  row.twin = [=](const Vectors& v) -> Vectors {
    const Matrix table(p.vocab, p.width, v[0]);
    if (!p.positions) return {reference::embedding(ids, table, p.scale).values};
    const Matrix position_table(length, p.width, v[1]);
    return {reference::embedding(ids, table, p.scale, positions, &position_table).values};
  };
  row.frozen = [=](size_t input, int64_t element) { return input == 0 && element / p.width == p.frozen_id; };
  row.terms = static_cast<double>(p.tokens);
  row.samples = 200;
  return row;
}

}  // namespace

std::vector<Case> embedding_cases() {
  const EmbeddingRow table[] = {
      {1, 1, 1},
      {0, 4, 5},
      {3, 2, 0},
      {7, 5, 8},
      {50, 7, 33, false, 5.744562646538029f},
      {50, 7, 33, true, 5.744562646538029f, 3},
      {20, 3, 16, true},
      {20, 3, 16, true, 2, 0},
      {5, 40, 130, true, 1.5f, -1, false},
      {300, 11, 4, false, 1, 10},
  };
  std::vector<Case> rows;
  for (const EmbeddingRow& p : table) rows.push_back(row_of(p));
  return rows;
}

TEST_CASE("embedding") {
  for (const Case& row : embedding_cases()) check(row);
}

}  // namespace attend::testing
