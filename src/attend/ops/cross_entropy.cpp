#include <attend/ops/arguments.hpp>
#include <attend/ops/cross_entropy.hpp>

#include <algorithm>

namespace attend {
namespace {

// Rows of logits at a time: about 16 MB of them, so that they stay in a last-level cache, but enough rows that reading
// and packing the matrix three times a slice does not count. Slices are even, in units of what products like.
int64_t slice_rows(int64_t rows, int64_t vocab) {
  constexpr int64_t elements = int64_t{1} << 22, fewest = 256, most = 1024, unit = 42;
  const int64_t limit = std::clamp(elements / std::max<int64_t>(vocab, 1), fewest, most);
  const int64_t slices = std::max<int64_t>(1, (rows + limit - 1) / limit);
  return std::max<int64_t>(1, ((rows + slices - 1) / slices + unit - 1) / unit) * unit;
}

// What the mean divides by. Targets on a device were checked, and must be counted, where they were made.
double counted(const Tensor& targets, int64_t rows, int64_t vocab, const CrossEntropyOptions& options) {
  ops::required(targets, "cross_entropy: targets");
  if (targets.elements() != rows)
    fail<ShapeError>("cross_entropy: {} targets for {} rows of logits", targets.elements(), rows);
  if (!(options.label_smoothing >= 0 && options.label_smoothing < 1))
    fail<ConfigError>("cross_entropy: label smoothing {} is not in [0, 1)", options.label_smoothing);
  if (targets.device() != Device::cpu) {
    if (options.mean && !(options.count > 0))
      fail<ConfigError>("cross_entropy: the targets lie on {}; say how many count", name_of(targets.device()));
    return options.mean ? options.count : 1;
  }
  int64_t count = 0;
  for (int32_t target : targets.values<int32_t>()) {
    if (target == options.ignore) continue;
    if (target < 0 || target >= vocab) fail<ShapeError>("cross_entropy: target {} is outside [0, {})", target, vocab);
    ++count;
  }
  if (!options.mean) return 1;
  return options.count > 0 ? options.count : static_cast<double>(std::max<int64_t>(count, 1));
}

Tensor total(const Tensor& losses, double divisor) {
  Tensor loss = ops::result({}, losses.device());
  ops::run(losses.device(), &kernels::KernelTable::mean,
           kernels::Mean{losses.elements(), ops::f32(losses, "cross_entropy: losses"), divisor,
                         ops::f32(loss, "cross_entropy: loss")});
  return loss;
}

// Turns gradients made in the forward pass (for d loss = 1) into those for the loss's true gradient.
void scale_by(const Tensor& gradient, const Tensor& dloss) {
  const float factor = static_cast<float>(dloss.item());
  if (factor == 1 || !gradient.defined()) return;
  float* values = ops::f32(gradient, "cross_entropy: gradient");
  ops::run(gradient.device(), &kernels::KernelTable::axpby,
           kernels::Axpby{gradient.elements(), factor, values, 0, values});
}

}  // namespace

Tensor cross_entropy(const Tensor& logits, const Tensor& given_targets, const CrossEntropyOptions& options,
                     Tensor* losses) {
  ops::required(logits, "cross_entropy: logits");
  const int64_t rows = logits.shape().rows(), vocab = logits.shape().last();
  const double divisor = counted(given_targets, rows, vocab, options);
  const Device device = logits.device();
  const Tensor targets = ops::indices(given_targets, device, "cross_entropy: targets");
  const bool recording = Tape::recording({&logits});
  Tensor each = ops::result({rows}, device), gradient = recording ? ops::result(logits.shape(), device) : Tensor{};
  kernels::SoftmaxCrossEntropy args{.rows = rows,
                                    .vocab = vocab,
                                    .logits = ops::f32(logits, "cross_entropy: logits"),
                                    .ld = vocab,
                                    .targets = ops::i32(targets, "cross_entropy: targets"),
                                    .losses = ops::f32(each, "cross_entropy: losses")};
  args.ignore = options.ignore;
  args.label_smoothing = options.label_smoothing;
  args.gradient = ops::f32(gradient, "cross_entropy: gradient");
  args.gradient_scale = static_cast<float>(1 / divisor);
  ops::run(device, &kernels::KernelTable::softmax_cross_entropy, args);
  Tensor loss = total(each, divisor);
  if (losses) *losses = each;
  if (recording)
    Tape::record({&loss}, [=, id = loss.id()](Backward& backward) {
      scale_by(gradient, backward.gradient(id));
      backward.add(logits, gradient);
    });
  return loss;
}

Tensor linear_cross_entropy(const Tensor& x, const Weight& weight, const Tensor& bias, const Tensor& given_targets,
                            const CrossEntropyOptions& options) {
  const Tensor& w = weight.tensor;
  ops::required(x, "linear_cross_entropy: x");
  ops::required(w, "linear_cross_entropy: W");
  if (w.shape().rank() != 2 || x.shape().last() != w.size(1))
    fail<ShapeError>("linear_cross_entropy: x {} does not fit W {}", x.shape(), w.shape());
  const int64_t rows = x.shape().rows(), width = w.size(1), vocab = w.size(0);
  if (bias.defined() && bias.elements() != vocab)
    fail<ShapeError>("linear_cross_entropy: bias {} does not fit W {}", bias.shape(), w.shape());
  const double divisor = counted(given_targets, rows, vocab, options);
  const Device device = ops::device_of("linear_cross_entropy", {&x, &w, &bias});
  const Tensor targets = ops::indices(given_targets, device, "linear_cross_entropy: targets");
  const bool recording = Tape::recording({&x, &w, &bias});
  Tensor dx = recording && x.tracked() ? ops::result(x.shape(), device) : Tensor{};
  Tensor dw = recording && w.tracked() ? ops::result(w.shape(), device) : Tensor{};
  Tensor db = recording && bias.tracked() ? ops::result(bias.shape(), device) : Tensor{};

  const kernels::Format precision = Context::current().product();
  const int64_t slice = slice_rows(rows, vocab);
  Tensor losses = ops::result({rows}, device), logits = ops::result({std::min(slice, rows), vocab}, device);
  float* z = ops::f32(logits, "linear_cross_entropy: logits");
  const float* xs = ops::f32(x, "linear_cross_entropy: x");
  for (int64_t begin = 0; begin == 0 || begin < rows; begin += slice) {  // once without rows: gradients of 0
    const int64_t count = std::min(slice, rows - begin);
    kernels::Matmul product{.m = count,
                            .n = vocab,
                            .k = width,
                            .a = xs + begin * width,
                            .lda = width,
                            .a_transposed = false,
                            .c = z,
                            .ldc = vocab,
                            .product = precision};
    ops::set_weight(product, weight, true, "linear_cross_entropy: W");
    product.bias = ops::f32(bias, "linear_cross_entropy: bias");
    ops::run(device, &kernels::KernelTable::matmul, product);

    kernels::SoftmaxCrossEntropy softmax{.rows = count,
                                         .vocab = vocab,
                                         .logits = z,
                                         .ld = vocab,
                                         .targets = ops::i32(targets, "linear_cross_entropy: targets") + begin,
                                         .losses = ops::f32(losses, "linear_cross_entropy: losses") + begin};
    softmax.ignore = options.ignore;
    softmax.label_smoothing = options.label_smoothing;
    softmax.gradient = recording ? z : nullptr;  // dz takes the place of z
    softmax.gradient_scale = static_cast<float>(1 / divisor);
    ops::run(device, &kernels::KernelTable::softmax_cross_entropy, softmax);

    if (dx.defined()) {  // dx = dz·W
      kernels::Matmul args{.m = count,
                           .n = width,
                           .k = vocab,
                           .a = z,
                           .lda = vocab,
                           .a_transposed = false,
                           .c = ops::f32(dx, "linear_cross_entropy: dx") + begin * width,
                           .ldc = width,
                           .product = precision};
      ops::set_weight(args, w, false, "linear_cross_entropy: W");
      ops::run(device, &kernels::KernelTable::matmul, args);
    }
    if (dw.defined()) {  // dW += dzᵀ·x
      kernels::Matmul args{.m = vocab,
                           .n = width,
                           .k = count,
                           .a = z,
                           .lda = vocab,
                           .a_transposed = true,
                           .b = xs + begin * width,
                           .ldb = width,
                           .b_transposed = false,
                           .c = ops::f32(dw, "linear_cross_entropy: dW"),
                           .ldc = width,
                           .accumulate = begin > 0,
                           .product = precision};
      ops::run(device, &kernels::KernelTable::matmul, args);
    }
    if (db.defined())
      ops::run(device, &kernels::KernelTable::column_sum,
               kernels::ColumnSum{count, vocab, z, ops::f32(db, "linear_cross_entropy: db"), begin > 0});
  }
  Tensor loss = total(losses, divisor);
  if (recording)
    Tape::record({&loss}, [=, id = loss.id()](Backward& backward) {
      const Tensor dloss = backward.gradient(id);
      for (const auto& [input, gradient] : {std::pair{x, dx}, std::pair{w, dw}, std::pair{bias, db}}) {
        if (!gradient.defined()) continue;
        scale_by(gradient, dloss);
        backward.add(input, gradient);
      }
    });
  return loss;
}

}  // namespace attend
