// C = act(op(A)·op(B) + bias): tiles of C in registers, A and B in panels (Goto & van de Geijn 2008).
//
// One side is packed once into shared memory; the panels of the other side are the tasks, and each task packs its own.
// The depth k is cut into blocks by k alone, and inside a block every element of C is one chain of multiply-adds, so a
// row of C has the same bits alone, in a batch, packed or not, whatever the threads.
#include "attend/kernels/cpu/entries.hpp"
#include "attend/kernels/cpu/math.hpp"
#include "attend/kernels/cpu/pack.hpp"
#include "attend/kernels/cpu/split.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

constexpr int64_t kSharedFloats = 2 << 20;  // of the shared side at a time: it stays in L3
constexpr int64_t kFewPanels = 3 * kTasks;  // fewer: a task has too few panels to hide the reading of the other side
constexpr int64_t kBlockFloats = 3 << 17;   // both sides of a block that a second-level cache holds, 1.5 MB
constexpr int64_t kPartLanes = 64;          // of a side that is packed in parts of the depth
constexpr int64_t kSumFloats = 1 << 18;  // of C at most where blocks of the depth are tasks; their sums: four of these

// What comes after the product in the tile itself: bias and none or relu, the usual epilogues.
struct Epilogue {
  const float* bias = nullptr;  // of the tile's first column
  bool relu = false;
};

// c (+)= a·b for a panel of A with `rows` rows and one of B with `vectors` vectors.
using TileFunction = void (*)(int64_t k, const float* a, const float* b, int64_t b_step, float* c, int64_t ldc,
                              bool accumulate, Epilogue epilogue);

template <int rows, int vectors, Format product>
void tile(int64_t k, const float* a, const float* b, int64_t b_step, float* c, int64_t ldc, bool accumulate,
          Epilogue epilogue) {
  // C is far away when it is written, so it is called for now.
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < vectors; ++v) __builtin_prefetch(c + r * ldc + v * kLanes, 1);
  Vec total[rows][vectors] = {};
  tile_product<rows, vectors, product>(k, a, 1, rows, b, b_step, total);
  if (accumulate) {
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) total[r][v] = load(c + r * ldc + v * kLanes) + total[r][v];
  }
  if (epilogue.bias != nullptr) {
    Vec bias[vectors];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) bias[v] = load(epilogue.bias + v * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) total[r][v] += bias[v];
  }
  if (epilogue.relu) {
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) total[r][v] = max(Vec{}, total[r][v]);
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) store(c + r * ldc + v * kLanes, total[r][v]);
}

template <int vectors, Format product>
TileFunction tile_of(int64_t rows) {
  constexpr auto at = []<int... row>(std::integer_sequence<int, row...>, int64_t index) {
    constexpr TileFunction table[] = {tile<row + 1, vectors, product>...};
    return table[index];
  };
  return at(std::make_integer_sequence<int, kTileRows>{}, rows - 1);
}

// Whether the tile itself can do all that comes after the product.
bool has_simple_end(const Matmul& p) {
  return p.before == nullptr && (p.activation == Activation::none || p.activation == Activation::relu);
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

// A few rows use each number of B once: rows of B ([n, k]) are turned into columns in registers and multiplied at once.
constexpr int kFewRows = 2;

// total[r·kLanes + j] = Σ_l a[l·rows + r]·b[j, l] for `columns` ≤ kLanes rows of B and `depth` numbers.
template <int rows, Format product, class Number>
void few_rows(const void* numbers, int64_t ldb, int64_t columns, int64_t depth, const float* a, float* totals) {
  constexpr int per = kPerLane<product>;
  const Number* b = static_cast<const Number*>(numbers);
  Vec total[rows] = {};
  for (int64_t l = 0; l * per < depth; l += kLanes) {
    Vec x[kLanes];
    if (columns == kLanes && (l + kLanes) * per <= depth) {
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) {
        const Number* row = b + i * ldb + l * per;
        // Into the second level: in the first, rows that lie a multiple of 4 KiB apart push each other out.
        __builtin_prefetch(row + 8 * kLanes * per, 0, 2);
        x[i] = lanes_along<product>(row);
      }
    } else {
      for (int i = 0; i < kLanes; ++i)
        x[i] =
            i < columns ? lanes_along<product>(b + i * ldb + l * per, smaller(kLanes * per, depth - l * per)) : Vec{};
    }
    transpose(x);
    const int64_t here = smaller(kLanes, divide_up(depth, per) - l);
    const auto add = [&](int i) {
      for (int r = 0; r < rows; ++r) total[r] = multiply_add<product>(splat(a[(l + i) * rows + r]), x[i], total[r]);
    };
    if (here == kLanes) {
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) add(i);
    } else {
      for (int i = 0; i < here; ++i) add(i);
    }
  }
  for (int r = 0; r < rows; ++r) store(totals + r * kLanes, total[r]);
}

