#include <attend/ops/arguments.hpp>
#include <attend/ops/attention.hpp>

#include <algorithm>
#include <cmath>

namespace attend {
namespace {

struct Sequences {
  int64_t count = 0, longest = 0;  // longest: 0 if the offsets lie on a device
};

Sequences check_offsets(const Tensor& offsets, const Tensor& rows, const char* what) {
  ops::required(offsets, what);
  const int32_t* values = ops::i32(offsets, what);
  Sequences sequences{offsets.elements() - 1, 0};
  if (offsets.device() != Device::cpu) return sequences;
  bool good = sequences.count >= 0 && values[0] == 0 && values[sequences.count] == rows.shape().rows();
  for (int64_t s = 0; good && s < sequences.count; ++s) {
    good = values[s] <= values[s + 1];
    sequences.longest = std::max<int64_t>(sequences.longest, values[s + 1] - values[s]);
  }
  if (!good) fail<ShapeError>("{} must rise from 0 to {} rows", what, rows.shape().rows());
  return sequences;
}

// Strides of a [sequences|1, heads|1, Tq, Tk] tensor: a size of 1 is shared by all.
void strides_of(const Tensor& tensor, const char* what, Sequences queries, Sequences keys, int64_t heads,
                int64_t (&strides)[3]) {
  if (!tensor.defined()) return;
  const Shape& shape = tensor.shape();
  if (shape.rank() != 4 || (shape[0] != 1 && shape[0] != queries.count) || (shape[1] != 1 && shape[1] != heads) ||
      shape[2] < queries.longest || shape[3] < keys.longest)
    fail<ShapeError>("attention: {} {} must be [{} or 1, {} or 1, Tq ≥ {}, Tk ≥ {}]", what, shape, queries.count, heads,
                     queries.longest, keys.longest);
  strides[0] = shape[0] == 1 ? 0 : shape[1] * shape[2] * shape[3];
  strides[1] = shape[1] == 1 ? 0 : shape[2] * shape[3];
  strides[2] = shape[3];
}

// Checks everything but v, and brings the offsets to the device.
kernels::Attention arguments(const Tensor& q, const Tensor& k, Tensor& q_offsets, Tensor& k_offsets,
                             const AttentionOptions& options) {
  ops::required(q, "attention: q");
  ops::required(k, "attention: k");
  ops::check(options.dropout, "attention");
  const int64_t heads = options.heads, key_heads = options.key_heads ? options.key_heads : heads;
  const int64_t width = heads > 0 ? q.shape().last() / heads : 0;
  if (heads < 1 || key_heads < 1 || heads % key_heads || width * heads != q.shape().last() ||
      k.shape().last() != key_heads * width)
    fail<ShapeError>("attention: q {} and k {} do not fit {} heads over {} key heads", q.shape(), k.shape(), heads,
                     key_heads);
  const Sequences queries = check_offsets(q_offsets, q, "attention: query offsets");
  const Sequences keys = check_offsets(k_offsets, k, "attention: key offsets");
  if (keys.count != queries.count)
    fail<ShapeError>("attention: {} query sequences, {} key sequences", queries.count, keys.count);
  const Device device = ops::device_of("attention", {&q, &k, &options.bias, &options.mask});
  q_offsets = ops::indices(q_offsets, device, "attention: query offsets");
  k_offsets = ops::indices(k_offsets, device, "attention: key offsets");
  kernels::Attention args{};
  args.sequences = queries.count;
  args.heads = heads;
  args.key_heads = key_heads;
  args.width = width;
  args.q_offsets = ops::i32(q_offsets, "attention: query offsets");
  args.k_offsets = ops::i32(k_offsets, "attention: key offsets");
  args.q = ops::f32(q, "attention: q");
  args.q_stride = q.shape().last();
  args.k = ops::f32(k, "attention: k");
  args.k_stride = k.shape().last();
  args.scale = options.scale != 0 ? options.scale : static_cast<float>(1 / std::sqrt(static_cast<double>(width)));
  args.causal = options.causal;
  args.softcap = options.softcap;
  args.bias = ops::f32(options.bias, "attention: bias");
  strides_of(options.bias, "bias", queries, keys, heads, args.bias_strides);
  if (options.mask.defined()) {
    if (options.mask.dtype() != DType::boolean)
      fail<ShapeError>("attention: the mask must be bool, not {}", name_of(options.mask.dtype()));
    args.mask = static_cast<const uint8_t*>(options.mask.memory());
  }
  strides_of(options.mask, "mask", queries, keys, heads, args.mask_strides);
  args.dropout = options.dropout;
  args.product = Context::current().product();
  return args;
}

}  // namespace

AttentionResult attention(const Tensor& q, const Tensor& k, const Tensor& v, Tensor q_offsets, Tensor k_offsets,
                          const AttentionOptions& options) {
  kernels::Attention args = arguments(q, k, q_offsets, k_offsets, options);
  ops::required(v, "attention: v");
  args.value_width = v.shape().last() / args.key_heads;
  if (v.shape().rows() != k.shape().rows() || args.value_width * args.key_heads != v.shape().last())
    fail<ShapeError>("attention: v {} does not fit k {}", v.shape(), k.shape());
  const Device device = ops::device_of("attention", {&q, &v});
  const int64_t tokens = q.shape().rows();
  AttentionResult result{ops::result({tokens, args.heads * args.value_width}, device),
                         ops::result({args.heads, tokens}, device)};
  args.v = ops::f32(v, "attention: v");
  args.v_stride = v.shape().last();
  args.out = ops::f32(result.out, "attention: out");
  args.out_stride = result.out.size(1);
  args.lse = ops::f32(result.lse, "attention: lse");
  ops::run(device, &kernels::KernelTable::attention, args);

  if (Tape::recording({&q, &k, &v})) {
    // The closure keeps alive whatever `args` points to.
    Tape::record({&result.out}, [=, out = result.out, lse = result.lse, id = result.out.id(), bias = options.bias,
                                 mask = options.mask](Backward& backward) {
      const Tensor dout = backward.gradient(id);
      Tensor dq = ops::result(q.shape(), device), dk = ops::result(k.shape(), device),
             dv = ops::result(v.shape(), device);
      ops::run(device, &kernels::KernelTable::attention_backward,
               kernels::AttentionBackward{args, ops::f32(dout, "attention: dout"), ops::f32(dq, "attention: dq"),
                                          ops::f32(dk, "attention: dk"), ops::f32(dv, "attention: dv"), args.q_stride,
                                          args.k_stride, args.v_stride});
      backward.add(q, dq);
      backward.add(k, dk);
      backward.add(v, dv);
      (void)q_offsets, (void)k_offsets, (void)out, (void)lse, (void)bias, (void)mask;
    });
  }
  return result;
}

Tensor attention_weights(const Tensor& q, const Tensor& k, const Tensor& lse, Tensor q_offsets, Tensor k_offsets,
                         const AttentionOptions& options, int64_t sequence) {
  kernels::Attention args = arguments(q, k, q_offsets, k_offsets, options);
  if (sequence < 0 || sequence >= args.sequences)
    fail<ShapeError>("attention_weights: sequence {} of {}", sequence, args.sequences);
  if (lse.elements() != args.heads * q.shape().rows())
    fail<ShapeError>("attention_weights: lse {} does not fit q {}", lse.shape(), q.shape());
  args.lse = ops::f32(lse, "attention: lse");
  const Device device = ops::device_of("attention_weights", {&q, &lse});
  auto length = [&](const Tensor& offsets) {
    const Tensor ends = offsets.rows(sequence, sequence + 2).to(Device::cpu);
    return ends.data<int32_t>()[1] - ends.data<int32_t>()[0];
  };
  Tensor weights = ops::result({args.heads, length(q_offsets), length(k_offsets)}, device);
  ops::run(device, &kernels::KernelTable::attention_weights,
           kernels::AttentionWeights{args, sequence, ops::f32(weights, "attention: weights")});
  return weights;
}

}  // namespace attend
