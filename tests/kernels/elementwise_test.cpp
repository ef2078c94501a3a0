#include <algorithm>
#include <cstring>

#include "kernels/activations.hpp"
#include "kernels/machines.hpp"

namespace attend::kernels::test {
namespace {

constexpr int64_t kSizes[] = {0, 1, 3, 4, 7, 8, 15, 16, 17, 33, 1000, 40001};

TEST_CASE("activation backward multiplies with the slope") {
  for (Activation kind : kActivations)
    for (int64_t size : kSizes) {
      const Floats x = random_floats(size, 3, 6), dy = random_floats(size, 4);
      Floats y;
      Doubles expected;
      for (size_t i = 0; i < x.size(); ++i) {
        y.push_back(float(activated(kind, double(x[i]))));
        expected.push_back(double(dy[i]) * activation_slope(kind, double(x[i])));
      }
      INFO("activation " << int(kind) << " size " << size);
      on_every_level(
          [&](KernelContext& context) {
            Floats dx = dy;  // in place
            context.table->activation_backward(context, {size, kind, dx.data(), y.data(), x.data(), dx.data()});
            return dx;
          },
          [&](const Floats& dx) { CHECK(deviation(dx, expected) < 1.5e-6); });
    }
}

TEST_CASE("activations are exact to 1e-6 from end to end") {
  Floats x;
  for (float v = -20; v <= 20; v += 0.00137f) x.push_back(v);
  x.insert(x.end(), {0.0f, -0.0f, 1e-30f, -1e-30f, 60.0f, -60.0f, 100.0f, -100.0f});
  const int64_t size = int64_t(x.size());
  const float one = 1;
  for (Activation kind : kActivations) {
    Doubles expected;
    for (float v : x) expected.push_back(activated(kind, double(v)));
    INFO("activation " << int(kind));
    on_every_level(
        [&](KernelContext& context) {
          Floats y(x.size());
          Matmul p{};
          p.m = size, p.n = 1, p.k = 1, p.a = x.data(), p.lda = 1, p.b = &one, p.ldb = 1, p.c = y.data(), p.ldc = 1;
          p.activation = kind;
          Floats alone(x.size());
          p.before = alone.data();
          context.table->matmul(context, p);
          context.table->activation(context, {size, kind, alone.data(), alone.data()});  // in place
          CHECK(std::memcmp(alone.data(), y.data(), y.size() * sizeof(float)) == 0);
          return y;
        },
        [&](const Floats& y) { CHECK(deviation(y, expected) < 1e-6); });
  }
}

TEST_CASE("axpby") {
  for (int64_t size : kSizes) {
    const Floats x = random_floats(size, 1), y = random_floats(size, 2);
    Doubles expected;
    for (size_t i = 0; i < x.size(); ++i) expected.push_back(1.5 * double(x[i]) - 0.25 * double(y[i]));
    for (size_t i = 0; i < x.size(); ++i) expected.push_back(1.5 * double(x[i]));
    on_every_level(
        [&](KernelContext& context) {
          Floats sum = y, copy(x.size(), NAN);
          context.table->axpby(context, {size, 1.5f, x.data(), -0.25f, sum.data()});
          context.table->axpby(context, {size, 1.5f, x.data(), 0, copy.data()});
          return joined({sum, copy});
        },
        [&](const Floats& out) { CHECK(deviation(out, expected) < 2e-7); });
  }
}

TEST_CASE("the sum of squares is taken in double precision") {
  for (int64_t size : kSizes) {
    Floats x = random_floats(size, 7);
    if (size > 10) x[5] = 3e30f, x[6] = 1e-30f;  // the square leaves f32
    double expected = 0;
    for (float v : x) expected += double(v) * double(v);
    on_every_level(
        [&](KernelContext& context) {
          double out = -1;
          context.table->sum_of_squares(context, {size, x.data(), &out});
          Floats halves(2);
          std::memcpy(halves.data(), &out, sizeof out);
          return halves;
        },
        [&](const Floats& halves) {
          double out = 0;
          std::memcpy(&out, halves.data(), sizeof out);
          CHECK(out == doctest::Approx(expected).epsilon(1e-13));
        });
  }
}

TEST_CASE("AdamW equals its formula over several steps") {
  for (int64_t size : {int64_t{1}, int64_t{21}, int64_t{33000}}) {
    const Floats w0 = random_floats(size, 1), g0 = random_floats(size, 2, 0.1f);
    const double lr = 1e-2, b1 = 0.9, b2 = 0.99, eps = 1e-8, decay = 0.1, scale = 0.5;
    Doubles w(w0.begin(), w0.end()), m(w0.size()), v(w0.size());
    for (int step = 1; step <= 3; ++step)
      for (size_t i = 0; i < w.size(); ++i) {
        const double g = scale * step * double(g0[i]);
        m[i] = b1 * m[i] + (1 - b1) * g;
        v[i] = b2 * v[i] + (1 - b2) * g * g;
        w[i] -=
            lr * (decay * w[i] + m[i] / (1 - std::pow(b1, step)) / (std::sqrt(v[i] / (1 - std::pow(b2, step))) + eps));
      }
    on_every_level(
        [&](KernelContext& context) {
          Floats weight = w0, first(w0.size()), second(w0.size());
          for (int step = 1; step <= 3; ++step) {
            Floats g = g0;
            for (float& x : g) x *= float(step);
            context.table->adamw(context, {size, weight.data(), g.data(), first.data(), second.data(), float(lr),
                                           float(b1), float(b2), float(eps), float(decay),
                                           float(1 - std::pow(b1, step)), float(1 - std::pow(b2, step)), float(scale)});
          }
          return weight;
        },
        [&](const Floats& weight) { CHECK(deviation(weight, w) < 1e-6); });
  }
}

TEST_CASE("embedding looks up, scales and adds positions") {
  const int64_t rows = 70, width = 19, vocab = 11;
  const Floats table = random_floats(vocab * width, 1), positions = random_floats(5 * width, 2);
  std::vector<int32_t> ids, position_ids;
  for (int32_t i = 0; i < rows; ++i) ids.push_back(i * 7 % 11), position_ids.push_back(i % 5);
  for (bool with_positions : {false, true}) {
    Doubles expected;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < width; ++j)
        expected.push_back(3 * double(table[size_t(ids[size_t(i)] * width + j)]) +
                           (with_positions ? double(positions[size_t(position_ids[size_t(i)] * width + j)]) : 0.0));
    on_every_level(
        [&](KernelContext& context) {
          Floats y(size_t(rows * width));
          Embedding p{};
          p.rows = rows, p.width = width, p.ids = ids.data(), p.table = table.data(), p.scale = 3, p.y = y.data();
          if (with_positions) p.position_ids = position_ids.data(), p.positions = positions.data();
          context.table->embedding(context, p);
          return y;
        },
        [&](const Floats& y) { CHECK(deviation(y, expected) < 3e-7); });
  }
}

TEST_CASE("embedding backward adds every row to its id and leaves the frozen one") {
  for (int64_t width : {1, 19, 200}) {
    const int64_t rows = 300, vocab = 9;
    const Floats dy = random_floats(rows * width, 1), start = random_floats(vocab * width, 2);
    std::vector<int32_t> ids;
    for (int32_t i = 0; i < rows; ++i) ids.push_back(i * i % 9);
    Doubles expected(start.begin(), start.end());
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < width; ++j)
        if (ids[size_t(i)] != 4) expected[size_t(ids[size_t(i)] * width + j)] += 2 * double(dy[size_t(i * width + j)]);
    on_every_level(
        [&](KernelContext& context) {
          Floats table = start;
          context.table->embedding_backward(context, {rows, width, vocab, ids.data(), dy.data(), 2, 4, table.data()});
          return table;
        },
        [&](const Floats& table) { CHECK(deviation(table, expected) < 3e-6); });
  }
}