using FewRows = void (*)(const void* b, int64_t ldb, int64_t columns, int64_t depth, const float* a, float* totals);

template <Format product, int... row>
FewRows few_rows_of(int64_t rows, Format format, std::integer_sequence<int, row...>) {
  static constexpr FewRows f32[] = {few_rows<row + 1, product, float>...};
  static constexpr FewRows bf16[] = {few_rows<row + 1, product, Bf16>...};
  static constexpr FewRows f16[] = {few_rows<row + 1, product, F16>...};
  return (format == Format::f32 ? f32 : format == Format::bf16 ? bf16 : f16)[rows - 1];
}

using PackB = void (*)(const void* b, int64_t ldb, bool transposed, int64_t columns, int64_t depth, float* to,
                       int64_t panel_size, int64_t begin);

template <Format product>
PackB pack_b_of(Format format) {
  switch (format) {
    case Format::f32:
      return pack_b_panels<product, float>;
    case Format::bf16:
      return pack_b_panels<product, Bf16>;
    case Format::f16:
      return pack_b_panels<product, F16>;
  }
  return nullptr;
}
int64_t bytes_of(Format format) { return format == Format::f32 ? 4 : 2; }

// Where the number (row, column) of B lies, of a matrix that is [k, n] or, transposed, [n, k].
const void* number_at(const void* b, int64_t ldb, bool transposed, Format format, int64_t row, int64_t column) {
  const int64_t index = transposed ? column * ldb + row : row * ldb + column;
  return static_cast<const char*>(b) + index * bytes_of(format);
}

// Depths inside are counted in lanes (kPerLane numbers along k).
template <Format product>
class Product {
 public:
  static constexpr int per = kPerLane<product>;

  Product(KernelContext& context, const Matmul& p) : Product(context, p, context.pool->threads(), false) {
    scratch_.reserve(sums_slot() + 1);
  }

  void run() {
    const bool wide = column_panels_ > row_panels_;
    // Few panels share nothing between tasks but the packed side: with one block of the depth after the other it stays
    // in the second-level cache, and C, which is small then, takes the sums.
    const int64_t range = larger(row_panels_, column_panels_) < kFewPanels ? depth_ : k_;
    const bool unpacked = p_.packed_b == nullptr && range == depth_ && row_panels_ > 1 && column_panels_ > 1;
    if (unpacked && !inline_ && p_.m * p_.n <= kSumFloats && blocks_keep_busy(pool_.threads()))
      return blocks_as_tasks();
    const bool both =
        unpacked && !inside_task_ && (row_panels_ * kTileRows + column_panels_ * kTileColumns) * depth_ <= kBlockFloats;
    for (int64_t l = 0; l < k_; l += range) {
      const int64_t end = smaller(l + range, k_);
      if (both) {
        share_both(l, end);
      } else if (wide) {
        share_a(l, end);
      } else {
        share_b(l, end);
      }
    }
  }

