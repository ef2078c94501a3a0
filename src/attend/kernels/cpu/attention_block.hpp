// What attention and its backward pass share: one block of scores, transposed, so that the lanes are queries. Then the
// softmax runs down the rows without any sum across lanes, and the transposed weights are at once the left side that
// the product with V wants.
#pragma once

#include "attend/kernels/cpu/dropout_mask.hpp"
#include "attend/kernels/cpu/math.hpp"
#include "attend/kernels/cpu/pack.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

constexpr int64_t kQueries = 32;  // of a block; its scores and both sides of their product then fit L1
constexpr int64_t kKeys = 64;

#if ATTEND_LEVEL_avx512
constexpr int kBlockRows = 6, kBlockVectors = 4;
#elif ATTEND_LEVEL_avx2
constexpr int kBlockRows = 6, kBlockVectors = 2;
#else
constexpr int kBlockRows = 4, kBlockVectors = 2;
#endif
constexpr int64_t kBlockColumns = kBlockVectors * kLanes;

/// Asks for memory that is used soon, a few rows at a time beside the arithmetic: rows of a head lie too far apart for
/// the processor to guess them.
class Ahead {
 public:
  /// Drops what is left; what add() lists from now on is to be asked for within `steps` calls of step().
  void begin(int64_t steps) { steps_ = steps, count_ = 0, rows_ = 0, at_ = 0; }

  void add(const float* x, int64_t stride, int64_t rows, int64_t width) {
    if (rows <= 0) return;
    parts_[count_++] = {x, stride, rows, width};
    rows_ += rows;
  }

  void step() {
    if (at_ == count_) return;
    for (int64_t rest = divide_up(rows_, steps_); rest > 0 && at_ < count_; --rest) {
      Part& part = parts_[at_];
      for (int64_t c = 0; c < part.width; c += 16) __builtin_prefetch(part.x + c, 0, 2);
      part.x += part.stride;
      if (--part.rows == 0) ++at_;
    }
  }

 private:
  struct Part {
    const float* x;
    int64_t stride, rows, width;
  };
  Part parts_[8];
  int64_t steps_ = 1, rows_ = 0;
  int count_ = 0, at_ = 0;
};

/// C (+)= A·B with A(i, l) at a[i·a_row + l·a_step]. A and B are lanes for the product: l counts kPerLane numbers.
struct BlockProduct {
  const float* a;
  int64_t a_row, a_step;
  const float* b;
  int64_t b_step;
  float* c;
  int64_t c_step;
  bool accumulate = false;
  const float* before = nullptr;  ///< [rows]: what was there is multiplied with it
  const float* after = nullptr;   ///< [rows]: the result is multiplied with it
  float* out = nullptr;           ///< where the result goes, if not to c
  int64_t out_step = 0;
};

using BlockTile = void (*)(const BlockProduct& p, int64_t row, int64_t column, int64_t begin, int64_t end);

/// The tile of C at (row, column), from the part [begin, end) of the depth. `row_distance` is a_row where it is known
/// at compile time, else 0.
template <Format format, int rows, int vectors, int64_t row_distance>
void block_tile(const BlockProduct& p, int64_t row, int64_t column, int64_t begin, int64_t end) {
  Vec total[rows][vectors];
  const float* c = p.c + row * p.c_step + column;
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) total[r][v] = p.accumulate ? load(c + r * p.c_step + v * kLanes) : Vec{};
  if (p.before != nullptr) {
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) total[r][v] *= splat(p.before[row + r]);
  }
  const int64_t a_row = row_distance != 0 ? row_distance : p.a_row;
  tile_product<rows, vectors, format>(end - begin, p.a + row * a_row + begin * p.a_step, a_row, p.a_step,
                                      p.b + begin * p.b_step + column, p.b_step, total);
  if (p.after != nullptr) {
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) total[r][v] *= splat(p.after[row + r]);
  }
  const int64_t step = p.out != nullptr ? p.out_step : p.c_step;
  float* out = (p.out != nullptr ? p.out : p.c) + row * step + column;
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) store(out + r * step + v * kLanes, total[r][v]);
}

template <Format format, int64_t row_distance, int vectors, int... rows>
constexpr BlockTile block_tile_of(int64_t count, std::integer_sequence<int, rows...>) {
  constexpr BlockTile table[] = {block_tile<format, rows + 1, vectors, row_distance>...};
  return table[count - 1];
}