TEST_CASE("dropout: rate, scale, the same mask everywhere, another for another key") {
  const int64_t size = (1 << 20) + 77;  // over the border of a block
  const Floats ones(size_t(size), 1);
  Floats reference;
  for (float probability : {0.1f, 0.5f, 0.9f}) {
    reference.clear();
    on_every_level(
        [&](KernelContext& context) {
          Floats y(ones.size());
          context.table->dropout(context, {size, ones.data(), y.data(), {probability, 42}});
          return y;
        },
        [&](const Floats& y) {
          int64_t kept = 0, pairs = 0;
          bool scaled = true;
          for (size_t i = 0; i < y.size(); ++i) {
            kept += y[i] != 0;
            pairs += i > 0 && y[i] != 0 && y[i - 1] != 0;
            scaled = scaled && (y[i] == 0 || y[i] == 1 / (1 - probability));
          }
          const double keep = 1 - double(probability), deviation5 = 5 * std::sqrt(keep * (1 - keep) / double(size));
          CHECK(scaled);
          CHECK(double(kept) / double(size) == doctest::Approx(keep).epsilon(deviation5 / keep));
          CHECK(double(pairs) / double(size) == doctest::Approx(keep * keep).epsilon(4 * deviation5 / keep));
          if (reference.empty()) reference = y;
          CHECK(same_bits(y, reference));
        });
  }
  KernelContext& context = machine(cpu_kernels(), 1);
  Floats other(ones.size()), off(ones.size());
  context.table->dropout(context, {size, ones.data(), other.data(), {0.5f, 43}});
  context.table->dropout(context, {size, ones.data(), reference.data(), {0.5f, 42}});
  int64_t agree = 0;
  for (size_t i = 0; i < other.size(); ++i) agree += other[i] == reference[i];
  CHECK(double(agree) / double(size) == doctest::Approx(0.5).epsilon(0.01));
  context.table->dropout(context, {size, ones.data(), off.data(), {0, 42}});
  CHECK(off == ones);
  context.table->dropout(context, {size, ones.data(), off.data(), {1, 42}});
  CHECK(off == Floats(ones.size(), 0));
}

