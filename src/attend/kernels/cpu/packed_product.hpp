// C = act(A·B + bias) with B packed beforehand in a format of few bytes, for products where few rows of A use each
// number of B, as in every step of generation: reading B is what takes the time.
//
// A format (`Panels`) says how the sides lie and how a tile is multiplied:
//   A, B                         the numbers of a lane of each side
//   kRowEnd, kColumnEnd          lanes behind each panel of A and B, for scales and the like
//   kAsItLies                    a single row of A is used where it lies
//   lanes(k)                     steps of the tile for k numbers
//   depth(lanes)                 how many of them are one block
//   pack(a, lda, rows, k, to)    rows of A become a panel
//   Vector                       of a tile: sums, a vector of B, a number of A in all lanes
//   first(column_end)            what sums start with; column_end: behind the block, where the lanes of kColumnEnd
//   begin column(b), factor(a)         what lies at b and a add(factor, column, sum)     sum + factor·column
//   finish(sum, row_end, column_end)   the products in f32; row_end: the row's lane of kRowEnd
#pragma once

#include "attend/base/thread_pool.hpp"
#include "attend/kernels/cpu/math.hpp"
#include "attend/kernels/cpu/pack.hpp"
#include "attend/kernels/cpu/split.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

// Vectors of B beside each other in a tile of `rows` rows: few rows need more columns, for enough chains that overlap.
#if ATTEND_LEVEL_avx512
constexpr int vectors_of(int rows) { return rows == 1 ? 8 : rows <= 4 ? 4 : 2; }
#else
constexpr int vectors_of(int rows) { return rows == 1 ? 4 : 2; }
#endif

// What comes after the product, in the tile itself.
struct TileEnd {
  const float* bias;  // of the tile's first column, or null
  bool accumulate, relu;
};

// `depth` steps of a panel of A with `rows` rows and panels of B, kTileColumns wide, that lie `stride` apart.
template <class Panels, int rows, int vectors>
void packed_tile(int64_t depth, const typename Panels::A* a, const typename Panels::B* b, int64_t stride, float* c,
                 int64_t ldc, TileEnd after) {
  const typename Panels::B* columns[vectors];
#pragma GCC unroll 8
  for (int v = 0; v < vectors; ++v) columns[v] = b + v / kTileVectors * stride + v % kTileVectors * kLanes;
  typename Panels::Vector sums[rows][vectors];
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) sums[r][v] = Panels::first(columns[v] + depth * kTileColumns);
#pragma GCC unroll 2
  for (int64_t l = 0; l < depth; ++l) {
    typename Panels::Vector here[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) here[v] = Panels::column(columns[v] + l * kTileColumns);
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      const typename Panels::Vector factor = Panels::factor(a[l * rows + r]);
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) sums[r][v] = Panels::add(factor, here[v], sums[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      float* at = c + r * ldc + v * kLanes;
      Vec x = Panels::finish(sums[r][v], a + depth * rows + r, columns[v] + depth * kTileColumns);
      if (after.accumulate) x = load(at) + x;
      if (after.bias != nullptr) x += load(after.bias + v * kLanes);
      if (after.relu) x = activate<Activation::relu>(x);
      store(at, x);
    }
}

template <class Panels>
class PackedProduct {
 public:
  using A = typename Panels::A;
  using B = typename Panels::B;

  PackedProduct(KernelContext& context, const MatmulPacked& p)
      : p_(p),
        pool_(*context.pool),
        scratch_(*context.scratch),
        row_panels_(divide_up(p.m, kTileRows)),
        column_panels_(divide_up(p.n, kTileColumns)),
        lanes_(Panels::lanes(p.k)),
        depth_(Panels::depth(lanes_)),
        row_size_(lanes_ + Panels::kRowEnd),
        column_panel_size_((lanes_ + Panels::kColumnEnd) * kTileColumns),
        inline_(is_small(p.m, p.n, p.k)) {
    scratch_.reserve(pool_.threads() + 1);
  }

  void run() {
    if (row_panels_ <= 2 * column_panels_) return over_columns();
    over_rows();
  }

 private:
  using TileFunction = void (*)(int64_t, const A*, const B*, int64_t, float*, int64_t, TileEnd);

  // Tiles of one panel of B, and of as many as a few rows need.
  struct Tiles {
    TileFunction one, many;
  };

  template <int... row>
  static const Tiles& tiles_of(int64_t rows, std::integer_sequence<int, row...>) {
    static constexpr Tiles table[] = {
        {packed_tile<Panels, row + 1, kTileVectors>, packed_tile<Panels, row + 1, vectors_of(row + 1)>}...};
    return table[rows - 1];
  }

  template <class Body>
  void over(int64_t count, int64_t grain, const Body& body) {
    parallel_for(pool_, count, inline_ ? count : grain, body);
  }

  // Rows are shared evenly: 32 are 11 + 11 + 10 and not 14 + 14 + 4.
  int64_t first_row(int64_t panel) const { return p_.m * panel / row_panels_; }

  A* memory(int slot, int64_t lanes) {
    return static_cast<A*>(scratch_.get(slot, static_cast<size_t>(lanes) * sizeof(A)));
  }

  // A panel of A lies block by block of the depth, `rows` lanes for each step.
  void pack(int64_t panel, A* to) const {
    const int64_t row = first_row(panel);
    Panels::pack(p_.a + row * p_.lda, p_.lda, first_row(panel + 1) - row, p_.k, to);
  }

