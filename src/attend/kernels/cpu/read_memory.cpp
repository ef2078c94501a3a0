// A loop that does nothing but read.
#include "attend/kernels/cpu/entries.hpp"
#include "attend/kernels/cpu/simd.hpp"

namespace attend::kernels::ATTEND_LEVEL {

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
