// The kernels of one instruction-set level: every source of this folder is compiled once per level into
// attend::kernels::<level>. Apart from these functions nothing leaves a source: helpers live in anonymous namespaces
// and no template or inline function of the standard library is used, because the linker keeps one copy of a shared
// inline function, and if that is the AVX-512 one, older machines crash.
#pragma once

#include "attend/base/thread_pool.hpp"
#include "attend/kernels/kernels.hpp"

namespace attend::kernels::ATTEND_LEVEL {

void matmul(KernelContext&, const Matmul&) noexcept;
int64_t packed_size(int64_t n, int64_t k, Format product) noexcept;
void pack_matmul(KernelContext&, const PackMatmul&) noexcept;
void pack_half(KernelContext&, const PackHalf&) noexcept;
void matmul_half(KernelContext&, const MatmulHalf&) noexcept;
int64_t int8_size(int64_t n, int64_t k) noexcept;
void pack_int8(KernelContext&, const PackInt8&) noexcept;
void matmul_int8(KernelContext&, const MatmulInt8&) noexcept;
void activation(KernelContext&, const ActivationApply&) noexcept;
void activation_backward(KernelContext&, const ActivationBackward&) noexcept;
void column_sum(KernelContext&, const ColumnSum&) noexcept;
void dropout(KernelContext&, const DropoutApply&) noexcept;
void norm(KernelContext&, const Norm&) noexcept;
void norm_backward(KernelContext&, const NormBackward&) noexcept;
void attention(KernelContext&, const Attention&) noexcept;
void attention_backward(KernelContext&, const AttentionBackward&) noexcept;
void attention_weights(KernelContext&, const AttentionWeights&) noexcept;
void attention_cached(KernelContext&, const AttentionCached&) noexcept;
void softmax_cross_entropy(KernelContext&, const SoftmaxCrossEntropy&) noexcept;
void softmax(KernelContext&, const Softmax&) noexcept;
void log_sum_exp(KernelContext&, const LogSumExp&) noexcept;
void top_k(KernelContext&, const TopK&) noexcept;
void embedding(KernelContext&, const Embedding&) noexcept;
void embedding_backward(KernelContext&, const EmbeddingBackward&) noexcept;
void axpby(KernelContext&, const Axpby&) noexcept;
void sum_of_squares(KernelContext&, const SumOfSquares&) noexcept;
void adamw(KernelContext&, const AdamW&) noexcept;
void convert(KernelContext&, const Convert&) noexcept;
void multiply_add(KernelContext&, const MultiplyAdd&) noexcept;
void read_memory(KernelContext&, const ReadMemory&) noexcept;
void mean(KernelContext&, const Mean&) noexcept;
void copy(KernelContext&, const Copy&) noexcept;

}  // namespace attend::kernels::ATTEND_LEVEL
