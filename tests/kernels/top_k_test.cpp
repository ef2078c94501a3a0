#include <limits>

#include "kernels/machines.hpp"

namespace attend::kernels::test {
namespace {

constexpr float kInfinite = std::numeric_limits<float>::infinity();

TEST_CASE("top_k finds the best of each row, the lower column among equals") {
  for (int64_t columns : {1, 3, 16, 37, 6000})
    for (int64_t k : {1, 4, 8, 50}) {
      const int64_t rows = 5, ld = columns + 2;
      Floats x = random_floats(rows * ld, 7, 8);
      for (size_t i = 0; i < x.size(); i += 3) x[i] = std::nearbyint(x[i]);  // many are equal
      x[0] = NAN, x[size_t(2 * ld)] = -kInfinite;
      std::fill_n(x.begin() + 3 * ld, ld, -kInfinite);
      const Floats shift{0, 1.5f, -2, 3, 0}, less{0, 4, 0.25f, 1, 0}, add{0, -7, 1e-3f, 0, 2};
      Floats expected;
      for (int64_t i = 0; i < rows; ++i) {
        std::vector<std::pair<float, int64_t>> all;
        for (int64_t j = 0; j < columns; ++j) {
          const float score = ((x[size_t(i * ld + j)] - shift[size_t(i)]) - less[size_t(i)]) + add[size_t(i)];
          if (score > -kInfinite) all.emplace_back(score, j);
        }
        std::stable_sort(all.begin(), all.end(), [](auto& a, auto& b) { return a.first > b.first; });
        all.resize(size_t(k), {-kInfinite, -1});
        for (const auto& [score, column] : all) expected.insert(expected.end(), {float(column), score});
      }
      INFO("columns " << columns << " k " << k);
      on_every_level(
          [&](KernelContext& context) {
            std::vector<int32_t> indices(size_t(rows * k), -7);
            Floats scores(size_t(rows * k)), out;
            context.table->top_k(context, {rows, columns, k, x.data(), ld, shift.data(), less.data(), add.data(),
                                           indices.data(), scores.data()});
            for (size_t i = 0; i < scores.size(); ++i) out.insert(out.end(), {float(indices[i]), scores[i]});
            return out;
          },
          [&](const Floats& out) { CHECK(out == expected); });
    }
}

TEST_CASE("log_sum_exp gives the log-probabilities of log-softmax") {
  for (int64_t columns : {1, 15, 64, 6001}) {
    const int64_t rows = 7;
    const Floats x = random_floats(rows * columns, 9, 20);
    for (const KernelTable* table : levels()) {
      KernelContext& context = machine(*table, 2);
      Floats expected(x.size()), y(x.size()), max(size_t{rows}), log_sum(size_t{rows});
      table->softmax(context, {rows, columns, x.data(), columns, expected.data(), columns, true});
      table->log_sum_exp(context, {rows, columns, x.data(), columns, max.data(), log_sum.data()});
      for (size_t i = 0; i < x.size(); ++i) {
        const size_t row = i / size_t(columns);
        y[i] = (x[i] - max[row]) - log_sum[row];
      }
      CHECK(same_bits(y, expected));
    }
  }
}

}  // namespace
}  // namespace attend::kernels::test