template <Format format, int64_t row_distance>
ATTEND_INLINE BlockTile block_tile_of(int64_t rows, int64_t vectors) {
  constexpr auto all = std::make_integer_sequence<int, kBlockRows>{};
#if ATTEND_LEVEL_avx512
  if (vectors == 4) return block_tile_of<format, row_distance, 4>(rows, all);
  if (vectors == 3) return block_tile_of<format, row_distance, 3>(rows, all);
#endif
  if (vectors == 2) return block_tile_of<format, row_distance, 2>(rows, all);
  return block_tile_of<format, row_distance, 1>(rows, all);
}

/// What a tile of rows needs: the columns from `column` on (a multiple of kLanes), the depth from begin to end.
struct TileRange {
  int64_t column, begin, end;
};

/// The product tile by tile; `columns` is a multiple of kLanes. range(first, last) says what the rows [first, last)
/// need.
template <Format format, int64_t row_distance, class Range>
ATTEND_INLINE void block_product(int64_t rows, int64_t columns, const BlockProduct& p, Ahead& ahead,
                                 const Range& range) {
  for (int64_t panel = 0; panel < columns; panel += kBlockColumns)
    for (int64_t row = 0; row < rows; row += kBlockRows) {
      const int64_t count = smaller(kBlockRows, rows - row);
      const TileRange needed = range(row, row + count);
      const int64_t column = larger(panel, needed.column);
      const int64_t vectors = (smaller(panel + kBlockColumns, columns) - column) / kLanes;
      if (vectors > 0)
        block_tile_of<format, row_distance>(count, vectors)(p, row, column, needed.begin,
                                                            larger(needed.begin, needed.end));
      ahead.step();
    }
}

/// Lanes of one row, in whole vectors.
template <Format format>
constexpr int64_t row_lanes(int64_t width) {
  return round_up(divide_up(width, kPerLane<format>), kLanes);
}

/// Rows of one head as lanes along the width, side by side and filled up with zeros to whole vectors: as they lie in a
/// matrix they compete for few places of the cache.
template <Format format>
ATTEND_INLINE void pack_along(const float* x, int64_t stride, int64_t rows, int64_t width, float* to) {
  constexpr int64_t numbers = kLanes * kPerLane<format>;
  for (int64_t i = 0; i < rows; ++i, x += stride) {
    int64_t c = 0;
    for (; c + numbers <= width; c += numbers, to += kLanes) store(to, lanes_along<format>(x + c));
    if (c < width) store(to, lanes_along<format>(x + c, width - c)), to += kLanes;
  }
}

/// The same as lanes of columns, each from kPerLane rows.
template <Format format>
ATTEND_INLINE void pack_across(const float* x, int64_t stride, int64_t rows, int64_t width, float* to) {
  constexpr int64_t per = kPerLane<format>;
  for (int64_t i = 0; i < rows; i += per, x += per * stride, to += round_up(width, kLanes))
    for_vectors(0, width,
                [&](int64_t c, auto n) { store(to + c, lanes_across<format>(x + c, stride, i + per > rows, n)); });
}

/// Rows that a product reads along the width: where they lie, or packed.
struct Rows {
  const float* data;
  int64_t step;
};
/// Packed only if they must be or are read more than once.
template <Format format>
ATTEND_INLINE Rows rows_for(bool often, const float* x, int64_t stride, int64_t rows, int64_t width, float* memory) {
  if (format == Format::f32 && !often) return {x, stride};
  pack_along<format>(x, stride, rows, width, memory);
  return {memory, row_lanes<format>(width)};
}

/// to[l·kQueries + i] = lane l along row i, for `count` rows, zeros up to a whole vector.
template <Format format>
ATTEND_INLINE void transpose_rows(const float* x, int64_t stride, int64_t count, int64_t width, float* to) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    pack_rows<kLanes, format>(x + i * stride, stride, kLanes, width, to + i, kQueries, true);
  if (i < count) pack_rows<0, format>(x + i * stride, stride, count - i, width, to + i, kQueries, true);
}

/// Units of a task: few enough that there are some dozens of tasks, for balance, and else many, because a worker asks
/// ahead only for its own.
constexpr int64_t grain_of(int64_t units) { return larger(1, smaller(16, units / 32)); }

