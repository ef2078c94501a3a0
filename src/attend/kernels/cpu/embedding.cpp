// Embedding lookup and its gradient.
#include "attend/kernels/cpu/entries.hpp"
#include "attend/kernels/cpu/simd.hpp"

namespace attend::kernels::ATTEND_LEVEL {

void embedding(KernelContext& context, const Embedding& p) noexcept {
  if (p.rows == 0 || p.width == 0) return;
  const int64_t block = larger(1, 8192 / p.width);
  parallel_for(*context.pool, divide_up(p.rows, block), 1, [&](int64_t first, int64_t last, int) {
    for (int64_t row = first * block; row < smaller(last * block, p.rows); ++row) {
      const float* from = p.table + p.ids[row] * p.width;
      const float* position = p.positions != nullptr ? p.positions + p.position_ids[row] * p.width : nullptr;
      float* y = p.y + row * p.width;
      for_vectors(0, p.width, [&](int64_t j, auto n) {
        const Vec x = p.scale * load(from + j, n);
        store(y + j, position != nullptr ? x + load(position + j, n) : x, n);
      });
    }
  });
}

// A tile owns the ids of one group (and up to kColumns columns), so every sum runs in the order of the rows whatever
// the number of threads, rows are read whole, and no two cores write to one line.
void embedding_backward(KernelContext& context, const EmbeddingBackward& p) noexcept {
  constexpr int64_t kColumns = 512, kGroups = 8;
  const int64_t blocks = divide_up(p.width, kColumns);
  parallel_for(*context.pool, blocks * kGroups, 1, [&](int64_t first, int64_t last, int) {
    for (int64_t tile = first; tile < last; ++tile) {
      const int64_t begin = tile / kGroups * kColumns, end = smaller(begin + kColumns, p.width);
      for (int64_t row = 0; row < p.rows; ++row) {
        const int32_t id = p.ids[row];
        if (id % kGroups != tile % kGroups || id == p.skip) continue;
        float* to = p.dtable + id * p.width;
        const float* dy = p.dy + row * p.width;
        for_vectors(begin, end, [&](int64_t j, auto n) {
          store(to + j, fma(splat(p.scale), load(dy + j, n), load(to + j, n)), n);
        });
      }
    }
  });
}

}  // namespace attend::kernels::ATTEND_LEVEL
