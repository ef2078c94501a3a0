// A loop that does nothing but reach the arithmetic that a core can do.
#include "attend/kernels/cpu/entries.hpp"
#include "attend/kernels/cpu/tile.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

constexpr int kChains = 12;  // hide the latency of an addition and fit the registers

template <Format product>
float sum_of_chains(int64_t rounds) {
  Vec chains[kChains];
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) chains[c] = splat(static_cast<float>(c));  // all different: nothing folds
  const Vec x = splat(0.999f), y = splat(0.001f);
  for (int64_t i = 0; i < rounds; ++i)
#pragma GCC unroll 12
    for (Vec& chain : chains)
      if constexpr (kPerLane < product >> 1)
        chain = multiply_add<product>(x, y, chain);
      else
        chain = fma(chain, x, y);  // without a fused instruction x·y would be computed once
#pragma GCC unroll 12
  for (int c = 1; c < kChains; ++c) chains[0] += chains[c];
  return sum(chains[0]);
}

template <Format product>
void run_chains(KernelContext& context, const MultiplyAdd& p) {
  parallel_for(*context.pool, p.tiles, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t tile = begin; tile < end; ++tile) p.out[tile] = sum_of_chains<product>(p.rounds);
  });
  *p.flops = 2.0 * kLanes * kPerLane<product> * kChains * static_cast<double>(p.tiles) * static_cast<double>(p.rounds);
}

}  // namespace

void multiply_add(KernelContext& context, const MultiplyAdd& p) noexcept {
  p.format == Format::bf16 ? run_chains<Format::bf16>(context, p) : run_chains<Format::f32>(context, p);
}

}  // namespace attend::kernels::ATTEND_LEVEL
