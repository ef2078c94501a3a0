// Softmax, log-softmax and the fused softmax + cross-entropy with label smoothing. Sums of a row are taken in f32 over
// slices and added in double precision, so that long vocabularies lose nothing.
#include "attend/kernels/cpu/entries.hpp"
#include "attend/kernels/cpu/math.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

constexpr int64_t kSlice = 64 * kLanes;

// The lanes that exist; `otherwise` in the rest.
ATTEND_INLINE Vec load_or(const float* p, AllLanes, float) { return load(p); }
ATTEND_INLINE Vec load_or(const float* p, int64_t n, float otherwise) {
  return select(lane_numbers() < static_cast<int32_t>(n), load(p, n), splat(otherwise));
}

struct MaxAndSum {
  float max;
  double sum;
};

// One walk for both: what it brings into the cache serves the next one.
template <bool WithSum>
MaxAndSum max_and_sum(const float* x, int64_t columns) {
  Vec most = splat(-kInfinity);
  double total = 0;
  for (int64_t begin = 0; begin < columns; begin += kSlice) {
    Vec part{};
    for_vectors(begin, smaller(begin + kSlice, columns), [&](int64_t j, auto n) {
      most = max(most, load_or(x + j, n, -kInfinity));
      if constexpr (WithSum) part += load(x + j, n);
    });
    if constexpr (WithSum) total += static_cast<double>(sum(part));
  }
  return {max_of(most), total};
}

// Σ e^(x - max); with y, the terms are kept there (y may be x).
double exp_sum(const float* x, int64_t columns, float max, float* y) {
  double total = 0;
  for (int64_t begin = 0; begin < columns; begin += kSlice) {
    Vec part{};
    for_vectors(begin, smaller(begin + kSlice, columns), [&](int64_t j, auto n) {
      const Vec e = exp(load_or(x + j, n, -kInfinity) - max);
      part += e;
      if (y != nullptr) store(y + j, e, n);
    });
    total += static_cast<double>(sum(part));
  }
  return total;
}

// body(row) for every row, a tile of rows at a time.
template <class Body>
void for_rows(KernelContext& context, int64_t rows, int64_t columns, const Body& body) {
  const int64_t block = larger(1, 8192 / larger(1, columns));
  parallel_for(*context.pool, divide_up(rows, block), 1, [&](int64_t first, int64_t last, int) {
    for (int64_t row = first * block; row < smaller(last * block, rows); ++row) body(row);
  });
}

}  // namespace

void softmax(KernelContext& context, const Softmax& p) noexcept {
  if (p.columns == 0) return;
  for_rows(context, p.rows, p.columns, [&](int64_t row) {
    const float* x = p.x + row * p.ldx;
    float* y = p.y + row * p.ldy;
    const float max = max_and_sum<false>(x, p.columns).max;
    if (p.log) {
      const float lse = static_cast<float>(__builtin_log(exp_sum(x, p.columns, max, nullptr)));
      for_vectors(0, p.columns, [&](int64_t j, auto n) { store(y + j, (load(x + j, n) - max) - lse, n); });
    } else {
      const float factor = static_cast<float>(1 / exp_sum(x, p.columns, max, y));
      for_vectors(0, p.columns, [&](int64_t j, auto n) { store(y + j, load(y + j, n) * factor, n); });
    }
  });
}

void log_sum_exp(KernelContext& context, const LogSumExp& p) noexcept {
  if (p.columns == 0) return;
  for_rows(context, p.rows, p.columns, [&](int64_t row) {
    const float* x = p.x + row * p.ldx;
    p.max[row] = max_and_sum<false>(x, p.columns).max;
    p.log_sum[row] = static_cast<float>(__builtin_log(exp_sum(x, p.columns, p.max[row], nullptr)));
  });
}

// d loss/d x_j = softmax(x)_j - (1-ε)·[j = target] - ε/V
void softmax_cross_entropy(KernelContext& context, const SoftmaxCrossEntropy& p) noexcept {
  if (p.vocab == 0) return;
  const float smoothing = p.label_smoothing;
  for_rows(context, p.rows, p.vocab, [&](int64_t row) {
    const float* x = p.logits + row * p.ld;
    float* gradient = p.gradient != nullptr ? p.gradient + row * p.ld : nullptr;
    const int32_t target = p.targets[row];
    if (target == p.ignore) {
      p.losses[row] = 0;
      if (gradient != nullptr) __builtin_memset(gradient, 0, static_cast<size_t>(p.vocab) * sizeof(float));
      return;
    }
    const auto [max, sum] = smoothing != 0 ? max_and_sum<true>(x, p.vocab) : max_and_sum<false>(x, p.vocab);
    const float at_target = x[target];
    const double mean = sum / static_cast<double>(p.vocab);
    const double total = exp_sum(x, p.vocab, max, gradient);
    const double lse = static_cast<double>(max) + __builtin_log(total), epsilon = static_cast<double>(smoothing);
    p.losses[row] = static_cast<float>((1 - epsilon) * (lse - static_cast<double>(at_target)) + epsilon * (lse - mean));
    if (gradient == nullptr) return;
    const float factor = static_cast<float>(static_cast<double>(p.gradient_scale) / total);
    const float floor = p.gradient_scale * smoothing / static_cast<float>(p.vocab);
    for_vectors(0, p.vocab, [&](int64_t j, auto n) {
      store(gradient + j, fma(load(gradient + j, n), splat(factor), splat(-floor)), n);
    });
    gradient[target] -= p.gradient_scale * (1 - smoothing);
  });
}

}  // namespace attend::kernels::ATTEND_LEVEL
