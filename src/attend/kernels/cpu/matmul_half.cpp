// C = act(A·B + bias) in f32 with B in panels of f16: half the memory to read where few rows use each number of B, as
// in every step of generation. Tiles and depth blocks are those of matmul.cpp, so the bits are the same as with B in
// f32.
#include "attend/kernels/cpu/depth.hpp"
#include "attend/kernels/cpu/entries.hpp"
#include "attend/kernels/cpu/math.hpp"
#include "attend/kernels/cpu/pack.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

constexpr int64_t kSmall = 48 * 48 * 48;  // products below do not pay for a second thread
constexpr int64_t kTasks = 32;            // aim for so many
constexpr int64_t kMaxRowPanels = 6;      // of a task

// Vectors of B beside each other in a tile of `rows` rows: few rows need more columns, for enough chains that overlap.
#if ATTEND_LEVEL_avx512
constexpr int vectors_of(int rows) { return rows == 1 ? 8 : rows <= 4 ? 4 : 2; }
#else
constexpr int vectors_of(int rows) { return rows == 1 ? 4 : 2; }
#endif

// Rounds, or ends as a number that is read back as another.
#if ATTEND_LEVEL_avx512
ATTEND_INLINE void store_half(F16* p, Vec x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(x, 0));
}
#elif ATTEND_LEVEL_avx2
ATTEND_INLINE void store_half(F16* p, Vec x) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x, 0)); }
#else
ATTEND_INLINE void store_half(F16* p, Vec x) {
  const Int magnitude = bits(abs(x) * 0x1p-112f);  // moves the exponent, subnormal numbers too
  const Int half = (magnitude >> 13) | ((bits(x) >> 16) & 0x8000);
  for (int i = 0; i < kLanes; ++i) p[i] = {static_cast<uint16_t>(half[i])};
}
#endif

// What comes after the product, in the tile itself.
struct Epilogue {
  const float* bias;  // of the tile's first column, or null
  bool accumulate, relu;
};

