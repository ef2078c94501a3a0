// C = act(op(A)·op(B) + bias).
#include "attend/kernels/cpu/entries.hpp"
#include "attend/kernels/cpu/math.hpp"

namespace attend::kernels::ATTEND_LEVEL {

int64_t packed_size(int64_t n, int64_t k) noexcept { return n * k; }

void pack_matmul(KernelContext&, const PackMatmul& p) noexcept {
  for (int64_t l = 0; l < p.k; ++l)
    for (int64_t j = 0; j < p.n; ++j) p.packed[l * p.n + j] = p.b_transposed ? p.b[j * p.ldb + l] : p.b[l * p.ldb + j];
}

void matmul(KernelContext& context, const Matmul& p) noexcept {
  parallel_for(*context.pool, p.m, 8, [&](int64_t first, int64_t last, int) {
    for (int64_t i = first; i < last; ++i) {
      float* c = p.c + i * p.ldc;
      for (int64_t j = 0; j < p.n; ++j) {
        float total = 0;
        for (int64_t l = 0; l < p.k; ++l) {
          const float a = p.a_transposed ? p.a[l * p.lda + i] : p.a[i * p.lda + l];
          const float b = p.packed_b != nullptr ? p.packed_b[l * p.n + j]
                          : p.b_transposed      ? p.b[j * p.ldb + l]
                                                : p.b[l * p.ldb + j];
          total += a * b;
        }
        c[j] = p.accumulate ? c[j] + total : total;
      }
      if (p.bias != nullptr)
        for_vectors(0, p.n, [&](int64_t j, auto n) { store(c + j, load(c + j, n) + load(p.bias + j, n), n); });
      if (p.before != nullptr) __builtin_memcpy(p.before + i * p.ldc, c, static_cast<size_t>(p.n) * sizeof(float));
      with_activation(p.activation, [&](auto tag) {
        for_vectors(0, p.n,
                    [&](int64_t j, auto n) { store(c + j, activate<decltype(tag)::value>(load(c + j, n)), n); });
      });
    }
  });
}

}  // namespace attend::kernels::ATTEND_LEVEL
