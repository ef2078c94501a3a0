// C = act(op(A)·op(B) + bias): tiles of C in registers, A and B in panels (Goto & van de Geijn 2008).
//
// One side is packed once into shared memory; the panels of the other side are the tasks, and each task packs its own.
// The depth k is cut into blocks by k alone, and inside a block every element of C is one chain of multiply-adds, so a
// row of C has the same bits alone, in a batch, packed or not, whatever the threads.
#include "attend/kernels/cpu/entries.hpp"
#include "attend/kernels/cpu/math.hpp"
#include "attend/kernels/cpu/pack.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

constexpr int64_t kMaxDepth = 512;              // of a block: a panel of B then fits half of a usual L2
constexpr int64_t kSharedFloats = 2 << 20;      // of the shared side at a time: it stays in L3
constexpr int64_t kSmall = 48 * 48 * 48;        // products below do not pay for a second thread
constexpr int64_t kTasks = 32, kMaxPanels = 6;  // aim for so many tasks, of so many panels at most

// c (+)= a·b for a panel of A with `rows` rows and one of B with `vectors` vectors.
using TileFunction = void (*)(int64_t k, const float* a, const float* b, int64_t b_step, float* c, int64_t ldc,
                              bool accumulate);

template <int rows, int vectors>
void tile(int64_t k, const float* a, const float* b, int64_t b_step, float* c, int64_t ldc, bool accumulate) {
  // C is far away when it is written, so it is called for now.
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < vectors; ++v) __builtin_prefetch(c + r * ldc + v * kLanes, 1);
  Vec total[rows][vectors] = {};
  tile_product<rows, vectors>(k, a, 1, rows, b, b_step, total);
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) {
      float* at = c + r * ldc + v * kLanes;
      store(at, accumulate ? load(at) + total[r][v] : total[r][v]);
    }
  }
}

template <int vectors>
TileFunction tile_of(int64_t rows) {
#if ATTEND_LEVEL_avx512
  static constexpr TileFunction table[] = {tile<1, vectors>,  tile<2, vectors>,  tile<3, vectors>,  tile<4, vectors>,
                                           tile<5, vectors>,  tile<6, vectors>,  tile<7, vectors>,  tile<8, vectors>,
                                           tile<9, vectors>,  tile<10, vectors>, tile<11, vectors>, tile<12, vectors>,
                                           tile<13, vectors>, tile<14, vectors>};
#elif ATTEND_LEVEL_avx2
  static constexpr TileFunction table[] = {tile<1, vectors>, tile<2, vectors>, tile<3, vectors>,
                                           tile<4, vectors>, tile<5, vectors>, tile<6, vectors>};
#else
  static constexpr TileFunction table[] = {tile<1, vectors>, tile<2, vectors>, tile<3, vectors>, tile<4, vectors>};
#endif
  static_assert(sizeof(table) / sizeof(table[0]) == kTileRows);
  return table[rows - 1];
}

// Bias and activation of a finished part of C.
void finish(const Matmul& p, int64_t row, int64_t column, int64_t rows, int64_t columns) {
  if (p.bias == nullptr && p.before == nullptr && p.activation == Activation::none) return;
  with_activation(p.activation, [&](auto tag) {
    for (int64_t i = row; i < row + rows; ++i) {
      float* c = p.c + i * p.ldc;
      float* before = p.before != nullptr ? p.before + i * p.ldc : nullptr;
      for_vectors(column, column + columns, [&](int64_t j, auto n) {
        Vec x = load(c + j, n);
        if (p.bias != nullptr) x += load(p.bias + j, n);
        if (before != nullptr) store(before + j, x, n);
        store(c + j, activate<decltype(tag)::value>(x), n);
      });
    }
  });
}

// A side of the product inside a task: where panel i of a block of the depth lies.
struct Panels {
  const float* data;
  int64_t stride;  // of panels
  int64_t step;    // from one l to the next (B; panels of A are as wide as they have rows)
};

class Product {
 public:
  Product(KernelContext& context, const Matmul& p)
      : p_(p),
        pool_(*context.pool),
        scratch_(*context.scratch),
        row_panels_(divide_up(p.m, kTileRows)),
        column_panels_(divide_up(p.n, kTileColumns)),
        depth_(divide_up(p.k, larger(1, divide_up(p.k, kMaxDepth)))),
        inline_(p.m * p.n * p.k < kSmall) {
    scratch_.reserve(pool_.threads() + 1);
  }