/// One head of one sequence.
struct HeadView {
  HeadView(const Attention& p, int64_t s_, int64_t h_)
      : s(s_),
        h(h_),
        first_query(p.q_offsets[s]),
        queries(p.q_offsets[s + 1] - first_query),
        first_key(p.k_offsets[s]),
        keys(p.k_offsets[s + 1] - first_key),
        key_head(h / (p.heads / p.key_heads)),
        q(p.q + first_query * p.q_stride + h * p.width),
        k(p.k + first_key * p.k_stride + key_head * p.width),
        v(p.v == nullptr ? nullptr : p.v + first_key * p.v_stride + key_head * p.value_width) {}

  /// How many keys the queries before `end` see at most.
  int64_t visible(const Attention& p, int64_t end) const {
    return p.causal ? larger(0, smaller(keys, end + keys - queries)) : keys;
  }

  int64_t s, h, first_query, queries, first_key, keys, key_head;
  const float *q, *k, *v;
};

/// The queries [query, query+queries) against the keys [key, key+count): lane i sees key j if j ≤ i + offset.
struct Block {
  Block(const Attention& p, const HeadView& head, int64_t query_, int64_t key_, int64_t end)
      : query(query_),
        queries(smaller(kQueries, head.queries - query)),
        lanes(round_up(queries, kLanes)),
        key(key_),
        count(smaller(kKeys, end - key)),
        offset(p.causal ? query + head.keys - head.queries - key : kKeys) {}

  /// How many keys lane i sees.
  int64_t seen(int64_t i) const { return larger(0, smaller(count, i + offset + 1)); }
  /// The first lane that sees key j.
  int64_t first_lane(int64_t j) const { return larger(0, j - offset); }

  /// Of products whose rows are keys and whose columns, or depth, are queries, or the other way round.
  template <Format format>
  TileRange key_columns(int64_t first, int64_t width) const {
    return {first_lane(first) / kLanes * kLanes, 0, divide_up(width, kPerLane<format>)};
  }
  template <Format format>
  TileRange key_depth(int64_t first) const {
    return {0, first_lane(first) / kPerLane<format>, divide_up(queries, kPerLane<format>)};
  }
  template <Format format>
  TileRange query_depth(int64_t last) const {
    return {0, 0, divide_up(seen(last - 1), kPerLane<format>)};
  }

  int64_t query, queries, lanes, key, count, offset;
};

/// scores[j·kQueries + i] of a block, from lanes of K along its rows and of Qᵀ; of a vector of lanes only the keys that
/// one of them sees, and then -inf for the lanes that do not. They still lack the factor that is returned (the scale,
/// or 1 if something had to be applied after it). With softcap, slopes gets d capped/d score in the same layout, if not
/// null.
template <Format format>
float score_block(const Attention& p, const HeadView& head, const Block& block, Rows k, const float* q_transposed,
                  float* scores, float* slopes, Ahead& ahead) {
  block_product<format, 0>(block.count, block.lanes, {k.data, k.step, 1, q_transposed, kQueries, scores, kQueries},
                           ahead,
                           [&](int64_t first, int64_t) { return block.template key_columns<format>(first, p.width); });
  float factor = p.scale;
  if (p.softcap > 0 || p.bias != nullptr || p.mask != nullptr || !(p.scale > 0)) {
    const bool capped = p.softcap > 0;
    for (int64_t i = 0; i < block.lanes; i += kLanes)
      for (int64_t j = 0; j < block.seen(i + kLanes - 1); ++j) {
        Vec x = load(scores + j * kQueries + i) * p.scale;
        if (capped) {
          const Vec t = tanh(x / p.softcap);
          x = p.softcap * t;
          if (slopes != nullptr) store(slopes + j * kQueries + i, 1.0f - t * t);
        }
        store(scores + j * kQueries + i, x);
      }
    factor = 1;
  }
  if (p.bias != nullptr) {
    const float* bias = p.bias + head.s * p.bias_strides[0] + head.h * p.bias_strides[1] + block.key;
    for (int64_t i = 0; i < block.queries; ++i)
      for (int64_t j = 0; j < block.seen(i); ++j)
        scores[j * kQueries + i] += bias[(block.query + i) * p.bias_strides[2] + j];
  }
  if (p.mask != nullptr) {
    const uint8_t* mask = p.mask + head.s * p.mask_strides[0] + head.h * p.mask_strides[1] + block.key;
    for (int64_t i = 0; i < block.queries; ++i)
      for (int64_t j = 0; j < block.seen(i); ++j)
        if (!mask[(block.query + i) * p.mask_strides[2] + j]) scores[j * kQueries + i] = -kInfinity;
  }
  for (int64_t i = 0; i < block.lanes; i += kLanes)
    for (int64_t j = block.seen(i); j < block.seen(i + kLanes - 1); ++j) {
      float* at = scores + j * kQueries + i;
      const int32_t hidden = static_cast<int32_t>(block.first_lane(j) - i);  // the lanes before it
      store(at, select(lane_numbers() < hidden, splat(-kInfinity), load(at)));
    }
  return factor;
}

