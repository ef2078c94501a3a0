#include "attend/kernels/limits.hpp"

#include <algorithm>
#include <chrono>
#include <vector>

namespace attend::kernels {
namespace {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// The best of as many runs as fit in a tenth of a second, and at least 3: threads that just woke up need a while until
/// each has a core of its own.
template <class F>
double shortest(F&& run) {
  double best = 1e9;
  const double first = seconds_now();
  for (int runs = 0; runs < 3 || seconds_now() - first < 0.1; ++runs) {
    const double start = seconds_now();
    run();
    best = std::min(best, seconds_now() - start);
  }
  return best;
}

double arithmetic_rate(KernelContext& context, Format format) {
  constexpr int64_t rounds = 25'000;  // about a millisecond
  const int64_t tiles = 4 * context.pool->threads();
  std::vector<float> out(static_cast<size_t>(tiles));
  double flops = 0;
  const double seconds = shortest([&] {
    context.table->multiply_add(context, {format, tiles, rounds, out.data(), &flops});
  });
  return flops / seconds;
}

double read_rate(KernelContext& context, const std::vector<float>& memory) {
  constexpr int64_t tile = 1 << 16;  // 256 KiB
  const int64_t tiles = static_cast<int64_t>(memory.size()) / tile;
  std::vector<float> out(static_cast<size_t>(tiles));
  const double seconds = shortest([&] {
    context.table->read_memory(context, {tiles, tile, memory.data(), out.data()});
  });
  return 4.0 * static_cast<double>(memory.size()) / seconds;
}

double update_rate(KernelContext& context, std::vector<float>& memory) {
  const auto half = static_cast<int64_t>(memory.size() / 2);
  const double seconds = shortest([&] {
    context.table->axpby(context, {half, 0.5f, memory.data(), 0.5f, memory.data() + half});
  });
  return 12.0 * static_cast<double>(half) / seconds;
}

}  // namespace

MachineLimits measure_limits(const KernelTable& table, ThreadPool& pool) {
  Scratch scratch;
  scratch.reserve(pool.threads() + 1);
  ThreadPool alone(1);
  KernelContext one{&table, &alone, &scratch}, all{&table, &pool, &scratch};
  MachineLimits limits;
  limits.f32 = {arithmetic_rate(one, Format::f32), arithmetic_rate(all, Format::f32)};
  limits.bf16 = {arithmetic_rate(one, Format::bf16), arithmetic_rate(all, Format::bf16)};
  std::vector<float> memory(size_t{1} << 26, 1.0f);
  limits.read = {read_rate(one, memory), read_rate(all, memory)};
  limits.update = {update_rate(one, memory), update_rate(all, memory)};
  return limits;
}

}  // namespace attend::kernels