  void run() {
    if (column_panels_ > row_panels_) {
      share_a();
    } else {
      share_b();
    }
  }

 private:
  // parallel_for over `count` panels, `grain` at a time, unless the product is too small for it.
  template <class Body>
  void over_panels(int64_t count, int64_t grain, const Body& body) {
    parallel_for(pool_, count, inline_ ? count : grain, body);
  }

  int64_t rows_of(int64_t panel) const { return smaller(kTileRows, p_.m - panel * kTileRows); }
  int64_t columns_of(int64_t panel) const { return smaller(kTileColumns, p_.n - panel * kTileColumns); }

  static int64_t grain_of(int64_t panels) { return smaller(kMaxPanels, larger(1, panels / kTasks)); }

  void pack_a(int64_t panel, int64_t begin, int64_t depth, float* to) const {
    const int64_t row = panel * kTileRows;
    const float* from = p_.a_transposed ? p_.a + begin * p_.lda + row : p_.a + row * p_.lda + begin;
    pack_a_panel(from, p_.lda, p_.a_transposed, rows_of(panel), depth, to);
  }

  const float* b_at(int64_t panel, int64_t begin) const {
    const int64_t column = panel * kTileColumns;
    return p_.b_transposed ? p_.b + column * p_.ldb + begin : p_.b + begin * p_.ldb + column;
  }

  void pack_b(int64_t panel, int64_t begin, int64_t depth, float* to) const {
    pack_b_panel(b_at(panel, begin), p_.ldb, p_.b_transposed, columns_of(panel), depth, to);
  }

  float* memory(int slot, int64_t floats) {
    return static_cast<float*>(scratch_.get(slot, static_cast<size_t>(floats) * sizeof(float)));
  }

  // A is the smaller side: packed once; the tasks are panels of B.
  void share_a() {
    const int64_t chunk = larger(1, kSharedFloats / (kTileRows * larger(1, p_.k)));
    const bool as_it_lies = p_.m == 1 && (!p_.a_transposed || p_.lda == 1);
    for (int64_t first = 0; first < row_panels_; first += chunk) {
      const int64_t last = smaller(first + chunk, row_panels_);
      const float* shared = p_.a;
      if (!as_it_lies) {
        float* packed = memory(pool_.threads(), (last - first) * kTileRows * p_.k);
        over_panels(last - first, larger(1, 16384 / (kTileRows * p_.k + 1)), [&](int64_t begin, int64_t end, int) {
          for (int64_t i = begin; i < end; ++i) pack_a(first + i, 0, p_.k, packed + i * kTileRows * p_.k);
        });
        shared = packed;
      }
      over_panels(column_panels_, grain_of(column_panels_), [&](int64_t begin, int64_t end, int worker) {
        for (int64_t l = 0; l < p_.k; l += depth_) {
          const int64_t depth = smaller(depth_, p_.k - l);
          for (int64_t j = begin; j < end;) {
            const int64_t next = smaller(j + kMaxPanels, end);
            const Panels b = own_b(j, next, l, depth, last - first, worker);
            for (int64_t i = first; i < last; ++i) {
              const float* a = shared + (i - first) * kTileRows * p_.k + l * rows_of(i);
              for (int64_t column = j; column < next; ++column)
                one_tile(i, column, l, depth, a, b.data + (column - j) * b.stride, b.step);
            }
            j = next;
          }
        }
      });
    }
  }

  // B is the smaller side: packed once (or already); the tasks are panels of A.
  void share_b() {
    const int64_t fitting = larger(1, kSharedFloats / (kTileColumns * larger(1, p_.k)));
    const int64_t chunk = p_.packed_b != nullptr ? column_panels_ : fitting;
    for (int64_t first = 0; first < column_panels_; first += chunk) {
      const int64_t last = smaller(first + chunk, column_panels_);
      const float* shared = p_.packed_b;
      if (shared == nullptr) {
        float* packed = memory(pool_.threads(), (last - first) * kTileColumns * p_.k);
        over_panels(last - first, larger(1, 16384 / (kTileColumns * p_.k + 1)), [&](int64_t begin, int64_t end, int) {
          for (int64_t j = begin; j < end; ++j) pack_b(first + j, 0, p_.k, packed + j * kTileColumns * p_.k);
        });
        shared = packed;
      }
      over_panels(row_panels_, grain_of(row_panels_), [&](int64_t begin, int64_t end, int worker) {
        float* own = memory(worker, kMaxPanels * kTileRows * depth_);
        for (int64_t l = 0; l < p_.k; l += depth_) {
          const int64_t depth = smaller(depth_, p_.k - l);
          for (int64_t i = begin; i < end;) {
            const int64_t next = smaller(i + kMaxPanels, end);
            for (int64_t row = i; row < next; ++row) pack_a(row, l, depth, own + (row - i) * kTileRows * depth_);
            for (int64_t j = first; j < last; ++j) {
              const float* b = shared + (j - first) * kTileColumns * p_.k + l * kTileColumns;
              for (int64_t row = i; row < next; ++row)
                one_tile(row, j, l, depth, own + (row - i) * kTileRows * depth_, b, kTileColumns);
            }
            i = next;
          }
        }
      });
    }
  }

