#include "attend/kernels/cpu/entries.hpp"

#define ATTEND_NAME_OF(level) #level
#define ATTEND_NAME(level) ATTEND_NAME_OF(level)

namespace attend::kernels::ATTEND_LEVEL {

extern const KernelTable table;
const KernelTable table = {
    .level = ATTEND_NAME(ATTEND_LEVEL),
    .matmul = matmul,
    .packed_size = packed_size,
    .pack_matmul = pack_matmul,
    .activation_backward = activation_backward,
    .column_sum = column_sum,
    .dropout = dropout,
    .norm = norm,
    .norm_backward = norm_backward,
    .attention = attention,
    .attention_backward = attention_backward,
    .attention_weights = attention_weights,
    .attention_cached = attention_cached,
    .softmax_cross_entropy = softmax_cross_entropy,
    .softmax = softmax,
    .embedding = embedding,
    .embedding_backward = embedding_backward,
    .axpby = axpby,
    .sum_of_squares = sum_of_squares,
    .adamw = adamw,
    .convert = convert,
};

}  // namespace attend::kernels::ATTEND_LEVEL
