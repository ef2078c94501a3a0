// Elementwise kernels: activations and their slopes, dropout, a·x + b·y, and the sum of squares.
#include "attend/kernels/cpu/dropout_mask.hpp"
#include "attend/kernels/cpu/entries.hpp"
#include "attend/kernels/cpu/math.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

constexpr int64_t kTile = 16384;

// body(begin, end) over tiles of [0, size).
template <class Body>
void for_tiles(KernelContext& context, int64_t size, const Body& body) {
  parallel_for(*context.pool, divide_up(size, kTile), 1,
               [&](int64_t begin, int64_t end, int) { body(begin * kTile, smaller(end * kTile, size)); });
}

}  // namespace

void activation(KernelContext& context, const ActivationApply& p) noexcept {
  with_activation(p.activation, [&](auto tag) {
    for_tiles(context, p.size, [&](int64_t begin, int64_t end) {
      for_vectors(begin, end,
                  [&](int64_t i, auto n) { store(p.y + i, activate<decltype(tag)::value>(load(p.x + i, n)), n); });
    });
  });
}

void activation_backward(KernelContext& context, const ActivationBackward& p) noexcept {
  with_activation(p.activation, [&](auto tag) {
    constexpr Activation kind = decltype(tag)::value;
    constexpr bool from_output = kind == Activation::relu || kind == Activation::tanh || kind == Activation::sigmoid;
    constexpr bool constant = kind == Activation::none;
    for_tiles(context, p.size, [&](int64_t begin, int64_t end) {
      for_vectors(begin, end, [&](int64_t i, auto n) {
        Vec x{}, y{};
        if constexpr (from_output) {
          y = load(p.y + i, n);
        } else if constexpr (!constant) {
          x = load(p.before + i, n);
        }
        store(p.dx + i, load(p.dy + i, n) * derivative<kind>(x, y), n);
      });
    });
  });
}

void dropout(KernelContext& context, const DropoutApply& p) noexcept {
  for_tiles(context, p.size, [&](int64_t begin, int64_t end) {
    MaskStream mask(p.dropout);
    if (!mask.on()) {
      if (p.y != p.x) for_vectors(begin, end, [&](int64_t i, auto n) { store(p.y + i, load(p.x + i, n), n); });
      return;
    }
    for_vectors(begin, end, [&](int64_t i, auto n) {
      const Vec factor = mask.at(i);
      store(p.y + i, select(factor != 0.0f, load(p.x + i, n) * factor, Vec{}), n);
    });
  });
}

void axpby(KernelContext& context, const Axpby& p) noexcept {
  for_tiles(context, p.size, [&](int64_t begin, int64_t end) {
    // A factor of 0 must not read: what lies there may be NaN.
    if (p.alpha == 0 && p.beta == 0) {
      for_vectors(begin, end, [&](int64_t i, auto n) { store(p.y + i, splat(0), n); });
    } else if (p.alpha == 0) {
      for_vectors(begin, end, [&](int64_t i, auto n) { store(p.y + i, p.beta * load(p.y + i, n), n); });
    } else if (p.beta == 0) {
      for_vectors(begin, end, [&](int64_t i, auto n) { store(p.y + i, p.alpha * load(p.x + i, n), n); });
    } else {
      for_vectors(begin, end, [&](int64_t i, auto n) {
        store(p.y + i, fma(splat(p.alpha), load(p.x + i, n), p.beta * load(p.y + i, n)), n);
      });
    }
  });
}

void sum_of_squares(KernelContext& context, const SumOfSquares& p) noexcept {
  constexpr int kHalf = kLanes / 2;
  typedef double Wide __attribute__((vector_size(8 * kHalf)));
  typedef float Narrow __attribute__((vector_size(4 * kHalf), aligned(4), may_alias));
  *p.out = 0;
  if (p.size == 0) return;
  const int64_t tiles = divide_up(p.size, kTile);
  const int slot = context.pool->threads();
  context.scratch->reserve(slot + 1);
  double* parts = static_cast<double*>(context.scratch->get(slot, static_cast<size_t>(tiles) * sizeof(double)));
  parallel_for(*context.pool, tiles, 1, [&](int64_t first, int64_t last, int) {
    for (int64_t tile = first; tile < last; ++tile) {
      const int64_t end = smaller((tile + 1) * kTile, p.size);
      int64_t i = tile * kTile;
      Wide even{}, odd{};
      for (; i + kLanes <= end; i += kLanes) {
        const Wide a = __builtin_convertvector(*reinterpret_cast<const Narrow*>(p.x + i), Wide);
        const Wide b = __builtin_convertvector(*reinterpret_cast<const Narrow*>(p.x + i + kHalf), Wide);
        even += a * a;
        odd += b * b;
      }
      double total = 0;
      for (int lane = 0; lane < kHalf; ++lane) total += even[lane] + odd[lane];
      for (; i < end; ++i) total += static_cast<double>(p.x[i]) * static_cast<double>(p.x[i]);
      parts[tile] = total;
    }
  });
  double total = 0;
  for (int64_t tile = 0; tile < tiles; ++tile) total += parts[tile];
  *p.out = total;
}

void mean(KernelContext&, const Mean& p) noexcept {
  double sum = 0;
  for (int64_t i = 0; i < p.size; ++i) sum += static_cast<double>(p.x[i]);
  *p.out = static_cast<float>(sum / p.divisor);
}

void copy(KernelContext&, const Copy& p) noexcept {
  if (p.bytes > 0) __builtin_memcpy(p.to, p.from, static_cast<size_t>(p.bytes));
}

}  // namespace attend::kernels::ATTEND_LEVEL
