#include <attend/ops/arguments.hpp>
#include <attend/ops/embedding.hpp>

namespace attend {
namespace {

void check_indices(const Tensor& indices, int64_t limit, const char* what) {
  if (indices.device() != Device::cpu) return;  // checked where they were made
  for (int32_t index : indices.values<int32_t>())
    if (index < 0 || index >= limit) fail<ShapeError>("embedding: {} {} is outside [0, {})", what, index, limit);
}

}  // namespace

Tensor embedding(const Tensor& given_ids, const Tensor& table, const Tensor& positions,
                 const Tensor& given_position_ids, const EmbeddingOptions& options) {
  ops::required(given_ids, "embedding: ids");
  ops::required(table, "embedding: table");
  if (table.shape().rank() != 2) fail<ShapeError>("embedding: the table must be [vocab, width], not {}", table.shape());
  const int64_t rows = given_ids.elements(), vocab = table.size(0), width = table.size(1);
  const Device device = ops::device_of("embedding", {&table, &positions});
  ops::i32(given_ids, "embedding: ids");
  check_indices(given_ids, vocab, "id");
  if (positions.defined()) {
    ops::required(given_position_ids, "embedding: position ids");
    if (positions.shape().rank() != 2 || positions.size(1) != width || given_position_ids.elements() != rows)
      fail<ShapeError>("embedding: positions {} and {} position ids do not fit {} tokens of width {}",
                       positions.shape(), given_position_ids.elements(), rows, width);
    ops::i32(given_position_ids, "embedding: position ids");
    check_indices(given_position_ids, positions.size(0), "position");
  }
  const Tensor ids = ops::indices(given_ids, device, "embedding: ids");
  const Tensor position_ids = ops::indices(given_position_ids, device, "embedding: position ids");
  Tensor y = ops::result({rows, width}, device);
  ops::run(device, &kernels::KernelTable::embedding,
           kernels::Embedding{rows, width, ops::i32(ids, "embedding: ids"), ops::f32(table, "embedding: table"),
                              options.scale, ops::i32(position_ids, "embedding: position ids"),
                              ops::f32(positions, "embedding: positions"), ops::f32(y, "embedding: y")});
  if (Tape::recording({&table, &positions})) {
    Tape::record({&y}, [=, id = y.id()](Backward& backward) {
      const Tensor dy = backward.gradient(id);
      auto scatter = [&](const Tensor& into, const Tensor& indices, float scale, int32_t skip) {
        if (!backward.wants(into)) return;
        auto [gradient, accumulate] = backward.target(into);
        float* target = ops::f32(gradient, "embedding: gradient");
        if (!accumulate)
          ops::run(device, &kernels::KernelTable::axpby, kernels::Axpby{gradient.elements(), 0, target, 0, target});
        ops::run(device, &kernels::KernelTable::embedding_backward,
                 kernels::EmbeddingBackward{rows, width, into.size(0), ops::i32(indices, "embedding: ids"),
                                            ops::f32(dy, "embedding: dy"), scale, skip, target});
      };
      scatter(table, ids, options.scale, options.frozen_id);
      scatter(positions, position_ids, 1, -1);
    });
  }
  return y;
}

}  // namespace attend
