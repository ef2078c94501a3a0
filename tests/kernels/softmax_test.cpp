#include "kernels/machines.hpp"

namespace attend::kernels::test {
namespace {

Doubles exact_softmax(const float* x, int64_t columns, bool log) {
  double max = -INFINITY, total = 0;
  for (int64_t j = 0; j < columns; ++j) max = std::max(max, double(x[j]));
  for (int64_t j = 0; j < columns; ++j) total += std::exp(double(x[j]) - max);
  Doubles y;
  for (int64_t j = 0; j < columns; ++j)
    y.push_back(log ? double(x[j]) - max - std::log(total) : std::exp(double(x[j]) - max) / total);
  return y;
}

TEST_CASE("softmax and log-softmax, also in place and with -inf") {
  for (int64_t columns : {1, 2, 15, 16, 17, 64, 1000, 33000})
    for (bool log : {false, true}) {
      const int64_t rows = columns > 1000 ? 2 : 11, ld = columns + 1;
      Floats x = random_floats(rows * ld, 3, 12);
      if (columns > 2) x[1] = -INFINITY, x[0] = 300, x[size_t(ld)] = -500;
      Doubles expected;
      for (int64_t i = 0; i < rows; ++i) {
        const Doubles row = exact_softmax(x.data() + i * ld, columns, log);
        expected.insert(expected.end(), row.begin(), row.end());
      }
      INFO("columns " << columns << " log " << log);
      for (bool in_place : {false, true})
        on_every_level(
            [&](KernelContext& context) {
              Floats work = x, y(size_t(rows * columns), NAN), out;
              Softmax p{};
              p.rows = rows, p.columns = columns, p.x = work.data(), p.ldx = ld, p.log = log;
              p.y = in_place ? work.data() : y.data(), p.ldy = in_place ? ld : columns;
              context.table->softmax(context, p);
              for (int64_t i = 0; i < rows; ++i)
                for (int64_t j = 0; j < columns; ++j) out.push_back(p.y[i * p.ldy + j]);
              return out;
            },
            [&](const Floats& y) { CHECK(deviation(y, expected) < 4e-7); });
    }
}

// e^(x - 0) / (e^0 + e^(x - 0)) → isolates exp over its whole range, relative error.
TEST_CASE("the exponential is exact to 2e-7") {
  Floats x;
  for (float v = -87; v < 0; v += 0.0021f) x.push_back(v);
  const int64_t rows = int64_t(x.size());
  Floats pairs;
  for (float v : x) pairs.insert(pairs.end(), {0.0f, v});
  on_every_level(
      [&](KernelContext& context) {
        Floats y(pairs.size());
        context.table->softmax(context, {rows, 2, pairs.data(), 2, y.data(), 2, false});
        return y;
      },
      [&](const Floats& y) {
        double worst = 0;
        for (size_t i = 0; i < x.size(); ++i)
          worst = std::max(worst, std::abs(double(y[2 * i + 1]) / double(y[2 * i]) / std::exp(double(x[i])) - 1));
        CHECK(worst < 3.5e-7);  // 2e-7 and the rounding of two products
      });
}

TEST_CASE("softmax cross-entropy: loss and gradient, smoothing, ignored rows, in place") {
  for (int64_t vocab : {1, 2, 17, 130, 16001})
    for (float smoothing : {0.0f, 0.1f})
      for (bool in_place : {false, true}) {
        const int64_t rows = 9, ld = vocab + 2;
        const Floats logits = random_floats(rows * ld, 5, 8);
        std::vector<int32_t> targets;
        for (int64_t i = 0; i < rows; ++i) targets.push_back(i == 4 ? -100 : int32_t(i * 31 % vocab));
        Doubles losses, gradient;
        for (int64_t i = 0; i < rows; ++i) {
          const float* x = logits.data() + i * ld;
          const Doubles logp = exact_softmax(x, vocab, true);
          const int32_t target = targets[size_t(i)];
          double mean = 0;
          for (double l : logp) mean += l / double(vocab);
          losses.push_back(target < 0 ? 0 : -(1 - double(smoothing)) * logp[size_t(target)] - double(smoothing) * mean);
          for (int64_t j = 0; j < vocab; ++j)
            gradient.push_back(target < 0 ? 0
                                          : 0.5 * (std::exp(logp[size_t(j)]) - double(smoothing) / double(vocab) -
                                                   (j == target ? 1 - double(smoothing) : 0)));
        }
        Doubles expected = losses;
        expected.insert(expected.end(), gradient.begin(), gradient.end());
        INFO("vocab " << vocab << " smoothing " << smoothing << " in place " << in_place);
        on_every_level(
            [&](KernelContext& context) {
              Floats work = logits, separate(logits.size()), loss(size_t(rows), NAN), alone(size_t(rows), NAN), out;
              SoftmaxCrossEntropy p{};
              p.rows = rows, p.vocab = vocab, p.logits = work.data(), p.ld = ld, p.targets = targets.data();
              p.label_smoothing = smoothing, p.gradient_scale = 0.5f, p.losses = alone.data();
              context.table->softmax_cross_entropy(context, p);
              p.losses = loss.data(), p.gradient = in_place ? work.data() : separate.data();
              context.table->softmax_cross_entropy(context, p);
              CHECK(same_bits(loss, alone));
              out = loss;
              for (int64_t i = 0; i < rows; ++i)
                for (int64_t j = 0; j < vocab; ++j) out.push_back(p.gradient[i * ld + j]);
              return out;
            },
            [&](const Floats& out) { CHECK(deviation(out, expected) < 5e-7); });
      }
}

}  // namespace
}  // namespace attend::kernels::test