// What IEEE 754 says, without the code under test: decodes and picks the nearest of all finite values.
double half_value(uint16_t x) {
  const int exponent = (x >> 10) & 31, fraction = x & 1023;
  const double magnitude = exponent == 0    ? std::ldexp(fraction, -24)
                           : exponent == 31 ? (fraction ? NAN : INFINITY)
                                            : std::ldexp(1024 + fraction, exponent - 25);
  return x & 0x8000 ? -magnitude : magnitude;
}

TEST_CASE("every f16 and bf16 value converts exactly and comes back") {
  std::vector<uint16_t> all(65536);
  for (size_t i = 0; i < all.size(); ++i) all[i] = uint16_t(i);
  for (Format format : {Format::f16, Format::bf16}) {
    Doubles expected;
    for (uint16_t x : all) {
      const uint32_t wide = uint32_t(x) << 16;
      float f;
      std::memcpy(&f, &wide, sizeof f);
      expected.push_back(format == Format::f16 ? half_value(x) : double(f));
    }
    for (const KernelTable* table : levels()) {
      INFO("level " << std::string(table->level) << " format " << int(format));
      KernelContext& context = machine(*table, 2);
      Floats wide(all.size());
      std::vector<uint16_t> back(all.size());
      context.table->convert(context, {65536, format, Format::f32, all.data(), wide.data()});
      CHECK(deviation(wide, expected) == 0);
      context.table->convert(context, {65536, Format::f32, format, wide.data(), back.data()});
      int64_t wrong = 0;
      for (size_t i = 0; i < all.size(); ++i)
        if (!std::isnan(wide[i])) wrong += back[i] != all[i];
      for (size_t i = 0; i < all.size(); ++i)
        if (std::isnan(wide[i]))
          wrong += (back[i] & (format == Format::f16 ? 0x7fff : 0x7fff)) <= (format == Format::f16 ? 0x7c00 : 0x7f80);
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("narrowing rounds to nearest, ties to even") {
  // Midpoints and their neighbours around every f16 value, and plain numbers.
  Floats x = random_floats(3001, 5, 70000);
  for (uint32_t h = 0; h < 0x7bff; h += 3) {
    const float middle = float((half_value(uint16_t(h)) + half_value(uint16_t(h + 1))) / 2);
    x.insert(x.end(), {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, 1e30f), -middle});
  }
  x.insert(x.end(), {65519.9f, 65520.0f, 1e30f, INFINITY, -INFINITY, 1e-30f, 3e-8f, 2.98e-8f});
  for (const KernelTable* table : levels()) {
    INFO("level " << std::string(table->level));
    KernelContext& context = machine(*table, 1);
    std::vector<uint16_t> narrow(x.size());
    context.table->convert(context, {int64_t(x.size()), Format::f32, Format::f16, x.data(), narrow.data()});
    int64_t wrong = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double value = std::abs(double(x[i]));
      uint16_t low = 0, high = 0x7c00;  // the two neighbours by bisection over the ordered codes
      while (high - low > 1) {
        const uint16_t middle = uint16_t((low + high) / 2);
        (half_value(middle) <= value ? low : high) = middle;
      }
      const double up = high == 0x7c00 ? 65536 : half_value(high), down = half_value(low);
      uint16_t best = value - down < up - value ? low : value - down > up - value ? high : low & 1 ? high : low;
      if (value >= 65536) best = 0x7c00;
      wrong += (narrow[i] & 0x7fff) != best;
    }
    CHECK(wrong == 0);
  }
  const Floats ties = {1.00390625f, 1.01171875f, -1.00390625f, 3.4e38f, 1e-45f};  // bf16 has 8 bits
  const std::vector<uint16_t> expected = {0x3f80, 0x3f82, 0xbf80, 0x7f80, 0x0000};
  for (const KernelTable* table : levels()) {
    std::vector<uint16_t> narrow(ties.size());
    KernelContext& context = machine(*table, 1);
    context.table->convert(context, {int64_t(ties.size()), Format::f32, Format::bf16, ties.data(), narrow.data()});
    CHECK(narrow == expected);
  }
}

TEST_CASE("the kernel table names its level and lower levels stay reachable") {
  CHECK(cpu_kernels("base") != nullptr);
  CHECK(cpu_kernels("no such level") == nullptr);
  for (const KernelTable* table : levels()) CHECK(cpu_kernels(table->level) == table);
  const auto all = levels();
  CHECK(std::string(cpu_kernels_up_to("base").level) == "base");
  for (const KernelTable* table : all) CHECK(&cpu_kernels_up_to(table->level) == table);
  CHECK(&cpu_kernels_up_to(nullptr) == all.back());
  CHECK(&cpu_kernels_up_to("no such level") == all.back());
  CHECK(std::count(all.begin(), all.end(), &cpu_kernels()) == 1);
}

TEST_CASE("scratch grows, keeps and aligns") {
  Scratch scratch;
  scratch.reserve(3);
  void* first = scratch.get(1, 1000);
  CHECK(reinterpret_cast<uintptr_t>(first) % 64 == 0);
  CHECK(scratch.get(1, 500) == first);
  void* other = scratch.get(2, 1 << 20);
  std::memset(other, 1, 1 << 20);
  scratch.reserve(10);
  CHECK(scratch.get(1, 900) == first);
  CHECK(scratch.get(2, 1 << 20) == other);
}

}  // namespace
}  // namespace attend::kernels::test
