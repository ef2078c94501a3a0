// What attention and its backward pass share: one block of scores, transposed, so that the lanes are queries. Then the
// softmax runs down the rows without any sum across lanes, and the transposed weights are at once the left side that
// the product with V wants.
#pragma once

#include "attend/kernels/cpu/dropout_mask.hpp"
#include "attend/kernels/cpu/math.hpp"
#include "attend/kernels/cpu/pack.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

constexpr int64_t kQueries = 64;  // of a block
constexpr int64_t kKeys = 64;

#if ATTEND_LEVEL_avx512
constexpr int kBlockRows = 6, kBlockVectors = 4;
#elif ATTEND_LEVEL_avx2
constexpr int kBlockRows = 6, kBlockVectors = 2;
#else
constexpr int kBlockRows = 4, kBlockVectors = 2;
#endif

using BlockTile = void (*)(int64_t k, const float* a, int64_t a_row, int64_t a_step, const float* b, int64_t b_step,
                           float* c, int64_t c_step, bool accumulate);

/// `row_distance` is a_row where it is known at compile time, else 0.
template <int rows, int vectors, int64_t row_distance>
void block_tile(int64_t k, const float* a, int64_t a_row, int64_t a_step, const float* b, int64_t b_step, float* c,
                int64_t c_step, bool accumulate) {
  Vec total[rows][vectors];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) total[r][v] = accumulate ? load(c + r * c_step + v * kLanes) : Vec{};
  tile_product<rows, vectors>(k, a, row_distance != 0 ? row_distance : a_row, a_step, b, b_step, total);
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) store(c + r * c_step + v * kLanes, total[r][v]);
}

template <int vectors, int64_t row_distance>
BlockTile block_tile_of(int64_t rows) {
#if ATTEND_LEVEL_avx512 || ATTEND_LEVEL_avx2
  static constexpr BlockTile table[] = {block_tile<1, vectors, row_distance>, block_tile<2, vectors, row_distance>,
                                        block_tile<3, vectors, row_distance>, block_tile<4, vectors, row_distance>,
                                        block_tile<5, vectors, row_distance>, block_tile<6, vectors, row_distance>};
#else
  static constexpr BlockTile table[] = {block_tile<1, vectors, row_distance>, block_tile<2, vectors, row_distance>,
                                        block_tile<3, vectors, row_distance>, block_tile<4, vectors, row_distance>};
#endif
  static_assert(sizeof(table) / sizeof(table[0]) == kBlockRows);
  return table[rows - 1];
}

template <int64_t row_distance, int vectors>
ATTEND_INLINE void block_columns(int64_t rows, int64_t k, const float* a, int64_t a_row, int64_t a_step, const float* b,
                                 int64_t b_step, float* c, int64_t c_step, bool accumulate) {
  for (int64_t i = 0; i < rows; i += kBlockRows)
    block_tile_of<vectors, row_distance>(smaller(kBlockRows, rows - i))(k, a + i * a_row, a_row, a_step, b, b_step,
                                                                        c + i * c_step, c_step, accumulate);
}

/// C (+)= A·B with A(i, l) at a[i·a_row + l·a_step]; `columns` is a multiple of kLanes.
template <int64_t row_distance>
void block_product(int64_t rows, int64_t columns, int64_t k, const float* a, int64_t a_row, int64_t a_step,
                   const float* b, int64_t b_step, float* c, int64_t c_step, bool accumulate) {
  for (int64_t j = 0; j < columns;) {
    const int64_t vectors = smaller(kBlockVectors, (columns - j) / kLanes);
    switch (vectors) {
      case 1:
        block_columns<row_distance, 1>(rows, k, a, a_row, a_step, b + j, b_step, c + j, c_step, accumulate);
        break;
      case 2:
        block_columns<row_distance, 2>(rows, k, a, a_row, a_step, b + j, b_step, c + j, c_step, accumulate);
        break;
#if ATTEND_LEVEL_avx512
      case 3:
        block_columns<row_distance, 3>(rows, k, a, a_row, a_step, b + j, b_step, c + j, c_step, accumulate);
        break;
      case 4:
        block_columns<row_distance, 4>(rows, k, a, a_row, a_step, b + j, b_step, c + j, c_step, accumulate);
        break;
#endif
    }
    j += vectors * kLanes;
  }
}

/// Rows of a matrix as the right side of a product, which reads whole vectors: where they lie if the width allows it,
/// else copied to `memory` with zeros behind.
struct Rows {
  const float* data;
  int64_t step;
};
ATTEND_INLINE Rows whole_rows(const float* x, int64_t stride, int64_t rows, int64_t width, float* memory) {
  if (width % kLanes == 0) return {x, stride};
  const int64_t padded = round_up(width, kLanes);
  for (int64_t i = 0; i < rows; ++i)
    for_vectors(0, width, [&](int64_t j, auto n) { store(memory + i * padded + j, load(x + i * stride + j, n)); });
  return {memory, padded};
}

