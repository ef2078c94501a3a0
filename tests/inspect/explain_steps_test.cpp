// Attention step by step, matrices as people type them, and the small examples.
#include <attend/base/error.hpp>
#include <attend/inspect/explain_example.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace attend;

namespace {

using Values = std::vector<double>;

}  // namespace

TEST_CASE("the notes' numbers come out in both conventions") {
  const ProjectionExample notes = notes_example();
  const AttentionSteps steps = notes.attention();
  CHECK(steps.q.values == Values{30, 36, 42});
  CHECK(steps.k.values == Values{1, 2, 3});
  CHECK(steps.v.values == Values{14, 14, 14});
  CHECK(multiply(notes.w_v, transposed(notes.x)).values == Values{6, 12, 18});
  CHECK(multiply(notes.w_q, transposed(notes.x)).values == Values{14, 32, 50});
  CHECK(steps.products.values == Values{228});
  CHECK(steps.weights.values == Values{1});
  CHECK(steps.out.values == Values{14, 14, 14});
}

TEST_CASE("the sentence of three words: each number of one row by hand") {
  const SentenceExample s = sentence_example();
  REQUIRE(s.words.size() == 3);
  const AttentionSteps steps = attention_steps(s.q, s.k, s.v);
  const double a = std::exp(1), b = std::exp(2), c = std::exp(0.5), sum = a + b + c;  // scores 2, 4, 1 over √4
  for (int64_t j = 0; j < 3; ++j) {
    CHECK(steps.products(2, j) == Values{2, 4, 1}[static_cast<size_t>(j)]);
    CHECK(steps.scores(2, j) == Values{1, 2, 0.5}[static_cast<size_t>(j)]);
    CHECK(steps.weights(2, j) == doctest::Approx(Values{a, b, c}[static_cast<size_t>(j)] / sum).epsilon(1e-14));
  }
  for (int64_t d = 0; d < 4; ++d)
    CHECK(steps.out(2, d) == doctest::Approx((a * s.v(0, d) + b * s.v(1, d) + c * s.v(2, d)) / sum).epsilon(1e-14));
}

TEST_CASE("softmax of large scores, and of rows without keys") {
  const AttentionSteps large = attention_steps(Matrix(1, 1, {1000}), Matrix(2, 1, {1000, 999}), Matrix(2, 1, {1, 0}));
  CHECK(large.weights.values == Values{1, 0});
  CHECK(large.out.values == Values{1});
  // Two queries, one key, aligned to the end: the first query sees none.
  const AttentionSteps causal = attention_steps(Matrix(2, 1, {1, 1}), Matrix(1, 1, {1}), Matrix(1, 1, {5}), true);
  CHECK(causal.weights.values == Values{0, 1});
  CHECK(causal.out.values == Values{0, 5});
}

TEST_CASE("matrices that do not fit are refused") {
  CHECK_THROWS_WITH_AS(multiply(Matrix(1, 3), Matrix(2, 3)), "multiply: [1, 3] does not fit [2, 3]", ShapeError);
  CHECK_THROWS_WITH_AS(attention_steps(Matrix(2, 3), Matrix(2, 2), Matrix(2, 2)),
                       "attention: Q [2, 3], K [2, 2] and V [2, 2] do not fit each other", ShapeError);
  CHECK_THROWS_AS(attention_steps(Matrix(2, 3), Matrix(2, 3), Matrix(3, 3)), ShapeError);
  CHECK_THROWS_AS(attention_steps(Matrix(0, 0), Matrix(0, 0), Matrix(0, 0)), ShapeError);
  ProjectionExample example = notes_example();
  example.w_k = Matrix(2, 3);
  CHECK_THROWS_WITH_AS(example.check(), "explain: W_K has 2 rows, x has 3 numbers: they must be as many", ShapeError);
  example.w_k = Matrix(3, 2);
  CHECK_THROWS_WITH_AS(example.check(), "explain: W_Q has 3 columns and W_K 2: q and k must be as long", ShapeError);
}

TEST_CASE("matrices as people type them") {
  const Matrix m = parse_matrix(" 1,2 , 3;4 5\t-6e-1", "--wq");
  CHECK(m.rows == 2);
  CHECK(m.columns == 3);
  CHECK(m.values == Values{1, 2, 3, 4, 5, -0.6});
  CHECK(parse_matrix("7", "--x").values == Values{7});
  const auto error = [](const char* text) {
    try {
      parse_matrix(text, "--x");
    } catch (const ConfigError& e) {
      return std::string(e.what());
    }
    return std::string("none");
  };
  CHECK(error("1,b") == "--x: \"b\" is not a number in a matrix such as \"1,2,3; 4,5,6\"");
  CHECK(error("1,2;3") == "--x: row 2 has 1 numbers and the first 2");
  for (const char* empty : {"", " , ", ";", "1;", "1;;2"})
    CHECK(error(empty) == "--x: a row without numbers; write a matrix such as \"1,2,3; 4,5,6\"");
  for (const char* wrong : {"nan", "inf", "1e999", "0x10", "1 2x", "한"})
    CHECK(error(wrong).find("is not a number") != std::string::npos);
  std::string wide = "1", tall = "1";
  for (int i = 0; i < 31; ++i) wide += ",1", tall += ";1";
  CHECK(error(wide.c_str()) == "none");
  CHECK(error(tall.c_str()) == "none");
  CHECK(error((wide + ",1").c_str()) == "--x: more than 32 rows or columns");
  CHECK(error((tall + ";1").c_str()) == "--x: more than 32 rows or columns");
}