  // All of A is packed once; the tasks are panels of B.
  void over_columns() {
    const A* packed = nullptr;
    if constexpr (Panels::kAsItLies) packed = p_.m == 1 ? p_.a : nullptr;
    if (packed == nullptr) {
      A* own = memory(pool_.threads(), p_.m * row_size_);
      over(row_panels_, packing_grain(kTileRows * p_.k), [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) pack(i, own + first_row(i) * row_size_);
      });
      packed = own;
    }
    const int64_t grain = round_up(larger(1, column_panels_ / kTasks), p_.m == 1 ? 4 : p_.m <= 4 ? 2 : 1);
    over(column_panels_, grain, [&](int64_t begin, int64_t end, int) {
      for (int64_t l = 0; l < lanes_; l += depth_)
        for (int64_t i = 0; i < row_panels_; ++i) row_of_tiles(packed + first_row(i) * row_size_, i, begin, end, l);
    });
  }

  // Many rows: the tasks are panels of A, and each packs its own.
  void over_rows() {
    const int64_t grain = grain_of(row_panels_);
    over(row_panels_, grain, [&](int64_t begin, int64_t end, int worker) {
      A* packed = memory(worker, kMaxPanels * kTileRows * row_size_);
      for (int64_t first = begin; first < end; first += kMaxPanels) {
        const int64_t last = smaller(first + kMaxPanels, end);
        for (int64_t i = first; i < last; ++i) pack(i, packed + (i - first) * kTileRows * row_size_);
        for (int64_t l = 0; l < lanes_; l += depth_)
          for (int64_t j = 0; j < column_panels_; ++j)
            for (int64_t i = first; i < last; ++i)
              row_of_tiles(packed + (i - first) * kTileRows * row_size_, i, j, j + 1, l);
      }
    });
  }

  // One panel of A with the panels [column, end) of B, for the block of the depth from `begin` on.
  void row_of_tiles(const A* a, int64_t row_panel, int64_t column, int64_t end, int64_t begin) {
    const int64_t row = first_row(row_panel), rows = first_row(row_panel + 1) - row;
    const int64_t depth = smaller(depth_, lanes_ - begin);
    const bool last = begin + depth == lanes_;
    const Tiles& tiles = tiles_of(rows, std::make_integer_sequence<int, kTileRows>{});
    const int64_t many = vectors_of(static_cast<int>(rows)) / kTileVectors;
    a += begin * rows;
    for (int64_t j = column, panels; j < end; j += panels) {
      const int64_t columns = smaller(kTileColumns, p_.n - j * kTileColumns);
      panels = j + many <= end && (j + many) * kTileColumns <= p_.n ? many : 1;
      const B* b = static_cast<const B*>(p_.packed_b) + j * column_panel_size_ + begin * kTileColumns;
      float* c = p_.c + row * p_.ldc + j * kTileColumns;
      TileEnd after{nullptr, begin > 0, last && p_.activation == Activation::relu};
      if (last && p_.bias != nullptr) after.bias = p_.bias + j * kTileColumns;
      if (columns == kTileColumns) {
        (panels > 1 ? tiles.many : tiles.one)(depth, a, b, column_panel_size_, c, p_.ldc, after);
      } else {
        narrow_tile(tiles.one, rows, columns, depth, a, b, c, after);
      }
      if (last && !after.relu) activate_tile(c, rows, smaller(panels * kTileColumns, p_.n - j * kTileColumns));
    }
  }

  // The last panel of B, if it is not full: through a tile beside C.
  void narrow_tile(TileFunction function, int64_t rows, int64_t columns, int64_t depth, const A* a, const B* b,
                   float* c, TileEnd after) const {
    float part[kTileRows * kTileColumns] = {}, bias[kTileColumns] = {};
    if (after.accumulate)
      for (int64_t i = 0; i < rows; ++i)
        for_vectors(0, columns,
                    [&](int64_t j, auto n) { store(part + i * kTileColumns + j, load(c + i * p_.ldc + j, n), n); });
    if (after.bias != nullptr) {
      for_vectors(0, columns, [&](int64_t j, auto n) { store(bias + j, load(after.bias + j, n), n); });
      after.bias = bias;
    }
    function(depth, a, b, 0, part, kTileColumns, after);
    for (int64_t i = 0; i < rows; ++i)
      for_vectors(0, columns,
                  [&](int64_t j, auto n) { store(c + i * p_.ldc + j, load(part + i * kTileColumns + j, n), n); });
  }

  void activate_tile(float* c, int64_t rows, int64_t columns) const {
    if (p_.activation == Activation::none) return;
    with_activation(p_.activation, [&](auto tag) {
      for (int64_t i = 0; i < rows; ++i)
        for_vectors(0, columns, [&](int64_t j, auto n) {
          float* at = c + i * p_.ldc + j;
          store(at, activate<decltype(tag)::value>(load(at, n)), n);
        });
    });
  }

  const MatmulPacked& p_;
  ThreadPool& pool_;
  Scratch& scratch_;
  const int64_t row_panels_, column_panels_, lanes_, depth_, row_size_, column_panel_size_;
  const bool inline_;
};

template <class Panels>
void run_packed(KernelContext& context, const MatmulPacked& p) {
  if (p.m > 0 && p.n > 0 && p.k > 0) PackedProduct<Panels>(context, p).run();
}

}  // namespace
}  // namespace attend::kernels::ATTEND_LEVEL
