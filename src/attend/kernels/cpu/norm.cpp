// LayerNorm (Ba et al. 2016) and RMSNorm (Zhang & Sennrich 2019), fused with dropout and the residual sum, and sums of
// columns. Sums over rows run over fixed blocks of rows that are added in their order.
#include "attend/kernels/cpu/dropout_mask.hpp"
#include "attend/kernels/cpu/entries.hpp"
#include "attend/kernels/cpu/simd.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

constexpr int64_t kMaxBlocks = 64;  // of partial sums
constexpr int64_t block_rows(int64_t rows) { return larger(32, divide_up(rows, kMaxBlocks)); }

// to[j] (+)= Σ_b parts[b·stride + j], in the order of b.
void combine(KernelContext& context, int64_t blocks, int64_t columns, const float* parts, int64_t stride, float* to,
             bool accumulate) {
  constexpr int64_t kColumns = 256;
  parallel_for(*context.pool, divide_up(columns, kColumns), 4, [&](int64_t first, int64_t last, int) {
    for_vectors(first * kColumns, smaller(last * kColumns, columns), [&](int64_t j, auto n) {
      Vec total{};
      for (int64_t b = 0; b < blocks; ++b) total += load(parts + b * stride + j, n);
      store(to + j, accumulate ? load(to + j, n) + total : total, n);
    });
  });
}

float* shared_floats(KernelContext& context, int64_t count) {
  const int slot = context.pool->threads();
  context.scratch->reserve(slot + 1);
  return static_cast<float*>(context.scratch->get(slot, static_cast<size_t>(count) * sizeof(float)));
}

// Σ f(vector at j) over a row, with four chains.
template <class F>
ATTEND_INLINE float row_sum(int64_t width, const F& f) {
  Vec a{}, b{}, c{}, d{};
  int64_t j = 0;
  for (; j + 4 * kLanes <= width; j += 4 * kLanes) {
    a += f(j, AllLanes{});
    b += f(j + kLanes, AllLanes{});
    c += f(j + 2 * kLanes, AllLanes{});
    d += f(j + 3 * kLanes, AllLanes{});
  }
  for_vectors(j, width, [&](int64_t i, auto n) { a += f(i, n); });
  return sum((a + b) + (c + d));
}

// x - mean in the lanes that exist, 0 in the others.
ATTEND_INLINE Vec centred(const float* x, float mean, AllLanes) { return load(x) - mean; }
ATTEND_INLINE Vec centred(const float* x, float mean, int64_t n) {
  return select(lane_numbers() < static_cast<int32_t>(n), load(x, n) - mean, Vec{});
}

}  // namespace

void column_sum(KernelContext& context, const ColumnSum& p) noexcept {
  if (p.columns == 0) return;
  const int64_t step = block_rows(p.rows), blocks = divide_up(p.rows, step);
  float* parts = shared_floats(context, blocks * p.columns);
  parallel_for(*context.pool, blocks, 1, [&](int64_t first, int64_t last, int) {
    for (int64_t b = first; b < last; ++b) {
      const int64_t end = smaller((b + 1) * step, p.rows);
      constexpr int64_t kWide = 4 * kLanes;
      int64_t j = 0;
      for (; j + kWide <= p.columns; j += kWide) {
        Vec total[4] = {};
        for (int64_t i = b * step; i < end; ++i)
          for (int v = 0; v < 4; ++v) total[v] += load(p.x + i * p.columns + j + v * kLanes);
        for (int v = 0; v < 4; ++v) store(parts + b * p.columns + j + v * kLanes, total[v]);
      }
      for_vectors(j, p.columns, [&](int64_t column, auto n) {
        Vec total{};
        for (int64_t i = b * step; i < end; ++i) total += load(p.x + i * p.columns + column, n);
        store(parts + b * p.columns + column, total, n);
      });
    }
  });
  combine(context, blocks, p.columns, parts, p.columns, p.out, p.accumulate);
}

