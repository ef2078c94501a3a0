// How much work a kernel call is, from its arguments alone: what a profile divides by the time it took.
#pragma once

#include <attend/kernels/kernels.hpp>

#include <array>

namespace attend::kernels {

/// `flops` are those of matrix products (a multiply-add is 2); elementwise arithmetic counts none, since memory bounds
/// it. `bytes` is the traffic that nobody can avoid: every array read once and written once, caches or not.
struct Work {
  const char* operation;           ///< a literal: "matmul dW"
  std::array<int64_t, 3> shape{};  ///< m×n×k of a product; rows and width of the others, unused ones are 0
  double flops = 0;
  double bytes = 0;
};

// A product's role shows in how its operands lie: x·Wᵀ goes forward, dy·W gives dX, dyᵀ·x gives dW.
Work work_of(const Matmul&) noexcept;
Work work_of(const PackMatmul&) noexcept;
Work work_of(const PackHalf&) noexcept;
Work work_of(const MatmulHalf&) noexcept;
Work work_of(const PackInt8&) noexcept;
Work work_of(const MatmulInt8&) noexcept;
Work work_of(const ActivationApply&) noexcept;
Work work_of(const ActivationBackward&) noexcept;
Work work_of(const ColumnSum&) noexcept;
Work work_of(const DropoutApply&) noexcept;
Work work_of(const Norm&) noexcept;
Work work_of(const NormBackward&) noexcept;
// Attention counts the pairs of query and key that may see each other (with causal about half), so it reads the
// offsets: they must lie where the host can read them, as they do for every table there is.
Work work_of(const Attention&) noexcept;
Work work_of(const AttentionBackward&) noexcept;  ///< 5 products of the forward pass's size; one of them recomputes
Work work_of(const AttentionWeights&) noexcept;
Work work_of(const AttentionCached&) noexcept;
Work work_of(const SoftmaxCrossEntropy&) noexcept;
Work work_of(const Softmax&) noexcept;
Work work_of(const LogSumExp&) noexcept;
Work work_of(const TopK&) noexcept;
Work work_of(const Embedding&) noexcept;
Work work_of(const EmbeddingBackward&) noexcept;
Work work_of(const Axpby&) noexcept;
Work work_of(const SumOfSquares&) noexcept;
Work work_of(const AdamW&) noexcept;
Work work_of(const Convert&) noexcept;
Work work_of(const Mean&) noexcept;
Work work_of(const Copy&) noexcept;

}  // namespace attend::kernels
