#include <bit>
#include <type_traits>

#include "kernels/activations.hpp"
#include "kernels/machines.hpp"

namespace attend::kernels::test {
namespace {

struct Product {
  int64_t m, n, k;
  bool a_transposed, b_transposed;
  Floats a, b;
  int64_t lda, ldb;

  Product(int64_t m_, int64_t n_, int64_t k_, bool at, bool bt, int64_t slack = 3)
      : m(m_), n(n_), k(k_), a_transposed(at), b_transposed(bt) {
    lda = (at ? m : k) + slack;
    ldb = (bt ? k : n) + slack;
    a = random_floats((at ? k : m) * lda, 1);
    b = random_floats((bt ? n : k) * ldb, 2);
  }

  Doubles exact() const {
    Doubles c(static_cast<size_t>(m * n));
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        double total = 0;
        for (int64_t l = 0; l < k; ++l)
          total += double(a[size_t(a_transposed ? l * lda + i : i * lda + l)]) *
                   double(b[size_t(b_transposed ? j * ldb + l : l * ldb + j)]);
        c[size_t(i * n + j)] = total;
      }
    return c;
  }

  Matmul args(Floats& c, int64_t ldc) const {
    Matmul p{};
    p.m = m, p.n = n, p.k = k;
    p.a = a.data(), p.lda = lda, p.a_transposed = a_transposed;
    p.b = b.data(), p.ldb = ldb, p.b_transposed = b_transposed;
    p.c = c.data(), p.ldc = ldc;
    return p;
  }

