// The kernels: plain structs in, plain memory out, no exceptions, no tensors. Operations (ops/) check shapes and build
// these structs; a kernel may assume that they are right.
//
// Every kernel splits its work by shape only (fixed tiles, fixed order inside each reduction), so the bits do not
// depend on the number of threads. "rows" are packed tokens; matrices are row-major; `ld` is the distance of rows in
// elements. A size of 0 is legal everywhere and does nothing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace attend {
class ThreadPool;
}

namespace attend::kernels {

enum class Activation : uint8_t { none, relu, gelu, gelu_tanh, silu, quick_gelu, tanh, sigmoid, relu2 };

/// How numbers lie in memory, and in what precision products take them.
enum class Format : uint8_t { f32, f16, bf16 };

/// Memory that a kernel may use during one call, per worker and shared; grows on demand and is kept.
class Scratch {
 public:
  Scratch() = default;
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  /// At least `bytes` bytes, 64-byte aligned, for `slot` (0 … slots-1: one per worker, or a shared one at slot =
  /// threads). Must be called from one thread at a time per slot; reserve() makes room for the slots beforehand.
  void* get(int slot, size_t bytes) noexcept;
  void reserve(int slots) noexcept;

 private:
  struct Block {
    void* data = nullptr;
    size_t bytes = 0;
  };
  Block* blocks_ = nullptr;
  int slots_ = 0;
};

struct KernelTable;

/// What every kernel gets beside its arguments. One kernel at a time per scratch: a task of the pool must not call
/// kernels with the context of its caller.
struct KernelContext {
  const KernelTable* table = nullptr;
  ThreadPool* pool = nullptr;
  Scratch* scratch = nullptr;
};

/// C = act(op(A)·op(B) + bias) or C += op(A)·op(B).   op(A): [m, k], op(B): [k, n], C: [m, n].
/// a_transposed: A lies as [k, m]; b_transposed: B lies as [n, k] (a Linear's weight [out, in]).
/// With product = bf16 both sides are rounded to bf16 (to nearest, ties to even) and the products are added in f32.
/// The bits of an element depend on its row of A and its column of B alone: a row is the same alone or in a batch, with
/// B plain, transposed or packed.
struct Matmul {
  int64_t m, n, k;
  const float* a;
  int64_t lda;
  bool a_transposed;
  const void* b;  ///< numbers of b_format
  int64_t ldb;
  bool b_transposed;
  float* c;
  int64_t ldc;
  bool accumulate = false;      ///< C += …; then bias and activation must be absent
  const float* bias = nullptr;  ///< [n] or null, added before the activation
  Activation activation = Activation::none;
  float* before = nullptr;          ///< if not null: also stores op(A)·op(B)+bias (before the activation), ld = ldc
  const float* packed_b = nullptr;  ///< if not null: op(B) in the panels of `pack` for this product (b is ignored)
  Format product = Format::f32;     ///< f32 or bf16
  Format b_format = Format::f32;
};

/// Packs op(B) [k, n] into this level's panels, for a weight that is used many times. `packed` takes packed_size
/// floats.
struct PackMatmul {
  int64_t n, k;
  const void* b;  ///< numbers of b_format
  int64_t ldb;
  bool b_transposed;
  float* packed;
  Format product = Format::f32;  ///< of the products that will use it
  Format b_format = Format::f32;
};

/// The same for a weight whose numbers f16 holds exactly, as those of a model that was stored so: panels of f16, half
/// the memory, for products in f32.
struct PackHalf {
  int64_t n, k;
  const void* b;  ///< [n, k], numbers of b_format
  Format b_format;
  int64_t ldb;
  void* packed;  ///< packed_size(n, k, Format::f32) numbers of f16
  bool* exact;   ///< becomes false, and `packed` is not to be used, if a number would be rounded; else true
};

/// Panels of signed bytes with a scale for each column of op(B), its largest magnitude over 127: a quarter of the
/// memory and the products that the vnni instructions compute. Columns with numbers that are not finite become NaN.
struct PackInt8 {
  int64_t n, k;   ///< k ≤ kInt8Depth
  const void* b;  ///< [n, k], numbers of b_format
  Format b_format;
  int64_t ldb;
  int32_t* packed;  ///< int8_size(n, k) of them
};
constexpr int64_t kInt8Depth = 65536;  ///< sums of so many products fit into 32 bits

/// C = act(A·B + bias) with B [k, n] packed beforehand.
struct MatmulPacked {
  int64_t m, n, k;
  const float* a;
  int64_t lda;
  const void* packed_b;
  float* c;
  int64_t ldc;
  const float* bias = nullptr;  ///< [n] or null, added before the activation
  Activation activation = Activation::none;
};
/// In f32 with the panels of PackHalf, k > 0; the bits are those of Matmul.
struct MatmulHalf : MatmulPacked {};
/// In whole numbers with the panels of PackInt8, k > 0: rows of A are rounded as the columns of B are. Products and
/// sums are exact, so the bits of A·B + bias are the same at every level.
struct MatmulInt8 : MatmulPacked {};

/// dx = dy · act'(…), elementwise over `size`. `y` is the activation's output, `before` its input; relu, tanh and
/// sigmoid need y, the others need `before`. dx may be dy.
struct ActivationBackward {
  int64_t size;
  Activation activation;
  const float* dy;
  const float* y;
  const float* before;
  float* dx;
};

/// y = act(x), elementwise over `size`: the bits that Matmul makes of the same x. y may be x.
struct ActivationApply {
  int64_t size;
  Activation activation;
  const float* x;
  float* y;
};

/// out[j] (+)= Σ_i x[i, j] over `rows` rows.
struct ColumnSum {
  int64_t rows, columns;
  const float* x;
  float* out;
  bool accumulate = false;
};

/// The counter-based dropout mask: element i is kept if hash(key, i) says so; kept values are scaled by 1/(1-p).
/// The same (key, i) gives the same answer at every level, thread count and in the backward pass.
struct Dropout {
  float probability = 0;  ///< 0 = off
  uint64_t key = 0;
};

/// y = dropout(x), elementwise. (Backward is the same call on dy.)
struct DropoutApply {
  int64_t size;
  const float* x;
  float* y;
  Dropout dropout;
};

/// sum = residual + dropout(x); y = norm(sum)·weight + bias.  Rows of `width`.
struct Norm {
  int64_t rows, width;
  bool rms = false;  ///< RMSNorm: no mean, no bias
  float epsilon = 1e-5f;
  const float* x;
  const float* residual = nullptr;  ///< null: sum = dropout(x)
  Dropout dropout;
  const float* weight;          ///< [width] or null (= 1)
  const float* bias = nullptr;  ///< [width] or null
  float* sum = nullptr;         ///< [rows, width]; may be null when not wanted and (residual null and no dropout)
  float* y;                     ///< [rows, width]; null = only the sum is wanted
  float* mean = nullptr;        ///< [rows], or null; not written with rms
  float* rstd = nullptr;        ///< [rows], or null
};

/// Backward of Norm. dsum = d loss / d sum through y, plus dsum_in (the gradient that reaches `sum` directly).
struct NormBackward {
  int64_t rows, width;
  bool rms = false;
  const float* dy;                 ///< [rows, width]
  const float* sum;                ///< [rows, width]
  const float* mean;               ///< [rows] (null with rms)
  const float* rstd;               ///< [rows]
  const float* weight;             ///< [width] or null
  const float* dsum_in = nullptr;  ///< [rows, width] or null
  float* dsum;                     ///< [rows, width]: the gradient of the residual
  Dropout dropout;
  float* dx = nullptr;       ///< [rows, width] = dropout(dsum), or null when there is no dropout (dx = dsum)
  float* dweight = nullptr;  ///< [width], accumulated (+=), or null
  float* dbias = nullptr;    ///< [width], accumulated (+=), or null
};

/// Attention(Q,K,V) = softmax(scale·QKᵀ + bias)V without ever storing the score matrix (only the log-sum-exp of each
/// row). Sequences are packed: sequence s has the query rows [q_offsets[s], q_offsets[s+1]) and the key rows
/// [k_offsets[s], k_offsets[s+1]). Head h of row i lies at q[i·q_stride + h·width]; key head = h / (heads/key_heads).
/// Causal is aligned to the end: query i of Tq sees keys ≤ i + Tk - Tq. A row without any allowed key gives 0.
struct Attention {
  int64_t sequences, heads, key_heads, width, value_width;
  const int32_t* q_offsets;  ///< [sequences+1]
  const int32_t* k_offsets;  ///< [sequences+1]
  const float* q;
  int64_t q_stride;
  const float* k;
  int64_t k_stride;
  const float* v;
  int64_t v_stride;
  float scale;
  bool causal = false;
  float softcap = 0;              ///< s → c·tanh(s/c) before bias and mask; 0 = off
  const float* bias = nullptr;    ///< added to the scores of sequence s, head h, query i, key j at
  int64_t bias_strides[3] = {};   ///<   bias[s·strides[0] + h·strides[1] + i·strides[2] + j]
  const uint8_t* mask = nullptr;  ///< 1 = may attend; same addressing with mask_strides
  int64_t mask_strides[3] = {};
  Format product = Format::f32;  ///< f32 or bf16: Q, K, V, the weights and, backward, dO and dS as factors of products
  Dropout dropout;               ///< of the weights; element = ((q row)·heads + h)·2^20 + j
  float* out;                    ///< [q rows, heads·value_width] with out_stride
  int64_t out_stride;
  float* lse;  ///< [heads, q rows]: log Σ exp of each row; -inf for a row without keys
};

/// Backward of Attention, from Q, K, V, out and lse. dq, dk, dv are written (not accumulated).
struct AttentionBackward {
  Attention forward;
  const float* dout;  ///< [q rows, heads·value_width] with out_stride
  float* dq;          ///< strides as q, k, v unless given
  float* dk;
  float* dv;
  int64_t dq_stride, dk_stride, dv_stride;
};

/// The weights themselves, recomputed from Q, K and lse for who wants to look: weights[h, i, j] of one sequence, f32
/// [heads, Tq, Tk] (dropout not applied).
struct AttentionWeights {
  Attention forward;  ///< v and out unused
  int64_t sequence;
  float* weights;
};

/// Attention of a few new queries against cached keys and values that lie in pages (generation).
/// Sequence s has queries [q_offsets[s], q_offsets[s+1]) and `lengths[s]` keys; page p of it is
/// page_table[s·max_pages+p]; key j, head h lies at k_pages[((page·page_size) + j % page_size)·kv_stride + h·width].
/// Causal as in Attention.
struct AttentionCached {
  int64_t sequences, heads, key_heads, width, value_width, page_size, max_pages;
  const int32_t* q_offsets;
  const int32_t* lengths;
  const int32_t* page_table;
  const float* q;
  int64_t q_stride;
  const float* k_pages;
  const float* v_pages;
  int64_t k_stride, v_stride;
  float scale;
  bool causal = true;
  float softcap = 0;
  float* out;
  int64_t out_stride;
  float* lse = nullptr;  ///< [heads, q rows] or null
};

/// loss of each row of logits against its target, with label smoothing ε:
///   loss = (1-ε)·(lse - x[target]) + ε·(lse - mean(x));  rows with target = ignore give 0.
/// If `gradient` is not null it gets scale·d loss/d logits of each row (0 for ignored rows); it may be `logits` itself.
struct SoftmaxCrossEntropy {
  int64_t rows, vocab;
  const float* logits;
  int64_t ld;
  const int32_t* targets;
  int32_t ignore = -100;
  float label_smoothing = 0;
  float* losses;              ///< [rows]
  float* gradient = nullptr;  ///< [rows, vocab] with ld, or null
  float gradient_scale = 1;
};

/// y = log softmax(x) (or softmax) of each row; y may be x.
struct Softmax {
  int64_t rows, columns;
  const float* x;
  int64_t ldx;
  float* y;
  int64_t ldy;
  bool log = false;
};

/// The two numbers of each row that make log-probabilities of its logits: log p_j = (x_j - max) - log_sum, with
/// log_sum = log Σ e^(x - max), as Softmax computes them.
struct LogSumExp {
  int64_t rows, columns;
  const float* x;
  int64_t ldx;
  float* max;      ///< [rows]
  float* log_sum;  ///< [rows]
};

/// The k best of each row by ((x - shift) - log_sum) + add, best first, of equal ones the lower column. Only scores
/// above -inf count, no NaN; where a row has fewer, the rest has index -1.
struct TopK {
  int64_t rows, columns, k;
  const float* x;
  int64_t ldx;
  const float* shift;    ///< [rows]
  const float* log_sum;  ///< [rows]
  const float* add;      ///< [rows]
  int32_t* indices;      ///< [rows, k]
  float* scores;         ///< [rows, k]
};

/// y[i] = scale·table[ids[i]] + positions[position_ids[i]] (positions may be null)
struct Embedding {
  int64_t rows, width;
  const int32_t* ids;
  const float* table;
  float scale = 1;
  const int32_t* position_ids = nullptr;
  const float* positions = nullptr;
  float* y;
};

/// dtable[ids[i]] += scale·dy[i], in the order of i for each id (so bits do not depend on threads). Rows whose id is
/// `skip` are left alone (a frozen padding row).
struct EmbeddingBackward {
  int64_t rows, width, vocab;
  const int32_t* ids;
  const float* dy;
  float scale = 1;
  int32_t skip = -1;
  float* dtable;
};

/// y = alpha·x + beta·y, elementwise (alpha = 0 never reads x, beta = 0 never reads y).
struct Axpby {
  int64_t size;
  float alpha;
  const float* x;
  float beta;
  float* y;
};

/// Σ x² in double precision, blocks of fixed size.
struct SumOfSquares {
  int64_t size;
  const float* x;
  double* out;
};

/// One step of AdamW (decoupled weight decay; Loshchilov & Hutter 2019) over one tensor, in one pass:
///   g = gradient_scale·gradient;  m = β₁m + (1-β₁)g;  v = β₂v + (1-β₂)g²
///   w = w - lr·(weight_decay·w + (m/correction1) / (√(v/correction2) + ε))
struct AdamW {
  int64_t size;
  float* weight;
  const float* gradient;
  float* m;
  float* v;
  float lr, beta1, beta2, epsilon, weight_decay, correction1, correction2, gradient_scale;
};

/// Between storage formats and f32.
struct Convert {
  int64_t size;
  Format from, to;  ///< one of them is f32; rounding to nearest, ties to even
  const void* x;
  void* y;
};

/// The most arithmetic that the machine does: `rounds` rounds of independent multiply-adds in registers for each of
/// `tiles` tiles. f32, or bf16 summed in f32 (at levels without such an instruction: f32).
struct MultiplyAdd {
  Format format;
  int64_t tiles, rounds;
  float* out;     ///< [tiles], so that nothing is left out
  double* flops;  ///< gets the number of FLOPs done, 2 a multiply-add
};

/// The fastest way to read memory: out[i] = Σ of tile i. `tile_size` is a multiple of 64.
struct ReadMemory {
  int64_t tiles, tile_size;
  const float* x;
  float* out;
};

/// out = Σ x / divisor: the sum in double precision, in the order of x.
struct Mean {
  int64_t size;
  const float* x;
  double divisor;
  float* out;
};

/// Bytes from one place to another; on a device, either may be the host's memory.
struct Copy {
  int64_t bytes;
  const void* from;
  void* to;
  bool from_host = false, to_host = false;
};

/// One entry per operation, each filled with the best that this CPU and ATTEND_ISA allow: levels are laid over each
/// other, and one that does nothing special for an operation leaves the entry of those below.
struct KernelTable {
  const char* level;  ///< the highest one in it, of kLevels
  void (*matmul)(KernelContext&, const Matmul&) noexcept;
  int64_t (*packed_size)(int64_t n, int64_t k, Format product) noexcept;
  void (*pack_matmul)(KernelContext&, const PackMatmul&) noexcept;
  void (*pack_half)(KernelContext&, const PackHalf&) noexcept;
  void (*matmul_half)(KernelContext&, const MatmulHalf&) noexcept;
  int64_t (*int8_size)(int64_t n, int64_t k) noexcept;
  void (*pack_int8)(KernelContext&, const PackInt8&) noexcept;
  void (*matmul_int8)(KernelContext&, const MatmulInt8&) noexcept;
  void (*activation)(KernelContext&, const ActivationApply&) noexcept;
  void (*activation_backward)(KernelContext&, const ActivationBackward&) noexcept;
  void (*column_sum)(KernelContext&, const ColumnSum&) noexcept;
  void (*dropout)(KernelContext&, const DropoutApply&) noexcept;
  void (*norm)(KernelContext&, const Norm&) noexcept;
  void (*norm_backward)(KernelContext&, const NormBackward&) noexcept;
  void (*attention)(KernelContext&, const Attention&) noexcept;
  void (*attention_backward)(KernelContext&, const AttentionBackward&) noexcept;
  void (*attention_weights)(KernelContext&, const AttentionWeights&) noexcept;
  void (*attention_cached)(KernelContext&, const AttentionCached&) noexcept;
  void (*softmax_cross_entropy)(KernelContext&, const SoftmaxCrossEntropy&) noexcept;
  void (*softmax)(KernelContext&, const Softmax&) noexcept;
  void (*log_sum_exp)(KernelContext&, const LogSumExp&) noexcept;
  void (*top_k)(KernelContext&, const TopK&) noexcept;
  void (*embedding)(KernelContext&, const Embedding&) noexcept;
  void (*embedding_backward)(KernelContext&, const EmbeddingBackward&) noexcept;
  void (*axpby)(KernelContext&, const Axpby&) noexcept;
  void (*sum_of_squares)(KernelContext&, const SumOfSquares&) noexcept;
  void (*adamw)(KernelContext&, const AdamW&) noexcept;
  void (*convert)(KernelContext&, const Convert&) noexcept;
  void (*mean)(KernelContext&, const Mean&) noexcept;
  void (*copy)(KernelContext&, const Copy&) noexcept;
  void (*read_memory)(KernelContext&, const ReadMemory&) noexcept;
  void (*multiply_add)(KernelContext&, const MultiplyAdd&) noexcept;