// `depth` steps of a panel of A with `rows` rows and panels of B, kTileColumns wide, that lie `stride` apart.
template <int rows, int vectors>
void tile(int64_t depth, const float* a, const F16* b, int64_t stride, float* c, int64_t ldc, Epilogue after) {
  Vec total[rows][vectors] = {};
  const F16* panel[vectors];
#pragma GCC unroll 8
  for (int v = 0; v < vectors; ++v) panel[v] = b + v / kTileVectors * stride + v % kTileVectors * kLanes;
#pragma GCC unroll 2
  for (int64_t l = 0; l < depth; ++l) {
    Vec columns[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) columns[v] = load(panel[v] + l * kTileColumns);
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      const Vec factor = splat(a[l * rows + r]);
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) total[r][v] = fma(factor, columns[v], total[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      float* at = c + r * ldc + v * kLanes;
      Vec x = total[r][v];
      if (after.accumulate) x = load(at) + x;
      if (after.bias != nullptr) x += load(after.bias + v * kLanes);
      if (after.relu) x = activate<Activation::relu>(x);
      store(at, x);
    }
}

using TileFunction = void (*)(int64_t, const float*, const F16*, int64_t, float*, int64_t, Epilogue);

// Tiles of one panel of B, and of as many as a few rows need.
struct Tiles {
  TileFunction one, many;
};

template <int... row>
const Tiles& tiles_of(int64_t rows, std::integer_sequence<int, row...>) {
  static constexpr Tiles table[] = {{tile<row + 1, kTileVectors>, tile<row + 1, vectors_of(row + 1)>}...};
  return table[rows - 1];
}

class Product {
 public:
  Product(KernelContext& context, const MatmulHalf& p)
      : p_(p),
        pool_(*context.pool),
        scratch_(*context.scratch),
        row_panels_(divide_up(p.m, kTileRows)),
        column_panels_(divide_up(p.n, kTileColumns)),
        depth_(depth_of_block(p.k)),
        inline_(p.m * p.n * p.k < kSmall) {
    scratch_.reserve(pool_.threads() + 1);
  }

  void run() {
    if (row_panels_ <= 2 * column_panels_) return over_columns();
    over_rows();
  }

 private:
  template <class Body>
  void over(int64_t count, int64_t grain, const Body& body) {
    parallel_for(pool_, count, inline_ ? count : grain, body);
  }

  // Rows are shared evenly: 32 are 11 + 11 + 10 and not 14 + 14 + 4.
  int64_t first_row(int64_t panel) const { return p_.m * panel / row_panels_; }

  float* memory(int slot, int64_t floats) {
    return static_cast<float*>(scratch_.get(slot, static_cast<size_t>(floats) * sizeof(float)));
  }

  // A panel of A lies block by block of the depth, `rows` numbers for each step.
  void pack(int64_t panel, float* to) const {
    const int64_t row = first_row(panel), rows = first_row(panel + 1) - row;
    pack_rows<0>(p_.a + row * p_.lda, p_.lda, rows, p_.k, to, rows, false);
  }

  // All of A is packed once; the tasks are panels of B.
  void over_columns() {
    const float* packed = p_.a;
    if (p_.m > 1) {
      float* own = memory(pool_.threads(), p_.m * p_.k);
      over(row_panels_, larger(1, 32768 / (kTileRows * p_.k)), [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) pack(i, own + first_row(i) * p_.k);
      });
      packed = own;
    }
    const int64_t grain = round_up(larger(1, column_panels_ / kTasks), p_.m == 1 ? 4 : p_.m <= 4 ? 2 : 1);
    over(column_panels_, grain, [&](int64_t begin, int64_t end, int) {
      for (int64_t l = 0; l < p_.k; l += depth_)
        for (int64_t i = 0; i < row_panels_; ++i) row_of_tiles(packed + first_row(i) * p_.k, i, begin, end, l);
    });
  }

  // Many rows: the tasks are panels of A, and each packs its own.
  void over_rows() {
    const int64_t grain = smaller(kMaxRowPanels, larger(1, row_panels_ / kTasks));
    over(row_panels_, grain, [&](int64_t begin, int64_t end, int worker) {
      float* packed = memory(worker, kMaxRowPanels * kTileRows * p_.k);
      for (int64_t first = begin; first < end; first += kMaxRowPanels) {
        const int64_t last = smaller(first + kMaxRowPanels, end);
        for (int64_t i = first; i < last; ++i) pack(i, packed + (i - first) * kTileRows * p_.k);
        for (int64_t l = 0; l < p_.k; l += depth_)
          for (int64_t j = 0; j < column_panels_; ++j)
            for (int64_t i = first; i < last; ++i)
              row_of_tiles(packed + (i - first) * kTileRows * p_.k, i, j, j + 1, l);
      }
    });
  }

  // One panel of A with the panels [column, end) of B, for the block of the depth from `begin` on.
  void row_of_tiles(const float* a, int64_t row_panel, int64_t column, int64_t end, int64_t begin) {
    const int64_t row = first_row(row_panel), rows = first_row(row_panel + 1) - row;
    const int64_t depth = smaller(depth_, p_.k - begin), stride = p_.k * kTileColumns;
    const bool last = begin + depth == p_.k;
    const Tiles& tiles = tiles_of(rows, std::make_integer_sequence<int, kTileRows>{});
    const int64_t many = vectors_of(static_cast<int>(rows)) / kTileVectors;
    a += begin * rows;
    for (int64_t j = column, panels; j < end; j += panels) {
      const int64_t columns = smaller(kTileColumns, p_.n - j * kTileColumns);
      panels = j + many <= end && (j + many) * kTileColumns <= p_.n ? many : 1;
      const F16* b = reinterpret_cast<const F16*>(p_.packed_b) + j * stride + begin * kTileColumns;
      float* c = p_.c + row * p_.ldc + j * kTileColumns;
      Epilogue after{nullptr, begin > 0, last && p_.activation == Activation::relu};
      if (last && p_.bias != nullptr) after.bias = p_.bias + j * kTileColumns;
      if (columns == kTileColumns) {
        (panels > 1 ? tiles.many : tiles.one)(depth, a, b, stride, c, p_.ldc, after);
      } else {
        narrow_tile(tiles.one, rows, columns, depth, a, b, c, after);
      }
      if (last && !after.relu) activate_tile(c, rows, smaller(panels * kTileColumns, p_.n - j * kTileColumns));
    }
  }

  // The last panel of B, if it is not full: through a tile beside C.
  void narrow_tile(TileFunction function, int64_t rows, int64_t columns, int64_t depth, const float* a, const F16* b,
                   float* c, Epilogue after) const {
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

  const MatmulHalf& p_;
  ThreadPool& pool_;
  Scratch& scratch_;
  const int64_t row_panels_, column_panels_, depth_;
  const bool inline_;
};

// A panel of `columns` columns, from B as [n, k]; false if f16 does not hold its numbers exactly.
template <class Number>
bool pack_panel(const PackHalf& p, int64_t column, int64_t columns, F16* to) {
  Int different{};
  for (int v = 0; v < kTileVectors; ++v) {
    const int64_t here = larger(0, smaller(kLanes, columns - v * kLanes));
    for (int64_t l = 0; l < p.k; l += kLanes) {
      const int64_t depth = smaller(kLanes, p.k - l);
      const Number* from = static_cast<const Number*>(p.b) + (column + v * kLanes) * p.ldb + l;
      Vec x[kLanes] = {};
      if (here == kLanes && depth == kLanes) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) x[i] = load(from + i * p.ldb);
      } else {
        for (int i = 0; i < here; ++i) x[i] = load(from + i * p.ldb, depth);
      }
      transpose(x);
      for (int64_t i = 0; i < depth; ++i) {
        F16* at = to + (l + i) * kTileColumns + v * kLanes;
        store_half(at, x[i]);
        different |= bits(load(at)) ^ bits(x[i]);
      }
    }
  }
  for (int i = 0; i < kLanes; ++i)
    if (different[i] != 0) return false;
  return true;
}

using PackPanel = bool (*)(const PackHalf& p, int64_t column, int64_t columns, F16* to);

PackPanel pack_panel_of(Format format) {
  switch (format) {
    case Format::f32:
      return pack_panel<float>;
    case Format::bf16:
      return pack_panel<Bf16>;
    case Format::f16:
      return pack_panel<F16>;
  }
  return nullptr;
}

}  // namespace

void pack_half(KernelContext& context, const PackHalf& p) noexcept {
  const PackPanel pack = pack_panel_of(p.b_format);
  bool exact = true;
  parallel_for(*context.pool, divide_up(p.n, kTileColumns), larger(1, 16384 / (kTileColumns * p.k + 1)),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t panel = begin; panel < end; ++panel) {
                   if (!__atomic_load_n(&exact, __ATOMIC_RELAXED)) return;
                   const int64_t column = panel * kTileColumns;
                   F16* to = reinterpret_cast<F16*>(p.packed) + column * p.k;
                   if (!pack(p, column, smaller(kTileColumns, p.n - column), to))
                     __atomic_store_n(&exact, false, __ATOMIC_RELAXED);
                 }
               });
  *p.exact = exact;
}

void matmul_half(KernelContext& context, const MatmulHalf& p) noexcept {
  if (p.m == 0 || p.n == 0 || p.k == 0) return;
  Product(context, p).run();
}

}  // namespace attend::kernels::ATTEND_LEVEL
