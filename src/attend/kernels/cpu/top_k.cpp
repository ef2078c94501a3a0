// The best few of each row, in one pass that touches memory once: what a search wants of the scores of a vocabulary.
#include "attend/kernels/cpu/entries.hpp"
#include "attend/kernels/cpu/simd.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

ATTEND_INLINE bool any(Int mask) {
#if ATTEND_LEVEL_avx512
  return _mm512_movepi32_mask(reinterpret_cast<__m512i>(mask)) != 0;
#elif ATTEND_LEVEL_avx2
  return _mm256_movemask_ps(reinterpret_cast<__m256>(mask)) != 0;
#else
  return ((mask[0] | mask[1]) | (mask[2] | mask[3])) != 0;
#endif
}

// The best so far, best first. Equal scores stay in the order in which they came.
struct List {
  int64_t size, count = 0;
  int32_t* indices;
  float* scores;

  float least() const { return count < size ? -kInfinity : scores[size - 1]; }
  void insert(int32_t index, float score) {
    if (count < size) ++count;
    int64_t at = count - 1;
    for (; at > 0 && scores[at - 1] < score; --at) {
      scores[at] = scores[at - 1];
      indices[at] = indices[at - 1];
    }
    scores[at] = score;
    indices[at] = index;
  }
};

}  // namespace

void top_k(KernelContext& context, const TopK& p) noexcept {
  if (p.k == 0) return;
  parallel_for(*context.pool, p.rows, larger(1, 4096 / larger(1, p.columns)), [&](int64_t first, int64_t last, int) {
    for (int64_t row = first; row < last; ++row) {
      const float* x = p.x + row * p.ldx;
      const float shift = p.shift[row], log_sum = p.log_sum[row], add = p.add[row];
      List best{p.k, 0, p.indices + row * p.k, p.scores + row * p.k};
      for (int64_t i = 0; i < p.k; ++i) {
        best.indices[i] = -1;
        best.scores[i] = -kInfinity;
      }
      // Vectors in which something enters are looked at number by number.
      const auto offer = [&](int64_t j, Vec score, int64_t n) {
        if (!any(score > best.least())) return;
        for (int64_t i = 0; i < n; ++i)
          if (score[i] > best.least()) best.insert(static_cast<int32_t>(j + i), score[i]);
      };
      for_vectors(0, p.columns, [&](int64_t j, auto n) { offer(j, ((load(x + j, n) - shift) - log_sum) + add, n); });
    }
  });
}

}  // namespace attend::kernels::ATTEND_LEVEL
