// The work of a kernel call, counted by hand.
#include <attend/kernels/limits.hpp>
#include <attend/kernels/work.hpp>

#include <doctest/doctest.h>

#include <string_view>
#include <vector>

#include "kernels/machines.hpp"

namespace attend::kernels {
namespace {

float a[1], b[1], c[1];

Matmul product(int64_t m, int64_t n, int64_t k, bool a_transposed, bool b_transposed) {
  return {m, n, k, a, a_transposed ? m : k, a_transposed, b, b_transposed ? k : n, b_transposed, c, n};
}

TEST_CASE("a product is 2·m·n·k FLOPs and three matrices of traffic") {
  const Work work = work_of(product(3, 5, 7, false, true));
  CHECK(work.flops == 2 * 3 * 5 * 7);
  CHECK(work.bytes == 4 * (3 * 7 + 7 * 5 + 3 * 5));
  CHECK(work.shape == std::array<int64_t, 3>{3, 5, 7});
  Matmul more = product(3, 5, 7, true, false);
  more.accumulate = true;  // reads C as well
  CHECK(work_of(more).bytes == 4 * (3 * 7 + 7 * 5 + 2 * 3 * 5));
  more.b_format = Format::bf16;  // a weight in 16 bits
  CHECK(work_of(more).bytes == 4 * (3 * 7 + 2 * 3 * 5) + 2 * 7 * 5);
  more.b_format = Format::f32;
  more.accumulate = false;
  more.before = c;
  CHECK(work_of(more).bytes == 4 * (3 * 7 + 7 * 5 + 2 * 3 * 5));
}

TEST_CASE("a product's operands tell what it is for") {
  CHECK(work_of(product(1, 1, 1, false, true)).operation == std::string_view("matmul forward"));
  CHECK(work_of(product(1, 1, 1, false, false)).operation == std::string_view("matmul dX"));
  CHECK(work_of(product(1, 1, 1, true, false)).operation == std::string_view("matmul dW"));
  Matmul packed = product(1, 1, 1, false, false);
  packed.packed_b = b;
  CHECK(work_of(packed).operation == std::string_view("matmul forward"));
}

TEST_CASE("attention counts the pairs that see each other") {
  const std::vector<int32_t> q_offsets{0, 4, 4, 7, 12}, k_offsets{0, 4, 6, 11, 13};
  Attention p{};
  p.sequences = 4, p.heads = 6, p.key_heads = 2, p.width = 8, p.value_width = 10;
  p.q_offsets = q_offsets.data(), p.k_offsets = k_offsets.data();
  for (const bool causal : {false, true}) {
    p.causal = causal;
    double pairs = 0;
    for (size_t s = 0; s < 4; ++s) {
      const int tq = q_offsets[s + 1] - q_offsets[s], tk = k_offsets[s + 1] - k_offsets[s];
      for (int i = 0; i < tq; ++i)
        for (int j = 0; j < tk; ++j) pairs += !causal || j <= i + tk - tq;
    }
    CAPTURE(causal);
    CHECK(pairs == (causal ? 10 + 12 + 3 : 16 + 15 + 10));
    CHECK(work_of(p).flops == pairs * 6 * (2 * 8 + 2 * 10));  // QKᵀ and PV
    AttentionBackward backward{};
    backward.forward = p;
    CHECK(work_of(backward).flops == pairs * 6 * (3 * 2 * 8 + 2 * 2 * 10));  // QKᵀ, dQ, dK and dO·Vᵀ, dV
  }
  CHECK(work_of(p).bytes == 4 * (12 * 6 * 8 + 13 * 2 * 8 + 13 * 2 * 10 + 12 * 6 * 10));
}

TEST_CASE("cached attention counts keys that lie in pages") {
  const std::vector<int32_t> offsets{0, 1, 3}, lengths{9, 5};
  AttentionCached p{};
  p.sequences = 2, p.heads = p.key_heads = 3, p.width = p.value_width = 4;
  p.q_offsets = offsets.data(), p.lengths = lengths.data(), p.causal = true;
  CHECK(work_of(p).flops == (9 + 4 + 5) * 3 * (2 * 4 + 2 * 4));
  CHECK(work_of(p).bytes == 4 * ((9 + 5) * 3 * 8 + 3 * 3 * 8));
}

TEST_CASE("rows and elements count the arrays that are there") {
  Norm norm{};
  norm.rows = 5, norm.width = 7, norm.x = a, norm.y = c;
  CHECK(work_of(norm).bytes == 4 * 2 * 35);
  norm.residual = b, norm.sum = c;
  CHECK(work_of(norm).bytes == 4 * 4 * 35);
  CHECK(work_of(norm).flops == 0);
  norm.y = nullptr;
  CHECK(work_of(norm).operation == std::string_view("add"));
  CHECK(work_of(AdamW{.size = 10}).bytes == 28 * 10);  // 4 read, 3 written
  CHECK(work_of(Axpby{10, 0, a, 0, c}).bytes == 4 * 10);
  CHECK(work_of(Axpby{10, 1, a, 1, c}).bytes == 4 * 30);
  CHECK(work_of(Convert{10, Format::bf16, Format::f32, a, c}).bytes == 6 * 10);
}

TEST_CASE("the loops that measure limits do what they count, at every level") {
  test::Floats memory(3 * 128);
  for (size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<float>(i % 5);
  auto read = [&](KernelContext& context) {
    test::Floats out(3);
    context.table->read_memory(context, {3, 128, memory.data(), out.data()});
    return out;
  };
  test::on_every_level(read, [&](const test::Floats& sums) {
    for (size_t tile = 0; tile < 3; ++tile) {
      float sum = 0;
      for (size_t i = 0; i < 128; ++i) sum += memory[tile * 128 + i];
      CHECK(sums[tile] == sum);
    }
  });
  auto multiply = [](Format format) {
    return [=](KernelContext& context) {
      test::Floats out(4);
      double flops = 0;
      context.table->multiply_add(context, {format, 3, 10, out.data(), &flops});
      out[3] = static_cast<float>(flops);
      return out;
    };
  };
  test::on_every_level(multiply(Format::bf16), [&](const test::Floats& out) { CHECK(out[0] == out[2]); });
  test::on_every_level(multiply(Format::f32), [&](const test::Floats& out) {
    CHECK(out[3] > 0);
    // 12 chains c → 0.999·c + 0.001 from c = 0 … 11: the sum of their distances to 1 shrinks by 0.999 a round.
    const double lanes = out[3] / (2.0 * 12 * 3 * 10), distance = lanes * (66 - 12) * std::pow(0.999, 10);
    CHECK(std::abs(static_cast<double>(out[0]) - (lanes * 12 + distance)) < 1e-3 * lanes);
    CHECK(out[0] == out[2]);
  });
}

TEST_CASE("measuring the limits fills every rate") {
  ThreadPool pool(2);
  const MachineLimits limits = measure_limits(cpu_kernels(), pool);
  for (const MachineLimits::Rate* rate : {&limits.f32, &limits.bf16, &limits.read, &limits.update}) {
    CHECK(rate->one > 0);
    CHECK(rate->all > 0);
  }
  CHECK(limits.memory() >= limits.read.all);
}

}  // namespace
}  // namespace attend::kernels