 private:
  // `shared_slot`: of the scratch memory, for the packed side. Inside a task everything is done by its own thread.
  Product(KernelContext& context, const Matmul& p, int shared_slot, bool inside_task)
      : context_(context),
        p_(p),
        pool_(*context.pool),
        scratch_(*context.scratch),
        row_panels_(divide_up(p.m, kTileRows)),
        column_panels_(divide_up(p.n, kTileColumns)),
        k_(divide_up(p.k, per)),
        depth_(depth_of_block(k_)),
        pack_b_panels_(pack_b_of<product>(p.b_format)),
        few_rows_(p.b_transposed && p.packed_b == nullptr && p.m <= kFewRows && column_panels_ > row_panels_
                      ? few_rows_of<product>(p.m, p.b_format, std::make_integer_sequence<int, kFewRows>{})
                      : nullptr),
        simple_end_(has_simple_end(p)),
        shared_slot_(shared_slot),
        inside_task_(inside_task),
        inline_(inside_task || is_small(p.m, p.n, p.k)) {}

  int sums_slot() const { return 2 * pool_.threads() + 1; }
  int64_t blocks() const { return divide_up(k_, depth_); }
  // Whether tasks of one block each leave no thread idle, or only one round of many.
  bool blocks_keep_busy(int threads) const {
    return threads > 1 && (blocks() % threads == 0 || blocks() >= 16 * threads);
  }

  // parallel_for over `count` panels, `grain` at a time, unless the product is too small for it.
  template <class Body>
  void over_panels(int64_t count, int64_t grain, const Body& body) {
    parallel_for(pool_, count, inline_ ? count : grain, body);
  }

  int64_t rows_of(int64_t panel, int64_t end) const { return smaller(end * kTileRows, p_.m) - panel * kTileRows; }
  int64_t rows_of(int64_t panel) const { return rows_of(panel, panel + 1); }
  int64_t columns_of(int64_t panel, int64_t end) const {
    return smaller(end * kTileColumns, p_.n) - panel * kTileColumns;
  }
  int64_t columns_of(int64_t panel) const { return columns_of(panel, panel + 1); }

  int64_t numbers_of(int64_t begin, int64_t depth) const { return smaller(depth * per, p_.k - begin * per); }

  // op(A) from its row `row` and number `l` on.
  const float* a_at(int64_t row, int64_t l) const {
    return p_.a_transposed ? p_.a + l * p_.lda + row : p_.a + row * p_.lda + l;
  }

  // The panels [panel, end) of A, kTileRows·stride floats apart.
  void pack_a(int64_t panel, int64_t end, int64_t begin, int64_t depth, float* to, int64_t stride,
              int64_t at = 0) const {
    pack_a_panels<product>(a_at(panel * kTileRows, begin * per), p_.lda, p_.a_transposed, rows_of(panel, end),
                           numbers_of(begin, depth), to, kTileRows * stride, at);
  }

  // The panels [panel, end) of B, kTileColumns·stride floats apart.
  void pack_b(int64_t panel, int64_t end, int64_t begin, int64_t depth, float* to, int64_t stride,
              int64_t at = 0) const {
    const void* from = number_at(p_.b, p_.ldb, p_.b_transposed, p_.b_format, begin * per, panel * kTileColumns);
    pack_b_panels_(from, p_.ldb, p_.b_transposed, columns_of(panel, end), numbers_of(begin, depth), to,
                   kTileColumns * stride, at);
  }

  float* memory(int slot, int64_t floats) {
    return static_cast<float*>(scratch_.get(slot, static_cast<size_t>(floats) * sizeof(float)));
  }

