#include <attend/tensor/context.hpp>
#include <attend/tensor/random.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <set>

namespace attend {
namespace {

TEST_CASE("a key depends on seed, step and name") {
  const uint64_t key = Random{1, 2}.key("encoder.blocks.0");
  CHECK(key == Random{1, 2}.key("encoder.blocks.0"));
  std::set<uint64_t> keys{key};
  for (uint64_t seed = 0; seed < 20; ++seed)
    for (uint64_t step = 0; step < 20; ++step)
      for (const char* name : {"", "a", "b", "ab", "ba", "encoder.blocks.0"}) keys.insert(Random{seed, step}.key(name));
  CHECK(keys.size() == 20 * 20 * 6);  // key itself is among them
}

// Fixed for ever: seeds in recipes and resumed runs rely on these numbers.
TEST_CASE("numbers do not change between versions") {
  CHECK(mix64(0) == 0);
  CHECK(mix64(1) == 0x4179b061e0c0e0d0ull);
  CHECK(Random{1, 2}.key("w") == 0xbc2ecef3463a0effull);
  CHECK(Random::uniform(42, 7) == 0x1.924c9bbd1e2fbp-1);
}

TEST_CASE("uniform numbers fill [0, 1) evenly, neighbours are independent") {
  constexpr int count = 100000, bins = 16;
  const uint64_t key = Random{3, 0}.key("test");
  int histogram[bins] = {}, pairs[2][2] = {};
  double sum = 0, previous = 0.5, correlation = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const double u = Random::uniform(key, i);
    CHECK_UNARY((u >= 0 && u < 1));
    ++histogram[static_cast<int>(u * bins)];
    ++pairs[previous < 0.5][u < 0.5];
    correlation += (u - 0.5) * (previous - 0.5);
    previous = u;
    sum += u;
  }
  CHECK(std::abs(sum / count - 0.5) < 5 / std::sqrt(12.0 * count));
  double chi_squared = 0;
  for (int n : histogram) chi_squared += std::pow(n - count / bins, 2) / (static_cast<double>(count) / bins);
  CHECK(chi_squared < 45);  // 15 degrees of freedom: p < 1e-4
  CHECK(std::abs(correlation / count * 12) < 5 / std::sqrt(static_cast<double>(count)));
  for (auto& row : pairs)
    for (int n : row) CHECK(std::abs(n - count / 4) < 5 * std::sqrt(count * 3 / 16.0));
}

TEST_CASE("streams of neighbouring keys and names are independent") {
  constexpr int count = 20000;
  for (auto [a, b] : {std::pair{Random{3, 0}.key("x"), Random{3, 1}.key("x")},
                      {Random{3, 0}.key("x"), Random{4, 0}.key("x")},
                      {Random{3, 0}.key("x"), Random{3, 0}.key("y")},
                      {uint64_t{0}, uint64_t{1}}}) {
    double correlation = 0;
    for (uint64_t i = 0; i < count; ++i)
      correlation += (Random::uniform(a, i) - 0.5) * (Random::uniform(b, i) - 0.5) * 12;
    CHECK(std::abs(correlation / count) < 5 / std::sqrt(static_cast<double>(count)));
  }
}

TEST_CASE("normal numbers have the moments of a normal distribution") {
  constexpr int64_t count = 100000;
  Tensor x({count});
  fill_normal(x, Random{5, 0}.key("w"), 2);
  double moments[5] = {};
  for (float v : x.values<float>())
    for (int p = 1; p <= 4; ++p) moments[p] += std::pow(v / 2, p) / count;
  const double deviation = 1 / std::sqrt(static_cast<double>(count));
  CHECK(std::abs(moments[1]) < 5 * deviation);
  CHECK(std::abs(moments[2] - 1) < 5 * std::sqrt(2.0) * deviation);
  CHECK(std::abs(moments[3]) < 5 * std::sqrt(15.0) * deviation);
  CHECK(std::abs(moments[4] - 3) < 5 * std::sqrt(96.0) * deviation);
}

TEST_CASE("filling: the same key gives the same values, whatever the shape or the context") {
  Tensor a({6, 50}), b({300});
  fill_uniform(a, 11, 0.25);
  Context context({.threads = 3});
  ContextScope scope(context);
  fill_uniform(b, 11, 0.25);
  float smallest = 1, largest = -1;
  for (int64_t i = 0; i < 300; ++i) {
    CHECK(a.data<float>()[i] == b.data<float>()[i]);
    smallest = std::min(smallest, b.data<float>()[i]);
    largest = std::max(largest, b.data<float>()[i]);
  }
  CHECK(smallest >= -0.25f);
  CHECK(largest <= 0.25f);
  CHECK(smallest < -0.23f);
  CHECK(largest > 0.23f);
  fill_uniform(b, 12, 0.25);
  CHECK(a.data<float>()[0] != b.data<float>()[0]);
}

}  // namespace
}  // namespace attend
