#include "kernels/activations.hpp"
#include "kernels/machines.hpp"

namespace attend::kernels::test {
namespace {

// Multiples of 2^-10 below 1, and some small ones: f16 holds them all.
Floats halves(int64_t count, uint64_t seed) {
  Floats x = random_floats(count, seed);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::nearbyint(x[i] * 1024) * (i % 7 == 3 ? 0x1p-24f : 0x1p-10f);
  return x;
}

struct Packed {
  std::vector<uint16_t> panels;
  bool exact = true;

  Packed(KernelContext& context, int64_t n, int64_t k, const void* b, Format format = Format::f32)
      : panels(size_t(context.table->packed_size(n, k, Format::f32))) {
    context.table->pack_half(context, {n, k, b, format, k, panels.data(), &exact});
  }
};

TEST_CASE("a product with panels of f16 has the bits of the one in f32") {
  const int64_t shapes[][3] = {{1, 1, 1},     {1, 300, 77},  {2, 130, 40},  {3, 33, 65},    {4, 200, 90},
                               {5, 16, 1100}, {14, 75, 33},  {15, 31, 700}, {29, 129, 50},  {32, 96, 64},
                               {61, 75, 700}, {300, 40, 70}, {1, 256, 64},  {500, 20, 600}, {4, 64, 513}};
  for (const auto& [m, n, k] : shapes)
    for (Activation activation : {Activation::none, Activation::relu, Activation::gelu}) {
      const Floats a = random_floats(m * (k + 2), 1), b = halves(n * k, 2), bias = random_floats(n, 3);
      INFO("m " << m << " n " << n << " k " << k << " activation " << int(activation));
      for (const KernelTable* table : levels()) {
        INFO("level " << std::string(table->level));
        Floats expected(size_t(m * n));
        Matmul p{};
        p.m = m, p.n = n, p.k = k, p.a = a.data(), p.lda = k + 2, p.b = b.data(), p.ldb = k, p.b_transposed = true;
        p.c = expected.data(), p.ldc = n, p.activation = activation;
        if (m != 2) p.bias = bias.data();
        table->matmul(machine(*table, 1), p);
        for (int threads : {1, 2, 3}) {
          KernelContext& context = machine(*table, threads);
          const Packed packed(context, n, k, b.data());
          CHECK(packed.exact);
          Floats c(size_t(m * (n + 3)), 12345), inside;
          table->matmul_half(context, MatmulHalf{{m, n, k, a.data(), k + 2, packed.panels.data(), c.data(), n + 3,
                                                  p.bias, activation}});
          bool kept = true;
          for (int64_t i = 0; i < m; ++i)
            for (int64_t j = 0; j < n + 3; ++j) {
              const float value = c[size_t(i * (n + 3) + j)];
              if (j < n) inside.push_back(value);
              if (j >= n) kept = kept && value == 12345;
            }
          CHECK(kept);
          CHECK(same_bits(inside, expected));
        }
      }
    }
}

TEST_CASE("numbers that f16 would round are noticed") {
  const int64_t n = 37, k = 45;
  for (const KernelTable* table : levels())
    for (float wrong : {0.1f, 1 + 0x1p-11f, 65536.0f, 1e30f, 0x1p-25f, 3 * 0x1p-25f, -70000.0f})
      for (int64_t at : {int64_t{0}, 17 * k + 44, n * k - 1}) {
        INFO("level " << std::string(table->level) << " " << wrong << " at " << at);
        Floats b = halves(n * k, 4);
        CHECK(Packed(machine(*table, 2), n, k, b.data()).exact);
        b[size_t(at)] = wrong;
        CHECK_FALSE(Packed(machine(*table, 2), n, k, b.data()).exact);
      }
}

TEST_CASE("f16 numbers are packed as they lie") {
  const int64_t n = 40, k = 50;
  for (const KernelTable* table : levels()) {
    KernelContext& context = machine(*table, 2);
    const Floats b = halves(n * k, 5);
    std::vector<uint16_t> stored(b.size());
    table->convert(context, {n * k, Format::f32, Format::f16, b.data(), stored.data()});
    const Packed from_floats(context, n, k, b.data()), from_halves(context, n, k, stored.data(), Format::f16);
    CHECK(from_halves.exact);
    CHECK(from_halves.panels == from_floats.panels);
  }
}

}  // namespace
}  // namespace attend::kernels::test
