#include "kernels/machines.hpp"

namespace attend::kernels::test {
namespace {

// The mask as factors, from the dropout kernel itself (tested on its own).
Doubles mask_factors(int64_t size, Dropout dropout) {
  const Floats ones(size_t(size), 1);
  Floats y(ones.size());
  KernelContext& context = machine(cpu_kernels(), 1);
  context.table->dropout(context, {size, ones.data(), y.data(), dropout});
  return Doubles(y.begin(), y.end());
}

struct Reference {
  Doubles sum, y, mean, rstd;
};

Reference reference_norm(int64_t rows, int64_t width, bool rms, double epsilon, const Floats& x, const Floats* residual,
                         const Doubles& mask, const Floats* weight, const Floats* bias) {
  Reference r;
  for (int64_t i = 0; i < rows; ++i) {
    Doubles row;
    double mean = 0, squares = 0;
    for (int64_t j = 0; j < width; ++j) {
      const size_t at = size_t(i * width + j);
      row.push_back(double(x[at]) * mask[at] + (residual ? double((*residual)[at]) : 0));
      mean += row.back() / double(width);
    }
    if (rms) mean = 0;
    for (double v : row) squares += (v - mean) * (v - mean) / double(width);
    const double rstd = 1 / std::sqrt(squares + epsilon);
    for (int64_t j = 0; j < width; ++j)
      r.y.push_back((row[size_t(j)] - mean) * rstd * (weight ? double((*weight)[size_t(j)]) : 1) +
                    (bias ? double((*bias)[size_t(j)]) : 0));
    r.sum.insert(r.sum.end(), row.begin(), row.end());
    r.mean.push_back(mean);
    r.rstd.push_back(rstd);
  }
  return r;
}

constexpr std::pair<int64_t, int64_t> kShapes[] = {{1, 1}, {3, 5}, {7, 16}, {40, 33}, {130, 64}, {5, 259}, {2100, 12}};

TEST_CASE("norm: residual, dropout, weight and bias in every combination") {
  for (const auto& [rows_, width_] : kShapes)
    for (int bits = 0; bits < 32; ++bits) {
      const int64_t rows = rows_, width = width_;
      const bool rms = bits & 1, with_residual = bits & 2, with_weight = bits & 4, with_bias = (bits & 8) && !rms;
      const Dropout dropout = bits & 16 ? Dropout{0.3f, 9} : Dropout{};
      const Floats x = random_floats(rows * width, 1), residual = random_floats(rows * width, 2);
      const Floats weight = random_floats(width, 3), bias = random_floats(width, 4);
      const Reference expected = reference_norm(rows, width, rms, 1e-5, x, with_residual ? &residual : nullptr,
                                                mask_factors(rows * width, dropout), with_weight ? &weight : nullptr,
                                                with_bias ? &bias : nullptr);
      Doubles all = expected.sum;
      all.insert(all.end(), expected.y.begin(), expected.y.end());
      if (!rms) all.insert(all.end(), expected.mean.begin(), expected.mean.end());
      INFO("rows " << rows << " width " << width << " bits " << bits);
      on_every_level(
          [&](KernelContext& context) {
            Floats sum(x.size()), y(x.size()), mean(static_cast<size_t>(rows)), rstd(static_cast<size_t>(rows));
            Norm p{};
            p.rows = rows, p.width = width, p.rms = rms, p.x = x.data(), p.dropout = dropout;
            p.residual = with_residual ? residual.data() : nullptr;
            p.weight = with_weight ? weight.data() : nullptr, p.bias = with_bias ? bias.data() : nullptr;
            p.sum = sum.data(), p.y = y.data(), p.mean = rms ? nullptr : mean.data(), p.rstd = rstd.data();
            context.table->norm(context, p);
            double worst = 0;
            for (size_t i = 0; i < rstd.size(); ++i)
              worst = std::max(worst, std::abs(double(rstd[i]) / expected.rstd[i] - 1));
            CHECK(worst < 1e-5);
            return rms ? joined({sum, y}) : joined({sum, y, mean});
          },
          [&](const Floats& out) { CHECK(deviation(out, all) < 5e-6); });
    }
}

TEST_CASE("norm without the sum, and the sum without the norm") {
  const int64_t rows = 9, width = 37;
  const Floats x = random_floats(rows * width, 1), residual = random_floats(rows * width, 2);
  const Doubles ones(x.size(), 1.0);
  const Reference plain = reference_norm(rows, width, false, 1e-5, x, nullptr, ones, nullptr, nullptr);
  const Reference added = reference_norm(rows, width, false, 1e-5, x, &residual, ones, nullptr, nullptr);
  Doubles all = plain.y;
  all.insert(all.end(), added.sum.begin(), added.sum.end());
  on_every_level(
      [&](KernelContext& context) {
        Floats y(x.size()), sum(x.size());
        Norm p{};
        p.rows = rows, p.width = width, p.x = x.data(), p.y = y.data();
        context.table->norm(context, p);
        p.y = nullptr, p.residual = residual.data(), p.sum = sum.data();
        context.table->norm(context, p);
        return joined({y, sum});
      },
      [&](const Floats& out) { CHECK(deviation(out, all) < 3e-6); });
}

// Central differences of Σ dy·norm(sum) through the double-precision reference.
TEST_CASE("norm backward equals central differences") {
  for (const auto& [rows_, width_] : {std::pair<int64_t, int64_t>{1, 2}, {3, 5}, {6, 17}, {70, 9}})
    for (int bits = 0; bits < 16; ++bits) {
      const int64_t rows = rows_, width = width_;
      const bool rms = bits & 1, with_weight = bits & 2, with_direct = bits & 4;
      const Dropout dropout = bits & 8 ? Dropout{0.4f, 5} : Dropout{};
      const Floats x = random_floats(rows * width, 1), weight = random_floats(width, 3),
                   dy = random_floats(rows * width, 6);
      const Floats direct = random_floats(rows * width, 7), dweight0 = random_floats(width, 8);
      const Floats dbias0 = random_floats(width, 10);
      const Doubles ones(x.size(), 1.0), mask = mask_factors(rows * width, dropout);
      const auto forward = [&](const Floats& sum, const Floats& w) {
        return reference_norm(rows, width, rms, 1e-5, sum, nullptr, ones, with_weight ? &w : nullptr, nullptr);
      };
      const Reference at = forward(x, weight);
      const auto loss = [&](const Floats& sum, const Floats& w) {
        const Doubles y = forward(sum, w).y;
        double total = 0;
        for (size_t i = 0; i < y.size(); ++i) total += double(dy[i]) * y[i];
        return total;
      };
      Doubles expected, masked;
      for (size_t i = 0; i < x.size(); ++i) {
        Floats up = x, down = x;
        up[i] += 0x1p-10f, down[i] -= 0x1p-10f;
        expected.push_back((loss(up, weight) - loss(down, weight)) / (double(up[i]) - double(down[i])));
        if (with_direct) expected.back() += double(direct[i]);
        masked.push_back(expected.back() * mask[i]);
      }
      expected.insert(expected.end(), masked.begin(), masked.end());
      for (size_t j = 0; j < weight.size(); ++j) {
        double total = double(dweight0[j]);
        for (int64_t i = 0; i < rows; ++i) {
          const size_t k = size_t(i * width) + j;
          total += double(dy[k]) * (at.sum[k] - at.mean[size_t(i)]) * at.rstd[size_t(i)];
        }
        expected.push_back(total);
      }
      for (size_t j = 0; j < weight.size(); ++j) {
        double total = double(dbias0[j]);
        for (int64_t i = 0; i < rows; ++i) total += double(dy[size_t(i * width) + j]);
        expected.push_back(total);
      }
      Floats mean(at.mean.begin(), at.mean.end()), rstd(at.rstd.begin(), at.rstd.end());
      INFO("rows " << rows << " width " << width << " bits " << bits);
      on_every_level(
          [&](KernelContext& context) {
            Floats dsum(x.size()), dx(x.size()), dweight = dweight0, dbias = dbias0;
            NormBackward p{};
            p.rows = rows, p.width = width, p.rms = rms, p.dy = dy.data(), p.sum = x.data();
            p.mean = rms ? nullptr : mean.data(), p.rstd = rstd.data(),
            p.weight = with_weight ? weight.data() : nullptr;
            p.dsum_in = with_direct ? direct.data() : nullptr, p.dsum = dsum.data(), p.dropout = dropout;
            p.dx = dx.data(), p.dweight = dweight.data(), p.dbias = dbias.data();
            context.table->norm_backward(context, p);
            return joined({dsum, dx, dweight, dbias});
          },
          [&](const Floats& out) { CHECK(deviation(out, expected) < (width == 2 ? 2e-3 : 2e-4)); });
    }
}

TEST_CASE("column sums, fresh and accumulated") {
  for (const auto& [rows_, columns_] : {std::pair<int64_t, int64_t>{0, 5}, {1, 1}, {31, 7}, {33, 64}, {5000, 83}}) {
    const int64_t rows = rows_, columns = columns_;
    const Floats x = random_floats(rows * columns, 1), start = random_floats(columns, 2);
    Doubles expected(size_t(2 * columns));
    for (int64_t j = 0; j < columns; ++j) {
      for (int64_t i = 0; i < rows; ++i) expected[size_t(j)] += double(x[size_t(i * columns + j)]);
      expected[size_t(columns + j)] = expected[size_t(j)] + double(start[size_t(j)]);
    }
    on_every_level(
        [&](KernelContext& context) {
          Floats fresh(size_t(columns), NAN), added = start;
          context.table->column_sum(context, {rows, columns, x.data(), fresh.data(), false});
          context.table->column_sum(context, {rows, columns, x.data(), added.data(), true});
          return joined({fresh, added});
        },
        [&](const Floats& out) { CHECK(deviation(out, expected) < 5e-6); });
  }
}

}  // namespace
}  // namespace attend::kernels::test