  // Both sides small and enough blocks of the depth: each is a task that packs for itself, so that nothing packed goes
  // from one core's cache to another's. The sums of the blocks are added in their order, as everywhere.
  void blocks_as_tasks() {
    const int64_t size = p_.m * p_.n, at_once = 4 * kSumFloats / size / pool_.threads() * pool_.threads();
    const int64_t wave = smaller(blocks(), larger(at_once, pool_.threads()));
    float* const sums = memory(sums_slot(), wave * size);
    for (int64_t first = 0; first < blocks(); first += wave) {
      const int64_t count = smaller(wave, blocks() - first);
      parallel_for(pool_, count, 1, [&](int64_t begin, int64_t end, int worker) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t l = (first + i) * depth_;
          const Matmul block{.m = p_.m,
                             .n = p_.n,
                             .k = numbers_of(l, smaller(depth_, k_ - l)),
                             .a = a_at(0, l * per),
                             .lda = p_.lda,
                             .a_transposed = p_.a_transposed,
                             .b = number_at(p_.b, p_.ldb, p_.b_transposed, p_.b_format, l * per, 0),
                             .ldb = p_.ldb,
                             .b_transposed = p_.b_transposed,
                             .c = sums + i * size,
                             .ldc = p_.n,
                             .product = p_.product,
                             .b_format = p_.b_format};
          Product(context_, block, pool_.threads() + 1 + worker, true).run();
        }
      });
      const bool accumulate = first > 0 || p_.accumulate, last = first + count == blocks();
      parallel_for(pool_, p_.m, packing_grain(p_.n), [&](int64_t begin, int64_t end, int) {
        for (int64_t row = begin; row < end; ++row)
          for_vectors(0, p_.n, [&](int64_t j, auto n) {
            float* c = p_.c + row * p_.ldc + j;
            const float* sum = sums + row * p_.n + j;
            Vec total = accumulate ? load(c, n) + load(sum, n) : load(sum, n);
            for (int64_t i = 1; i < count; ++i) total += load(sum + i * size, n);
            store(c, total, n);
          });
        if (last) finish(p_, begin, 0, end - begin, p_.n);
      });
    }
  }

  // One block of the depth with both sides small: both are packed first, then the tiles are the tasks. What lies along
  // the depth is packed in parts of it, so that memory is read in its order.
  void share_both(int64_t from, int64_t to) {
    const int64_t depth = to - from, parts = divide_up(depth, kPartLanes);
    float* const a = memory(shared_slot_, (row_panels_ * kTileRows + column_panels_ * kTileColumns) * depth);
    float* const b = a + row_panels_ * kTileRows * depth;
    const int64_t units_a = p_.a_transposed ? parts : row_panels_, units_b = p_.b_transposed ? column_panels_ : parts;
    over_panels(units_a + units_b, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t unit = begin; unit < end; ++unit) {
        const bool of_a = unit < units_a;
        const int64_t i = of_a ? unit : unit - units_a, at = i * kPartLanes, here = smaller(kPartLanes, depth - at);
        if (of_a && p_.a_transposed) pack_a(0, row_panels_, from + at, here, a, depth, at);
        if (of_a && !p_.a_transposed) pack_a(i, i + 1, from, depth, a + i * kTileRows * depth, depth);
        if (!of_a && !p_.b_transposed) pack_b(0, column_panels_, from + at, here, b, depth, at);
        if (!of_a && p_.b_transposed) pack_b(i, i + 1, from, depth, b + i * kTileColumns * depth, depth);
      }
    });
    const int64_t tiles = row_panels_ * column_panels_;
    over_panels(tiles, larger(1, tiles / kTasks), [&](int64_t begin, int64_t end, int) {
      for (int64_t tile = begin; tile < end; ++tile) {
        const int64_t i = tile / column_panels_, j = tile % column_panels_;
        one_tile(i, j, from, depth, a + i * kTileRows * depth, b + j * kTileColumns * depth, kTileColumns);
      }
    });
  }

  // The depths [from, to) with A as the smaller side: packed once; the tasks are panels of B.
  void share_a(int64_t from, int64_t to) {
    const int64_t length = to - from;
    const int64_t chunk = larger(1, kSharedFloats / (kTileRows * length));
    const bool as_it_lies = product == Format::f32 && p_.m == 1 && (!p_.a_transposed || p_.lda == 1);
    for (int64_t first = 0; first < row_panels_; first += chunk) {
      const int64_t last = smaller(first + chunk, row_panels_);
      const float* shared = p_.a + from;
      if (!as_it_lies) {
        float* packed = memory(shared_slot_, (last - first) * kTileRows * length);
        over_panels(last - first, packing_grain(kTileRows * length), [&](int64_t begin, int64_t end, int) {
          pack_a(first + begin, first + end, from, length, packed + begin * kTileRows * length, length);
        });
        shared = packed;
      }
      over_panels(column_panels_, grain_of(column_panels_), [&](int64_t begin, int64_t end, int worker) {
        for (int64_t l = from; l < to; l += depth_) {
          const int64_t depth = smaller(depth_, to - l);
          for (int64_t j = begin; j < end;) {
            const int64_t next = smaller(j + kMaxPanels, end);
            if (few_rows_ != nullptr) {
              for (int64_t column = j; column < next; ++column)
                few_rows_tile(column, l, depth, shared + (l - from) * p_.m);
              j = next;
              continue;
            }
            const Panels b = own_b(j, next, l, depth, last - first, worker);
            for (int64_t i = first; i < last; ++i) {
              const float* a = shared + (i - first) * kTileRows * length + (l - from) * rows_of(i);
              for (int64_t column = j; column < next; ++column)
                one_tile(i, column, l, depth, a, b.data + (column - j) * b.stride, b.step);
            }
            j = next;
          }
        }
      });
    }
  }

  // The depths [from, to) with B as the smaller side: packed once (or already); the tasks are panels of A.
  void share_b(int64_t from, int64_t to) {
    const int64_t length = to - from;
    const int64_t fitting = larger(1, kSharedFloats / (kTileColumns * length));
    const int64_t chunk = p_.packed_b != nullptr ? column_panels_ : fitting;
    for (int64_t first = 0; first < column_panels_; first += chunk) {
      const int64_t last = smaller(first + chunk, column_panels_);
      Panels shared;
      if (p_.packed_b != nullptr) {
        shared = {p_.packed_b + from * kTileColumns, kTileColumns * k_, kTileColumns};
      } else {
        float* packed = memory(shared_slot_, (last - first) * kTileColumns * length);
        over_panels(last - first, packing_grain(kTileColumns * length), [&](int64_t begin, int64_t end, int) {
          pack_b(first + begin, first + end, from, length, packed + begin * kTileColumns * length, length);
        });
        shared = {packed, kTileColumns * length, kTileColumns};
      }
      over_panels(row_panels_, grain_of(row_panels_), [&](int64_t begin, int64_t end, int worker) {
        float* own = memory(worker, kMaxPanels * kTileRows * depth_);
        for (int64_t l = from; l < to; l += depth_) {
          const int64_t depth = smaller(depth_, to - l);
          for (int64_t i = begin; i < end;) {
            const int64_t next = smaller(i + kMaxPanels, end);
            pack_a(i, next, l, depth, own, depth_);
            for (int64_t j = first; j < last; ++j) {
              const float* b = shared.data + (j - first) * shared.stride + (l - from) * kTileColumns;
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
      return {p_.packed_b + j * kTileColumns * k_ + begin * kTileColumns, kTileColumns * k_, kTileColumns};
    if (product == Format::f32 && p_.b_format == Format::f32 && !p_.b_transposed && row_panels == 1 &&
        end * kTileColumns <= p_.n)
      return {static_cast<const float*>(p_.b) + begin * p_.ldb + j * kTileColumns, kTileColumns, p_.ldb};
    float* own = memory(worker, kMaxPanels * kTileColumns * depth_);
    pack_b(j, end, begin, depth, own, depth_);
    return {own, kTileColumns * depth_, kTileColumns};
  }

  void one_tile(int64_t row_panel, int64_t column_panel, int64_t begin, int64_t depth, const float* a, const float* b,
                int64_t b_step) {
    const int64_t rows = rows_of(row_panel), columns = columns_of(column_panel);
    const int64_t row = row_panel * kTileRows, column = column_panel * kTileColumns;
    const bool accumulate = begin > 0 || p_.accumulate, last = begin + depth == k_;
    float* c = p_.c + row * p_.ldc + column;
    if (columns == kTileColumns) {
      Epilogue epilogue;
      if (last && simple_end_) {
        if (p_.bias != nullptr) epilogue.bias = p_.bias + column;
        epilogue.relu = p_.activation == Activation::relu;
      }
      tile_of<kTileVectors, product>(rows)(depth, a, b, b_step, c, p_.ldc, accumulate, epilogue);
      if (simple_end_) return;
    } else {
      float part[kTileRows * kTileColumns];
      (columns <= kLanes ? tile_of<1, product> : tile_of<kTileVectors, product>)(rows)(depth, a, b, b_step, part,
                                                                                       kTileColumns, false, {});
      put(part, kTileColumns, c, rows, columns, accumulate);
    }
    if (last) finish(p_, row, column, rows, columns);
  }

  // A panel of columns for all rows of C, from B as it lies.
  void few_rows_tile(int64_t column_panel, int64_t begin, int64_t depth, const float* a) {
    const int64_t first = column_panel * kTileColumns, end = first + columns_of(column_panel);
    for (int64_t column = first; column < end; column += kLanes) {
      const int64_t columns = smaller(kLanes, end - column);
      float part[kFewRows * kLanes];
      few_rows_(number_at(p_.b, p_.ldb, true, p_.b_format, begin * per, column), p_.ldb, columns,
                numbers_of(begin, depth), a, part);
      put(part, kLanes, p_.c + column, p_.m, columns, begin > 0 || p_.accumulate);
    }
    if (begin + depth == k_) finish(p_, 0, first, p_.m, end - first);
  }

  // c (+)= part
  void put(const float* part, int64_t step, float* c, int64_t rows, int64_t columns, bool accumulate) const {
    for (int64_t i = 0; i < rows; ++i)
      for_vectors(0, columns, [&](int64_t j, auto n) {
        float* at = c + i * p_.ldc + j;
        const Vec x = load(part + i * step + j, n);
        store(at, accumulate ? load(at, n) + x : x, n);
      });
  }

  KernelContext& context_;
  const Matmul& p_;
  ThreadPool& pool_;
  Scratch& scratch_;
  const int64_t row_panels_, column_panels_, k_, depth_;
  const PackB pack_b_panels_;
  const FewRows few_rows_;
  const bool simple_end_;
  const int shared_slot_;
  const bool inside_task_, inline_;
};

// A product over nothing: zeros and what comes after.
void empty_sum(const Matmul& p) {
  for (int64_t i = 0; i < p.m && !p.accumulate; ++i)
    __builtin_memset(p.c + i * p.ldc, 0, static_cast<size_t>(p.n) * sizeof(float));
  finish(p, 0, 0, p.m, p.n);
}

}  // namespace

int64_t packed_size(int64_t n, int64_t k, Format product) noexcept {
  return round_up(n, kTileColumns) * divide_up(k, product == Format::bf16 ? kPerLane<Format::bf16> : 1);
}

void pack_matmul(KernelContext& context, const PackMatmul& p) noexcept {
  const PackB pack =
      p.product == Format::bf16 ? pack_b_of<Format::bf16>(p.b_format) : pack_b_of<Format::f32>(p.b_format);
  const int64_t stride = packed_size(kTileColumns, p.k, p.product);
  parallel_for(*context.pool, divide_up(p.n, kTileColumns), packing_grain(stride),
               [&](int64_t begin, int64_t end, int) {
                 const int64_t column = begin * kTileColumns;
                 pack(number_at(p.b, p.ldb, p.b_transposed, p.b_format, 0, column), p.ldb, p.b_transposed,
                      smaller(end * kTileColumns, p.n) - column, p.k, p.packed + begin * stride, stride, 0);
               });
}

void matmul(KernelContext& context, const Matmul& p) noexcept {
  if (p.m == 0 || p.n == 0) return;
  if (p.k == 0) return empty_sum(p);
  if (p.product == Format::bf16) return Product<Format::bf16>(context, p).run();
  Product<Format::f32>(context, p).run();
}

}  // namespace attend::kernels::ATTEND_LEVEL
