#include "kernels/activations.hpp"
#include "kernels/machines.hpp"

namespace attend::kernels::test {
namespace {

// Rows as whole numbers in -127 … 127 and what one of them stands for.
struct Whole {
  std::vector<int> numbers;
  Floats scales;

  Whole(const Floats& x, int64_t rows, int64_t k) {
    for (int64_t i = 0; i < rows; ++i) {
      float most = 0;
      for (int64_t l = 0; l < k; ++l) most = std::max(most, std::abs(x[size_t(i * k + l)]));
      const float inverse = most > 0 ? 127 / most : 0;
      scales.push_back(most / 127);
      for (int64_t l = 0; l < k; ++l) numbers.push_back(int(std::nearbyint(x[size_t(i * k + l)] * inverse)));
    }
  }
};

// The definition: exact sums of products of whole numbers, times both scales.
Floats by_definition(int64_t m, int64_t n, int64_t k, const Floats& a, const Floats& b, const float* bias) {
  const Whole x(a, m, k), y(b, n, k);
  Floats c;
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      int64_t sum = 0;
      for (int64_t l = 0; l < k; ++l) sum += x.numbers[size_t(i * k + l)] * y.numbers[size_t(j * k + l)];
      const float value = float(sum) * (y.scales[size_t(j)] * x.scales[size_t(i)]);
      c.push_back(bias != nullptr ? value + bias[j] : value);
    }
  return c;
}

std::vector<int32_t> packed(KernelContext& context, int64_t n, int64_t k, const void* b, Format format = Format::f32) {
  std::vector<int32_t> panels(size_t(context.table->int8_size(n, k)), 0x55555555);
  context.table->pack_int8(context, {n, k, b, format, k, panels.data()});
  return panels;
}

Floats product(KernelContext& context, int64_t m, int64_t n, int64_t k, const Floats& a, const Floats& b,
               const float* bias, Activation activation = Activation::none) {
  const std::vector<int32_t> panels = packed(context, n, k, b.data());
  constexpr float untouched = 12345;
  Floats c(size_t(m * (n + 3)), untouched), inside;
  MatmulInt8 p;
  p.m = m, p.n = n, p.k = k, p.a = a.data(), p.lda = k, p.packed_b = panels.data();
  p.c = c.data(), p.ldc = n + 3, p.bias = bias, p.activation = activation;
  context.table->matmul_int8(context, p);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n + 3; ++j) {
      const float value = c[size_t(i * (n + 3) + j)];
      if (j < n)
        inside.push_back(value);
      else
        CHECK(value == untouched);
    }
  return inside;
}

TEST_CASE("a product in int8 has the bits of its definition, at every level") {
  const int64_t shapes[][3] = {{1, 1, 1},     {1, 300, 77}, {2, 130, 40}, {3, 33, 65},  {4, 200, 90},   {5, 16, 1100},
                               {14, 75, 33},  {15, 31, 66}, {29, 129, 5}, {32, 96, 64}, {61, 75, 700},  {300, 40, 70},
                               {1, 256, 256}, {500, 20, 3}, {4, 64, 513}, {2, 32, 2},   {1, 70, 65536}, {17, 5, 4000}};
  for (const auto& [m, n, k] : shapes) {
    INFO("m " << m << " n " << n << " k " << k);
    const Floats a = random_floats(m * k, 1), b = random_floats(n * k, 2, 0.1f), bias = random_floats(n, 3);
    const float* added = m == 2 ? nullptr : bias.data();
    const Floats expected = by_definition(m, n, k, a, b, added);
    on_every_level([&](KernelContext& context) { return product(context, m, n, k, a, b, added); },
                   [&](const Floats& c) { CHECK(same_bits(c, expected)); });
  }
}

TEST_CASE("int8 sums hold the largest numbers there can be") {
  const int64_t m = 3, n = 40, k = kInt8Depth;
  for (float sign : {1.0f, -1.0f}) {
    const Floats a(size_t(m * k), 2), b(size_t(n * k), sign * 3);
    on_every_level([&](KernelContext& context) { return product(context, m, n, k, a, b, nullptr); },
                   [&](const Floats& c) {
                     for (float value : c) CHECK(value == doctest::Approx(sign * 6.0 * double(k)).epsilon(1e-6));
                   });
  }
}

TEST_CASE("activations follow a product in int8") {
  const int64_t m = 5, n = 41, k = 60;
  const Floats a = random_floats(m * k, 4), b = random_floats(n * k, 5), bias = random_floats(n, 6);
  for (Activation activation : kActivations) {
    INFO("activation " << int(activation));
    Doubles expected;
    for (float z : by_definition(m, n, k, a, b, bias.data())) expected.push_back(activated(activation, double(z)));
    on_every_level([&](KernelContext& context) { return product(context, m, n, k, a, b, bias.data(), activation); },
                   [&](const Floats& c) { CHECK(deviation(c, expected) < 1e-5); });
  }
}

TEST_CASE("rows and columns of zeros are 0 in int8, and what is not finite does not get lost") {
  const int64_t m = 4, n = 20, k = 50;
  Floats a = random_floats(m * k, 7), b = random_floats(n * k, 8);
  for (int64_t l = 0; l < k; ++l) a[size_t(k + l)] = b[size_t(3 * k + l)] = 0;
  a[size_t(2 * k + 7)] = INFINITY;
  b[size_t(5 * k)] = NAN;
  on_every_level([&](KernelContext& context) { return product(context, m, n, k, a, b, nullptr); },
                 [&](const Floats& c) {
                   for (int64_t i = 0; i < m; ++i)
                     for (int64_t j = 0; j < n; ++j) {
                       const float value = c[size_t(i * n + j)];
                       INFO(i << " " << j);
                       CHECK(std::isnan(value) == (i == 2 || j == 5));
                       if (i != 2 && j != 5) CHECK((value == 0) == (i == 1 || j == 3));
                     }
                 });
}

}  // namespace
}  // namespace attend::kernels::test