  /// f(name, pointer to the member) for every entry.
  static constexpr void entries(auto&& f) {
    f("matmul", &KernelTable::matmul);
    f("packed_size", &KernelTable::packed_size);
    f("pack_matmul", &KernelTable::pack_matmul);
    f("pack_half", &KernelTable::pack_half);
    f("matmul_half", &KernelTable::matmul_half);
    f("int8_size", &KernelTable::int8_size);
    f("pack_int8", &KernelTable::pack_int8);
    f("matmul_int8", &KernelTable::matmul_int8);
    f("activation", &KernelTable::activation);
    f("activation_backward", &KernelTable::activation_backward);
    f("column_sum", &KernelTable::column_sum);
    f("dropout", &KernelTable::dropout);
    f("norm", &KernelTable::norm);
    f("norm_backward", &KernelTable::norm_backward);
    f("attention", &KernelTable::attention);
    f("attention_backward", &KernelTable::attention_backward);
    f("attention_weights", &KernelTable::attention_weights);
    f("attention_cached", &KernelTable::attention_cached);
    f("softmax_cross_entropy", &KernelTable::softmax_cross_entropy);
    f("softmax", &KernelTable::softmax);
    f("log_sum_exp", &KernelTable::log_sum_exp);
    f("top_k", &KernelTable::top_k);
    f("embedding", &KernelTable::embedding);
    f("embedding_backward", &KernelTable::embedding_backward);
    f("axpby", &KernelTable::axpby);
    f("sum_of_squares", &KernelTable::sum_of_squares);
    f("adamw", &KernelTable::adamw);
    f("convert", &KernelTable::convert);
    f("mean", &KernelTable::mean);
    f("copy", &KernelTable::copy);
    f("multiply_add", &KernelTable::multiply_add);
    f("read_memory", &KernelTable::read_memory);
  }
};

/// Instruction-set levels by CPU features, lowest first. A CPU may lack one (avx2-vnni) and have those behind it.
inline constexpr const char* kLevels[] = {"base", "avx2", "avx2-vnni", "avx512", "avx512-vnni", "avx512-bf16"};

/// The table for this CPU. ATTEND_ISA=<one of kLevels> in the environment lowers the level (never raises it).
const KernelTable& cpu_kernels() noexcept;
/// The best table of this CPU up to the level `limit`; null or an unknown name: without limit.
const KernelTable& cpu_kernels_up_to(const char* limit) noexcept;
/// The table of one level, or null if this CPU or build lacks it (for tests that compare levels).
const KernelTable* cpu_kernels(const char* level) noexcept;
/// The level that the entry `name` of a table comes from; null if there is no such entry.
const char* level_of(const KernelTable& table, const char* name) noexcept;

/// The fake device is host memory under addresses that no process has: reading or writing there faults. Its kernels
/// take the offset off again and call those of the context's CPU table; an address of the host faults in them. So the
/// tests run on it what an accelerator needs, and whatever assumes host memory ends in a fault.
constexpr uintptr_t fake_offset = uintptr_t{1} << 54;
KernelTable fake_kernels(const KernelTable& cpu) noexcept;

}  // namespace attend::kernels
