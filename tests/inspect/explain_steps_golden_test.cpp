// Attention step by step against golden/attention/hand.json.
#include "golden.hpp"

#include <attend/base/json.hpp>
#include <attend/inspect/attention_steps.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

using namespace attend;

namespace {

Matrix matrix_of(const nlohmann::json& rows) {
  if (rows.at(0).is_number()) return matrix_of(nlohmann::json::array({rows}));
  Matrix matrix(std::ssize(rows), std::ssize(rows[0]));
  matrix.values.clear();
  for (const auto& row : rows)
    for (const auto& value : row) matrix.values.push_back(value.get<double>());
  return matrix;
}

void check_equal(const Matrix& actual, const nlohmann::json& expected) {
  const Matrix wanted = matrix_of(expected);
  REQUIRE(actual.rows == wanted.rows);
  REQUIRE(actual.columns == wanted.columns);
  for (size_t i = 0; i < wanted.values.size(); ++i) {
    CAPTURE(i);
    CHECK(std::abs(actual.values[i] - wanted.values[i]) <= 1e-12 * std::max(1.0, std::abs(wanted.values[i])));
  }
}

}  // namespace

TEST_CASE("hand.json: the notes' vector in both conventions and a sequence of four, causal too") {
  const auto hand = read_json(attend::testing::golden_folder() / "attention" / "hand.json");
  const Matrix x = matrix_of(hand["x"]);
  for (const auto& [name, w] : {std::pair{"q", "Wq"}, {"k", "Wk"}, {"v", "Wv"}}) {
    CAPTURE(name);
    const Matrix matrix = matrix_of(hand[w]);
    check_equal(multiply(x, matrix), hand[std::string(name) + "_row"]);
    check_equal(transposed(multiply(matrix, transposed(x))), hand[std::string(name) + "_col"]);
  }
  const AttentionSteps one =
      attention_steps(matrix_of(hand["q_row"]), matrix_of(hand["k_row"]), matrix_of(hand["v_row"]));
  check_equal(one.products, nlohmann::json::array({hand["q_dot_k_row"]}));
  check_equal(one.scores, nlohmann::json::array({hand["score_row"]}));

  const auto& seq = hand["seq"];
  const Matrix inputs = matrix_of(seq["X"]);
  const Matrix q = multiply(inputs, matrix_of(seq["Wq"])), k = multiply(inputs, matrix_of(seq["Wk"])),
               v = multiply(inputs, matrix_of(seq["Wv"]));
  check_equal(q, seq["q"]);
  check_equal(k, seq["k"]);
  check_equal(v, seq["v"]);
  const AttentionSteps steps = attention_steps(q, k, v), causal = attention_steps(q, k, v, true);
  check_equal(steps.scores, seq["scores"]);
  check_equal(steps.weights, seq["probs"]);
  check_equal(steps.out, seq["out"]);
  check_equal(causal.weights, seq["causal_probs"]);
  check_equal(causal.out, seq["causal_out"]);
}