/// to[d·kQueries + i] = x[i·stride + d] for `count` rows, zeros up to a whole vector.
ATTEND_INLINE void transpose_rows(const float* x, int64_t stride, int64_t count, int64_t width, float* to) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    pack_rows<kLanes>(x + i * stride, stride, kLanes, width, to + i, kQueries, true);
  if (i < count) pack_rows<0>(x + i * stride, stride, count - i, width, to + i, kQueries, true);
}

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

/// scores[j·kQueries + i] of the keys [key, key+count) and the queries [query, query+queries), from Qᵀ of the queries.
/// They still lack the factor that is returned (the scale, or 1 if something had to be applied after it). With
/// softcap, slopes gets d capped/d score in the same layout, if not null.
inline float score_block(const Attention& p, const HeadView& head, int64_t query, int64_t queries, int64_t key,
                         int64_t count, const float* q_transposed, float* scores, float* slopes) {
  const int64_t lanes = round_up(queries, kLanes);
  block_product<0>(count, lanes, p.width, head.k + key * p.k_stride, p.k_stride, 1, q_transposed, kQueries, scores,
                   kQueries, false);
  float factor = p.scale;
  if (p.softcap > 0 || p.bias != nullptr || p.mask != nullptr || !(p.scale > 0)) {
    const bool capped = p.softcap > 0;
    for (int64_t j = 0; j < count; ++j)
      for (int64_t i = 0; i < lanes; i += kLanes) {
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
    const float* bias = p.bias + head.s * p.bias_strides[0] + head.h * p.bias_strides[1] + key;
    for (int64_t i = 0; i < queries; ++i)
      for (int64_t j = 0; j < count; ++j) scores[j * kQueries + i] += bias[(query + i) * p.bias_strides[2] + j];
  }
  if (p.mask != nullptr) {
    const uint8_t* mask = p.mask + head.s * p.mask_strides[0] + head.h * p.mask_strides[1] + key;
    for (int64_t i = 0; i < queries; ++i)
      for (int64_t j = 0; j < count; ++j)
        if (!mask[(query + i) * p.mask_strides[2] + j]) scores[j * kQueries + i] = -kInfinity;
  }
  // Query i sees key j if j ≤ i + shift.
  const int64_t shift = head.keys - head.queries;
  if (p.causal && key + count - 1 > query + shift) {
    for (int64_t j = larger(0, query + shift + 1 - key); j < count; ++j) {
      const int32_t hidden = static_cast<int32_t>(key + j - shift - query);  // the queries before it
      for (int64_t i = 0; i < smaller(lanes, round_up(hidden, kLanes)); i += kLanes) {
        float* at = scores + j * kQueries + i;
        store(at, select(lane_numbers() + static_cast<int32_t>(i) < hidden, splat(-kInfinity), load(at)));
      }
    }
  }
  return factor;
}

/// The dropout factors of a block: one mask block per query row, the key is the lane.
class BlockMask {
 public:
  BlockMask(const Attention& p, const HeadView& head) : mask_(p.dropout), heads_(p.heads), head_(head) {}
  bool on() const { return mask_.on(); }

  /// Call before at() for the block that begins with `query` and `key` (key / 2^20 is the same in all of it).
  void begin(int64_t query, int64_t queries, int64_t key) {
    key_ = key;
    for (int64_t i = 0; i < round_up(queries, kLanes); ++i) {
      const int64_t row = head_.first_query + query + i;
      const MaskSeeds seeds = mask_.seeds(row * heads_ + head_.h + (key >> kLaneBits));
      first_[i] = seeds.first;
      second_[i] = seeds.second;
    }
  }

  /// Of key `begin + j` and the queries i … i+kLanes-1 of the block.
  Vec at(int64_t j, int64_t i) const {
    const uint32_t lane = static_cast<uint32_t>(key_ + j) & kLaneMask;
    return mask_.at(lane - Uint{}, *reinterpret_cast<const Uint*>(first_ + i),
                    *reinterpret_cast<const Uint*>(second_ + i));
  }

 private:
  MaskStream mask_;
  int64_t heads_;
  const HeadView& head_;
  int64_t key_ = 0;
  alignas(64) uint32_t first_[kQueries];
  alignas(64) uint32_t second_[kQueries];
};

}  // namespace
}  // namespace attend::kernels::ATTEND_LEVEL