/// Zeros below what a vector of lanes sees, as far as a tile that begins above reaches.
ATTEND_INLINE void clear_below(float* weights, int64_t seen, int64_t count) {
  for (int64_t j = seen; j < smaller(count, seen + kBlockRows); ++j) store(weights + j * kQueries, Vec{});
}

/// What a block's numbers [key][kQueries] become as the left side of a product over keys (`to` may be `from`) …
template <Format format>
ATTEND_INLINE void weights_over_keys(const Block& block, const float* from, float* to) {
  constexpr int64_t per = kPerLane<format>;
  if (format == Format::f32) return;
  for (int64_t i = 0; i < block.lanes; i += kLanes) {
    const int64_t count = smaller(block.count, block.seen(i + kLanes - 1) + kBlockRows);
    for (int64_t j = 0; j < count; j += per)
      store(to + j / per * kQueries + i,
            lanes_across<format>(from + j * kQueries + i, kQueries, j + per > block.count, AllLanes{}));
  }
}
/// … and over queries, in place.
template <Format format>
ATTEND_INLINE void weights_over_queries(const Block& block, float* weights) {
  constexpr int64_t numbers = kLanes * kPerLane<format>;
  static_assert(kQueries % numbers == 0);
  if (format == Format::f32) return;
  for (int64_t j = 0; j < block.count; ++j)
    for (int64_t i = 0; i < block.lanes; i += numbers)
      store(weights + j * kQueries + i / kPerLane<format>, lanes_along<format>(weights + j * kQueries + i));
}

/// The dropout factors of a block: one mask block per query row, the key is the lane.
class BlockMask {
 public:
  explicit BlockMask(const Attention& p) : mask_(p.dropout), heads_(p.heads) {}
  bool on() const { return mask_.on(); }

  /// Call before at() for the block that begins with `query` and `key` (key / 2^20 is the same in all of it).
  void begin(const HeadView& head, const Block& block) {
    const int64_t blocks = head.h + (block.key >> kLaneBits);
    if (!on() || (first_ == head.first_query + block.query && blocks_ == blocks)) return;
    first_ = head.first_query + block.query, blocks_ = blocks;
    for (int64_t i = 0; i < block.lanes; i += kLanes / 2) {
      alignas(64) uint64_t rows[kLanes / 2];
      for (int64_t l = 0; l < kLanes / 2; ++l) rows[l] = static_cast<uint64_t>((first_ + i + l) * heads_ + blocks);
      const Wide seeds = mask_.seeds(*reinterpret_cast<const Wide*>(rows));
      for (int64_t l = 0; l < kLanes / 2; ++l) {
        firsts_[i + l] = static_cast<uint32_t>(seeds[l]) * kLaneFactor;
        seconds_[i + l] = static_cast<uint32_t>(seeds[l] >> 32);
      }
    }
  }

  /// Of the block's key j and the queries i … i+kLanes-1 of the block.
  Vec at(const Block& block, int64_t j, int64_t i) const {
    const uint32_t lane = static_cast<uint32_t>(block.key + j) & kLaneMask;
    return mask_.at(*reinterpret_cast<const Uint*>(firsts_ + i) + lane * kLaneFactor,
                    *reinterpret_cast<const Uint*>(seconds_ + i));
  }

 private:
  typedef uint64_t Wide __attribute__((vector_size(4 * kLanes), may_alias));

  MaskStream mask_;
  int64_t heads_, first_ = -1, blocks_ = -1;
  alignas(64) uint32_t firsts_[kQueries];
  alignas(64) uint32_t seconds_[kQueries];
};

}  // namespace
}  // namespace attend::kernels::ATTEND_LEVEL