  // The panels [j, end) of B for one block of the depth: packed by the caller of matmul, or where they lie if few rows
  // would use the copy, or packed now.
  Panels own_b(int64_t j, int64_t end, int64_t begin, int64_t depth, int64_t row_panels, int worker) {
    if (p_.packed_b != nullptr)
      return {p_.packed_b + j * kTileColumns * p_.k + begin * kTileColumns, kTileColumns * p_.k, kTileColumns};
    if (!p_.b_transposed && row_panels == 1 && end * kTileColumns <= p_.n)
      return {b_at(j, begin), kTileColumns, p_.ldb};
    float* own = memory(worker, kMaxPanels * kTileColumns * depth_);
    for (int64_t panel = j; panel < end; ++panel)
      pack_b(panel, begin, depth, own + (panel - j) * kTileColumns * depth_);
    return {own, kTileColumns * depth_, kTileColumns};
  }

  void one_tile(int64_t row_panel, int64_t column_panel, int64_t begin, int64_t depth, const float* a, const float* b,
                int64_t b_step) {
    const int64_t rows = rows_of(row_panel), columns = columns_of(column_panel);
    const int64_t row = row_panel * kTileRows, column = column_panel * kTileColumns;
    const bool accumulate = begin > 0 || p_.accumulate;
    float* c = p_.c + row * p_.ldc + column;
    if (columns == kTileColumns) {
      tile_of<kTileVectors>(rows)(depth, a, b, b_step, c, p_.ldc, accumulate);
    } else {
      float part[kTileRows * kTileColumns];
      (columns <= kLanes ? tile_of<1> : tile_of<kTileVectors>)(rows)(depth, a, b, b_step, part, kTileColumns, false);
      for (int64_t i = 0; i < rows; ++i)
        for_vectors(0, columns, [&](int64_t j, auto n) {
          float* at = c + i * p_.ldc + j;
          const Vec x = load(part + i * kTileColumns + j, n);
          store(at, accumulate ? load(at, n) + x : x, n);
        });
    }
    if (begin + depth == p_.k) finish(p_, row, column, rows, columns);
  }

  const Matmul& p_;
  ThreadPool& pool_;
  Scratch& scratch_;
  const int64_t row_panels_, column_panels_, depth_;
  const bool inline_;
};

// A product over nothing: zeros and what comes after.
void empty_sum(const Matmul& p) {
  for (int64_t i = 0; i < p.m && !p.accumulate; ++i)
    __builtin_memset(p.c + i * p.ldc, 0, static_cast<size_t>(p.n) * sizeof(float));
  finish(p, 0, 0, p.m, p.n);
}

}  // namespace

int64_t packed_size(int64_t n, int64_t k) noexcept { return round_up(n, kTileColumns) * k; }

void pack_matmul(KernelContext& context, const PackMatmul& p) noexcept {
  parallel_for(*context.pool, divide_up(p.n, kTileColumns), larger(1, 16384 / (kTileColumns * p.k + 1)),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t panel = begin; panel < end; ++panel) {
                   const int64_t column = panel * kTileColumns;
                   pack_b_panel(p.b_transposed ? p.b + column * p.ldb : p.b + column, p.ldb, p.b_transposed,
                                smaller(kTileColumns, p.n - column), p.k, p.packed + column * p.k);
                 }
               });
}

void matmul(KernelContext& context, const Matmul& p) noexcept {
  if (p.m == 0 || p.n == 0) return;
  if (p.k == 0) return empty_sum(p);
  Product(context, p).run();
}

}  // namespace attend::kernels::ATTEND_LEVEL
