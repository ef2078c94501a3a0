// Loops that do nothing but reach what the hardware can do.
#include "attend/kernels/cpu/entries.hpp"
#include "attend/kernels/cpu/tile.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

constexpr int kChains = 12;  // hide the latency of an addition and fit the registers

ATTEND_INLINE float sum_of(const Vec (&chains)[kChains]) {
  Vec total = chains[0];
#pragma GCC unroll 12
  for (int c = 1; c < kChains; ++c) total += chains[c];
  return sum(total);
}

template <Format product>
float chained(int64_t rounds) {
  Vec chains[kChains];
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) chains[c] = splat(static_cast<float>(c));  // all different: nothing folds
  const Vec x = splat(0.999f), y = splat(0.001f);
  for (int64_t i = 0; i < rounds; ++i)
#pragma GCC unroll 12
    for (Vec& chain : chains) chain = multiply_add<product>(x, y, chain);
  return sum_of(chains);
}

}  // namespace

void multiply_add(KernelContext& context, const MultiplyAdd& p) noexcept {
  parallel_for(*context.pool, p.tiles, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t tile = begin; tile < end; ++tile)
      p.out[tile] = p.format == Format::bf16 ? chained<Format::bf16>(p.rounds) : chained<Format::f32>(p.rounds);
  });
  const int numbers = kLanes * (p.format == Format::bf16 ? kPerLane<Format::bf16> : 1);
  *p.flops = 2.0 * numbers * kChains * static_cast<double>(p.tiles) * static_cast<double>(p.rounds);
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
