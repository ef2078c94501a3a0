// How products cut their depth k: by k alone, so that every product over k adds in the same order.
#pragma once

#include "attend/kernels/cpu/simd.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

constexpr int64_t kMaxDepth = 512;  // of a block: a panel of B then fits half of a usual L2

/// Steps of all blocks but the last.
constexpr int64_t depth_of_block(int64_t k) { return divide_up(k, larger(1, divide_up(k, kMaxDepth))); }

}  // namespace
}  // namespace attend::kernels::ATTEND_LEVEL
