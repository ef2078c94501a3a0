// One attention score by the formula, for the paths where speed does not matter.
#pragma once

#include "attend/kernels/cpu/math.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

ATTEND_INLINE float dot(const float* a, const float* b, int64_t size) {
  Vec total{};
  for_vectors(0, size, [&](int64_t i, auto n) { total = fma(load(a + i, n), load(b + i, n), total); });
  return sum(total);
}

ATTEND_INLINE float capped(float s, float cap) { return cap > 0 ? cap * tanh(splat(s / cap))[0] : s; }

// scale·q·k, capped; -inf where key j is hidden from query i (both counted from the start of the sequence).
ATTEND_INLINE float score(const Attention& p, int64_t s, int64_t h, int64_t i, int64_t j) {
  const int64_t queries = p.q_offsets[s + 1] - p.q_offsets[s], keys = p.k_offsets[s + 1] - p.k_offsets[s];
  if (p.causal && j > i + keys - queries) return -kInfinity;
  if (p.mask != nullptr && !p.mask[s * p.mask_strides[0] + h * p.mask_strides[1] + i * p.mask_strides[2] + j])
    return -kInfinity;
  const float* q = p.q + (p.q_offsets[s] + i) * p.q_stride + h * p.width;
  const float* k = p.k + (p.k_offsets[s] + j) * p.k_stride + h / (p.heads / p.key_heads) * p.width;
  const float value = capped(p.scale * dot(q, k, p.width), p.softcap);
  return p.bias != nullptr ? value + p.bias[s * p.bias_strides[0] + h * p.bias_strides[1] + i * p.bias_strides[2] + j]
                           : value;
}

}  // namespace
}  // namespace attend::kernels::ATTEND_LEVEL
