// The entries of one level. One that is compiled in part leaves the others to the level below.
#include "attend/kernels/cpu/entries.hpp"

namespace attend::kernels::ATTEND_LEVEL {

extern const KernelTable table;
const KernelTable table = {
    .level = ATTEND_LEVEL_NAME,
#if ATTEND_VNNI
    .int8_size = int8_size,
    .pack_int8 = pack_int8,
    .matmul_int8 = matmul_int8,
#else
    .matmul = matmul,
    .packed_size = packed_size,
    .pack_matmul = pack_matmul,
#if !ATTEND_BF16
    .pack_half = pack_half,
    .matmul_half = matmul_half,
    .int8_size = int8_size,
    .pack_int8 = pack_int8,
    .matmul_int8 = matmul_int8,
    .activation = activation,
    .activation_backward = activation_backward,
    .column_sum = column_sum,
    .dropout = dropout,
    .norm = norm,
    .norm_backward = norm_backward,
#endif
    .attention = attention,
    .attention_backward = attention_backward,
    .attention_weights = attention_weights,
#if !ATTEND_BF16
    .attention_cached = attention_cached,
    .softmax_cross_entropy = softmax_cross_entropy,
    .softmax = softmax,
    .log_sum_exp = log_sum_exp,
    .top_k = top_k,
    .embedding = embedding,
    .embedding_backward = embedding_backward,
    .axpby = axpby,
    .sum_of_squares = sum_of_squares,
    .adamw = adamw,
    .convert = convert,
    .mean = mean,
    .copy = copy,
    .read_memory = read_memory,
#endif
    .multiply_add = multiply_add,
#endif
};

}  // namespace attend::kernels::ATTEND_LEVEL