void norm(KernelContext& context, const Norm& p) noexcept {
  if (p.rows == 0 || p.width == 0) return;
  const int64_t width = p.width, block = larger(1, 8192 / width);
  parallel_for(*context.pool, divide_up(p.rows, block), 1, [&](int64_t first, int64_t last, int) {
    MaskStream mask(p.dropout);
    for (int64_t row = first * block; row < smaller(last * block, p.rows); ++row) {
      const float* x = p.x + row * width;
      if (p.sum != nullptr) {
        float* total = p.sum + row * width;
        const float* residual = p.residual != nullptr ? p.residual + row * width : nullptr;
        for_vectors(0, width, [&](int64_t j, auto n) {
          Vec value = load(x + j, n);
          if (mask.on()) {
            const Vec factor = mask.at(row * width + j);
            value = select(factor != 0.0f, value * factor, Vec{});
          }
          if (residual != nullptr) value += load(residual + j, n);
          store(total + j, value, n);
        });
        x = total;
      }
      if (p.y == nullptr) continue;
      float mean = 0;
      if (!p.rms) mean = row_sum(width, [&](int64_t j, auto n) { return load(x + j, n); }) / static_cast<float>(width);
      const float squares = row_sum(width, [&](int64_t j, auto n) {
        const Vec c = centred(x + j, mean, n);
        return c * c;
      });
      const float rstd = 1 / __builtin_sqrtf(squares / static_cast<float>(width) + p.epsilon);
      float* y = p.y + row * width;
      for_vectors(0, width, [&](int64_t j, auto n) {
        Vec value = (load(x + j, n) - mean) * rstd;
        if (p.weight != nullptr) value *= load(p.weight + j, n);
        if (p.bias != nullptr) value += load(p.bias + j, n);
        store(y + j, value, n);
      });
      if (p.mean != nullptr && !p.rms) p.mean[row] = mean;
      if (p.rstd != nullptr) p.rstd[row] = rstd;
    }
  });
}

// With x̂ = (sum - mean)·rstd and g = dy·weight:  dsum = rstd·(g - mean(g) - x̂·mean(g·x̂)); RMSNorm has no mean(g).
void norm_backward(KernelContext& context, const NormBackward& p) noexcept {
  if (p.width == 0 || p.rows == 0) return;
  const int64_t width = p.width, step = block_rows(p.rows), blocks = divide_up(p.rows, step);
  const bool sums = p.dweight != nullptr || p.dbias != nullptr;
  float* parts = sums ? shared_floats(context, blocks * 2 * width) : nullptr;
  parallel_for(*context.pool, blocks, 1, [&](int64_t first, int64_t last, int) {
    MaskStream mask(p.dropout);
    for (int64_t b = first; b < last; ++b) {
      float* dweight = sums ? parts + b * 2 * width : nullptr;
      float* dbias = sums ? dweight + width : nullptr;
      if (sums) __builtin_memset(dweight, 0, static_cast<size_t>(2 * width) * sizeof(float));
      for (int64_t row = b * step; row < smaller((b + 1) * step, p.rows); ++row) {
        const float* dy = p.dy + row * width;
        const float* x = p.sum + row * width;
        const float mean = p.rms ? 0 : p.mean[row], rstd = p.rstd[row];
        Vec g_total{}, gx_total{};
        for_vectors(0, width, [&](int64_t j, auto n) {
          const Vec d = load(dy + j, n);
          const Vec scaled = centred(x + j, mean, n) * rstd;
          const Vec g = p.weight != nullptr ? d * load(p.weight + j, n) : d;
          g_total += g;
          gx_total = fma(g, scaled, gx_total);
          if (sums) {
            store(dweight + j, fma(d, scaled, load(dweight + j, n)), n);
            store(dbias + j, load(dbias + j, n) + d, n);
          }
        });
        const float g_mean = p.rms ? 0 : sum(g_total) / static_cast<float>(width);
        const float gx_mean = sum(gx_total) / static_cast<float>(width);
        const float* direct = p.dsum_in != nullptr ? p.dsum_in + row * width : nullptr;
        float* dsum = p.dsum + row * width;
        float* dx = p.dx != nullptr ? p.dx + row * width : nullptr;
        for_vectors(0, width, [&](int64_t j, auto n) {
          const Vec d = load(dy + j, n);
          const Vec scaled = (load(x + j, n) - mean) * rstd;
          const Vec g = p.weight != nullptr ? d * load(p.weight + j, n) : d;
          Vec value = rstd * (g - g_mean - scaled * gx_mean);
          if (direct != nullptr) value += load(direct + j, n);
          store(dsum + j, value, n);
          if (dx == nullptr) return;
          if (mask.on()) {
            const Vec factor = mask.at(row * width + j);
            value = select(factor != 0.0f, value * factor, Vec{});
          }
          store(dx + j, value, n);
        });
      }
    }
  });
  if (p.dweight != nullptr) combine(context, blocks, width, parts, 2 * width, p.dweight, true);
  if (p.dbias != nullptr) combine(context, blocks, width, parts + width, 2 * width, p.dbias, true);
}

}  // namespace attend::kernels::ATTEND_LEVEL