  Floats packed(KernelContext& context, Format precision = Format::f32) const {
    Floats panels(static_cast<size_t>(context.table->packed_size(n, k, precision)));
    context.table->pack_matmul(context, {n, k, b.data(), ldb, b_transposed, panels.data(), precision});
    return panels;
  }
};

// Rounding of one chain over k products of random numbers below 1: the partial sums grow like √k, so the error like k.
double tolerance(int64_t k) { return 3e-7 + 2e-8 * double(k); }

constexpr float kUntouched = 12345;

TEST_CASE("matmul equals the exact product for every shape and transpose") {
  const int64_t shapes[][3] = {{1, 1, 1},    {1, 5, 3},     {2, 3, 1},    {3, 17, 9},   {5, 16, 8},   {7, 33, 65},
                               {8, 31, 64},  {13, 1, 40},   {14, 32, 16}, {15, 33, 17}, {16, 64, 31}, {29, 47, 130},
                               {64, 70, 50}, {100, 129, 7}, {3, 200, 90}, {150, 9, 33}, {1, 300, 77}, {40, 40, 1100}};
  for (const auto& [m, n, k] : shapes)
    for (int transposes = 0; transposes < 4; ++transposes) {
      const Product product(m, n, k, transposes & 1, transposes & 2);
      const Doubles exact = product.exact();
      INFO("m " << m << " n " << n << " k " << k << " transposes " << transposes);
      for (bool packed : {false, true}) {
        INFO("packed " << packed);
        const int64_t ldc = product.n + 2;
        on_every_level(
            [&](KernelContext& context) {
              Floats c(size_t(product.m * ldc), kUntouched);
              Matmul p = product.args(c, ldc);
              const Floats panels = packed ? product.packed(context) : Floats{};
              if (packed) p.packed_b = panels.data(), p.b = nullptr;
              context.table->matmul(context, p);
              return c;
            },
            [&](const Floats& c) {
              Floats inside;
              bool kept = true;
              for (int64_t i = 0; i < product.m; ++i)
                for (int64_t j = 0; j < ldc; ++j) {
                  if (j < product.n) inside.push_back(c[size_t(i * ldc + j)]);
                  if (j >= product.n) kept = kept && c[size_t(i * ldc + j)] == kUntouched;
                }
              CHECK(kept);
              CHECK(deviation(inside, exact) < tolerance(product.k));
            });
      }
    }
}

TEST_CASE("a product in bf16 is the exact product of the rounded factors") {
  const int64_t shapes[][3] = {{1, 1, 1},     {2, 3, 1},    {3, 17, 9},   {7, 33, 65},  {14, 32, 16}, {15, 33, 17},
                               {29, 47, 130}, {64, 70, 51}, {3, 200, 90}, {150, 9, 33}, {1, 300, 77}, {20, 40, 2100}};
  for (const auto& [m, n, k] : shapes)
    for (int form = 0; form < 8; ++form) {
      const Product product(m, n, k, form & 1, form & 2);
      const bool packed = form & 4;
      Product rounded = product;
      for (float& x : rounded.a) x = in_bf16(x);
      for (float& x : rounded.b) x = in_bf16(x);
      const Doubles exact = rounded.exact(), unrounded = product.exact();
      CHECK((k < 9 || deviation(Floats(exact.begin(), exact.end()), unrounded) > 10 * tolerance(k)));  // rounding shows
      INFO("m " << m << " n " << n << " k " << k << " form " << form);
      on_every_level(
          [&](KernelContext& context) {
            Floats c(exact.size(), kUntouched);
            Matmul p = product.args(c, product.n);
            p.product = Format::bf16;
            const Floats panels = packed ? product.packed(context, Format::bf16) : Floats{};
            if (packed) p.packed_b = panels.data(), p.b = nullptr;
            context.table->matmul(context, p);
            return c;
          },
          [&](const Floats& c) { CHECK(deviation(c, exact) < tolerance(product.k)); });
    }
}

TEST_CASE("matmul reads B in 16-bit formats with the bits of its widened numbers") {
  for (Format format : {Format::bf16, Format::f16})
    for (Format precision : {Format::f32, Format::bf16})
      for (int form = 0; form < 4; ++form) {
        const Product product(9, 67, 75, false, form & 1);
        const bool packed = form & 2;
        INFO("format " << int(format) << " precision " << int(precision) << " form " << form);
        for (const KernelTable* table : levels()) {
          KernelContext& context = machine(*table, 2);
          std::vector<uint16_t> words(product.b.size());
          Floats widened(words.size());
          const auto size = static_cast<int64_t>(words.size());
          table->convert(context, {size, Format::f32, format, product.b.data(), words.data()});
          table->convert(context, {size, format, Format::f32, words.data(), widened.data()});
          Floats expected(size_t(product.m * product.n)), c(expected.size());
          Matmul p = product.args(expected, product.n);
          p.product = precision, p.b = widened.data();
          table->matmul(context, p);
          p.c = c.data(), p.b = words.data(), p.b_format = format;
          Floats panels(size_t(table->packed_size(product.n, product.k, precision)));
          if (packed) {
            table->pack_matmul(context, {product.n, product.k, words.data(), product.ldb, product.b_transposed,
                                         panels.data(), precision, format});
            p.packed_b = panels.data(), p.b = nullptr;
          }
          table->matmul(context, p);
          CHECK(same_bits(c, expected));
        }
      }
}

TEST_CASE("blocks of the depth may be tasks of their own: with two and four threads, and the same bits as with one") {
  for (const auto& [m, n, k] :
       {std::tuple<int64_t, int64_t, int64_t>{70, 90, 2000}, {64, 64, 1024}, {101, 33, 4099}, {20, 40, 50257}})
    for (Format precision : {Format::f32, Format::bf16})
      for (int form = 0; form < 8; ++form) {
        const Product product(m, n, k, form & 1, form & 2);
        const Floats bias = random_floats(n, 6), before = random_floats(m * n, 7);
        for (const KernelTable* table : levels()) {
          INFO("level " << std::string(table->level) << " m " << m << " k " << k << " form " << form);
          const auto with = [&](int threads) {
            Floats c = before;
            Matmul p = product.args(c, n);
            p.product = precision;
            p.accumulate = form & 4;
            if (!p.accumulate) p.bias = bias.data(), p.activation = Activation::gelu;
            table->matmul(machine(*table, threads), p);
            return c;
          };
          const Floats alone = with(1);
          for (int threads : {2, 3, 4, 8}) CHECK(same_bits(with(threads), alone));
        }
      }
}

TEST_CASE("every entry of a level is filled and knows where it comes from") {
  for (const KernelTable* table : levels()) {
    INFO("level " << std::string(table->level));
    KernelTable::entries([&](const char* name, auto entry) {
      CHECK((table->*entry != nullptr));
      CHECK(level_of(*table, name) != nullptr);
    });
    const bool vnni = std::string(table->level).ends_with("vnni");
    CHECK(std::string(level_of(*table, vnni ? "matmul_int8" : "matmul")) == table->level);
    CHECK(level_of(*table, "no such entry") == nullptr);
  }
}

TEST_CASE("matmul adds bias, activates and keeps the input of the activation") {
  for (Activation kind : kActivations)
    for (const auto& [m, n] : {std::pair<int64_t, int64_t>{1, 37}, {19, 70}}) {
      const Product product(m, n, 41, false, true);
      const Floats bias = random_floats(n, 5);
      Doubles expected = product.exact(), outputs;
      for (size_t i = 0; i < expected.size(); ++i) expected[i] += double(bias[i % size_t(n)]);
      for (double x : expected) outputs.push_back(activated(kind, x));
      outputs.insert(outputs.end(), expected.begin(), expected.end());
      INFO("activation " << int(kind) << " m " << m);
      on_every_level(
          [&](KernelContext& context) {
            Floats c(size_t(m * n)), before(size_t(m * n));
            Matmul p = product.args(c, product.n);
            p.bias = bias.data(), p.activation = kind, p.before = before.data();
            context.table->matmul(context, p);
            return joined({c, before});
          },
          [&](const Floats& c) { CHECK(deviation(c, outputs) < 2e-6); });
    }
}

TEST_CASE("matmul accumulates; a sum over nothing is zero or bias") {
  for (int64_t k : {int64_t{0}, int64_t{30}, int64_t{1500}}) {
    const Product product(23, 45, k, true, false);
    const Floats start = random_floats(23 * 45, 9), bias = random_floats(45, 8);
    const Doubles exact = product.exact();
    Doubles expected;
    for (size_t i = 0; i < exact.size(); ++i) expected.push_back(exact[i] + double(start[i]));
    for (size_t i = 0; i < exact.size(); ++i) expected.push_back(exact[i] + double(bias[i % 45]));
    on_every_level(
        [&](KernelContext& context) {
          Floats added = start, fresh(start.size(), NAN);
          Matmul p = product.args(added, 45);
          p.accumulate = true;
          context.table->matmul(context, p);
          p = product.args(fresh, 45);
          p.bias = bias.data();
          context.table->matmul(context, p);
          return joined({added, fresh});
        },
        [&](const Floats& c) { CHECK(deviation(c, expected) < tolerance(k)); });
  }
}

TEST_CASE("matmul of nothing does nothing") {
  for (const KernelTable* table : levels()) {
    KernelContext& context = machine(*table, 2);
    Floats c(4, kUntouched);
    for (const auto& [m, n] : {std::pair<int64_t, int64_t>{0, 2}, {2, 0}, {0, 0}}) {
      const Product product(m, n, 3, false, false);
      context.table->matmul(context, product.args(c, 2));
    }
    CHECK(c == Floats(4, kUntouched));
  }
}

// A row must not depend on its neighbours, on packing or on the layout: cached decoding, packed batches and a taped
// pass then agree bit for bit with the plain full pass.
TEST_CASE_TEMPLATE("each row of a matmul has the same bits alone, in a batch and packed", Precision,
                   std::integral_constant<Format, Format::f32>, std::integral_constant<Format, Format::bf16>) {
  const int64_t n = 75, k = 700;
  const Product whole(61, n, k, false, true, 0);
  for (const KernelTable* table : levels()) {
    KernelContext& context = machine(*table, 2);
    Floats all(size_t(61 * n));
    Matmul full = whole.args(all, n);
    full.product = Precision::value;
    context.table->matmul(context, full);
    const Floats panels = whole.packed(context, Precision::value);
    Floats plain_b(size_t(k * n));
    for (int64_t j = 0; j < n; ++j)
      for (int64_t l = 0; l < k; ++l) plain_b[size_t(l * n + j)] = whole.b[size_t(j * k + l)];
    for (int64_t rows : {1, 2, 5, 9, 20, 61})
      for (int form = 0; form < 3; ++form) {
        Floats some(size_t(rows * n));
        Matmul p = whole.args(some, n);
        p.m = rows, p.a += (61 - rows) * whole.lda, p.product = Precision::value;
        if (form == 1) p.packed_b = panels.data();
        if (form == 2) p.b = plain_b.data(), p.ldb = n, p.b_transposed = false;
        context.table->matmul(context, p);
        INFO("level " << std::string(table->level) << " rows " << rows << " form " << form);
        CHECK(same_bits(some, slice(all, size_t((61 - rows) * n), size_t(rows * n))));
      }
  }
}

}  // namespace
}  // namespace attend::kernels::test
