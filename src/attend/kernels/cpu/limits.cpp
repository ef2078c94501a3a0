// Loops that do nothing but reach what the hardware can do.
#include "attend/kernels/cpu/entries.hpp"
#include "attend/kernels/cpu/simd.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

constexpr int kChains = 12;  // hide the latency of an addition and fit the registers

ATTEND_INLINE float sum_of(const Vec (&chains)[kChains]) {
  Vec total = chains[0];
#pragma GCC unroll 12
  for (int c = 1; c < kChains; ++c) total += chains[c];
  return sum(total);
}

float multiply_add_f32(int64_t rounds) {
  Vec chains[kChains];
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) chains[c] = splat(static_cast<float>(c));  // all different: nothing folds
  const Vec x = splat(0.999f), y = splat(0.001f);
  for (int64_t i = 0; i < rounds; ++i)
#pragma GCC unroll 12
    for (Vec& chain : chains) chain = fma(chain, x, y);
  return sum_of(chains);
}

}  // namespace

void multiply_add(KernelContext& context, const MultiplyAdd& p) noexcept {
  parallel_for(*context.pool, p.tiles, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t tile = begin; tile < end; ++tile) p.out[tile] = multiply_add_f32(p.rounds);
  });
  *p.flops = 2.0 * kLanes * kChains * static_cast<double>(p.tiles) * static_cast<double>(p.rounds);
}

void read_memory(KernelContext& context, const ReadMemory& p) noexcept {
  constexpr int kStreams = 4;
  parallel_for(*context.pool, p.tiles, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t tile = begin; tile < end; ++tile) {
      Vec sums[kStreams] = {};
      const float* x = p.x + tile * p.tile_size;
      for (int64_t i = 0; i + kStreams * kLanes <= p.tile_size; i += kStreams * kLanes)
#pragma GCC unroll 4
        for (int s = 0; s < kStreams; ++s) sums[s] += load(x + i + s * kLanes);
      p.out[tile] = sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
    }
  });
}

}  // namespace attend::kernels::ATTEND_LEVEL
