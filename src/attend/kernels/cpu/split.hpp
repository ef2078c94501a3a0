// How products are split: their depth k by k alone, so that every product over k adds in the same order; the rest into
// tasks for the threads.
#pragma once

#include "attend/kernels/cpu/simd.hpp"

namespace attend::kernels::ATTEND_LEVEL {
namespace {

constexpr int64_t kMaxDepth = 512;  // of a block: a panel of B then fits half of a usual L2

/// Steps of all blocks but the last.
constexpr int64_t depth_of_block(int64_t k) { return divide_up(k, larger(1, divide_up(k, kMaxDepth))); }

constexpr int64_t kTasks = 32;     // aim for so many
constexpr int64_t kMaxPanels = 6;  // of a task, at most

/// Whether a second thread does not pay.
constexpr bool is_small(int64_t m, int64_t n, int64_t k) { return m * n * k < 48 * 48 * 48; }
/// How many panels of a product a task takes.
constexpr int64_t grain_of(int64_t panels) { return smaller(kMaxPanels, larger(1, panels / kTasks)); }
/// How many panels of so many lanes a task packs.
constexpr int64_t packing_grain(int64_t lanes) { return larger(1, 16384 / (lanes + 1)); }

}  // namespace
}  // namespace attend::kernels::ATTEND_LEVEL
