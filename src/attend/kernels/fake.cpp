// The table of the fake device: every entry moves the pointers of its arguments to where the memory is.
#include "attend/kernels/kernels.hpp"

namespace attend::kernels {
namespace {

template <class T>
void move_one(T*& pointer) noexcept {
  if (pointer != nullptr) pointer = reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(pointer) - fake_offset);
}
template <class... T>
void move(T*&... pointers) noexcept {
  (move_one(pointers), ...);
}

void reach(Matmul& p) noexcept { move(p.a, p.b, p.c, p.bias, p.before, p.packed_b); }
void reach(PackMatmul& p) noexcept { move(p.b, p.packed); }
void reach(ActivationBackward& p) noexcept { move(p.dy, p.y, p.before, p.dx); }
void reach(ColumnSum& p) noexcept { move(p.x, p.out); }
void reach(PackHalf& p) noexcept { move(p.b, p.packed); }
void reach(MatmulPacked& p) noexcept { move(p.a, p.packed_b, p.c, p.bias); }
void reach(PackInt8& p) noexcept { move(p.b, p.packed); }
void reach(ActivationApply& p) noexcept { move(p.x, p.y); }
void reach(DropoutApply& p) noexcept { move(p.x, p.y); }
void reach(Norm& p) noexcept { move(p.x, p.residual, p.weight, p.bias, p.sum, p.y, p.mean, p.rstd); }
void reach(NormBackward& p) noexcept {
  move(p.dy, p.sum, p.mean, p.rstd, p.weight, p.dsum_in, p.dsum, p.dx, p.dweight, p.dbias);
}
void reach(Attention& p) noexcept { move(p.q_offsets, p.k_offsets, p.q, p.k, p.v, p.bias, p.mask, p.out, p.lse); }
void reach(AttentionBackward& p) noexcept {
  reach(p.forward);
  move(p.dout, p.dq, p.dk, p.dv);
}
void reach(AttentionWeights& p) noexcept {
  reach(p.forward);
  move(p.weights);
}
void reach(AttentionCached& p) noexcept {
  move(p.q_offsets, p.lengths, p.page_table, p.q, p.k_pages, p.v_pages, p.out, p.lse);
}
void reach(SoftmaxCrossEntropy& p) noexcept { move(p.logits, p.targets, p.losses, p.gradient); }
void reach(Softmax& p) noexcept { move(p.x, p.y); }
void reach(LogSumExp& p) noexcept { move(p.x, p.max, p.log_sum); }
void reach(TopK& p) noexcept { move(p.x, p.shift, p.log_sum, p.add, p.indices, p.scores); }
void reach(Embedding& p) noexcept { move(p.ids, p.table, p.position_ids, p.positions, p.y); }
void reach(EmbeddingBackward& p) noexcept { move(p.ids, p.dy, p.dtable); }
void reach(Axpby& p) noexcept { move(p.x, p.y); }
void reach(SumOfSquares& p) noexcept { move(p.x, p.out); }
void reach(AdamW& p) noexcept { move(p.weight, p.gradient, p.m, p.v); }
void reach(Convert& p) noexcept { move(p.x, p.y); }
void reach(MultiplyAdd& p) noexcept { move(p.out); }
void reach(ReadMemory& p) noexcept { move(p.x, p.out); }
void reach(Mean& p) noexcept { move(p.x, p.out); }
void reach(Copy& p) noexcept {
  if (!p.from_host) move(p.from);
  if (!p.to_host) move(p.to);
}

template <auto entry, class Args>
void call(KernelContext& context, const Args& args) noexcept {
  Args here = args;
  reach(here);
  (context.table->*entry)(context, here);
}

}  // namespace

KernelTable fake_kernels(const KernelTable& cpu) noexcept {
  return {
      .level = cpu.level,
      .matmul = call<&KernelTable::matmul>,
      .packed_size = cpu.packed_size,
      .pack_matmul = call<&KernelTable::pack_matmul>,
      .pack_half = call<&KernelTable::pack_half>,
      .matmul_half = call<&KernelTable::matmul_half>,
      .int8_size = cpu.int8_size,
      .pack_int8 = call<&KernelTable::pack_int8>,
      .matmul_int8 = call<&KernelTable::matmul_int8>,
      .activation = call<&KernelTable::activation>,
      .activation_backward = call<&KernelTable::activation_backward>,
      .column_sum = call<&KernelTable::column_sum>,
      .dropout = call<&KernelTable::dropout>,
      .norm = call<&KernelTable::norm>,
      .norm_backward = call<&KernelTable::norm_backward>,
      .attention = call<&KernelTable::attention>,
      .attention_backward = call<&KernelTable::attention_backward>,
      .attention_weights = call<&KernelTable::attention_weights>,
      .attention_cached = call<&KernelTable::attention_cached>,
      .softmax_cross_entropy = call<&KernelTable::softmax_cross_entropy>,
      .softmax = call<&KernelTable::softmax>,
      .log_sum_exp = call<&KernelTable::log_sum_exp>,
      .top_k = call<&KernelTable::top_k>,
      .embedding = call<&KernelTable::embedding>,
      .embedding_backward = call<&KernelTable::embedding_backward>,
      .axpby = call<&KernelTable::axpby>,
      .sum_of_squares = call<&KernelTable::sum_of_squares>,
      .adamw = call<&KernelTable::adamw>,
      .convert = call<&KernelTable::convert>,
      .mean = call<&KernelTable::mean>,
      .copy = call<&KernelTable::copy>,
      .read_memory = call<&KernelTable::read_memory>,
      .multiply_add = call<&KernelTable::multiply_add>,
  };
}

}  // namespace attend::kernels
