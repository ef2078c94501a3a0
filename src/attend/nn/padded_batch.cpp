#include <attend/base/error.hpp>
#include <attend/nn/padded_batch.hpp>

#include <algorithm>

namespace attend {

PaddedBatch::PaddedBatch(const Tensor& ids, const Tensor& mask, const char* what) {
  if (ids.shape().rank() != 2) fail<ShapeError>("{} must be [batch, length], not {}", what, ids.shape());
  if (mask.defined() && mask.shape() != ids.shape())
    fail<ShapeError>("{} {} and its mask {} must have one shape", what, ids.shape(), mask.shape());
  batch_ = ids.size(0);
  length_ = ids.size(1);
  const Tensor kept = mask.defined() ? mask.to(DType::i64) : Tensor{};
  std::vector<int64_t> counts;
  for (int64_t b = 0; b < batch_; ++b) {
    const size_t before = places_.size();
    for (int64_t place = b * length_; place < (b + 1) * length_; ++place)
      if (!kept.defined() || kept.data<int64_t>()[place] != 0) places_.push_back(place);
    counts.push_back(static_cast<int64_t>(places_.size() - before));
  }
  sequences_ = Sequences::of(counts);
  for (size_t i = 0; i < places_.size(); ++i)
    sequences_.positions.data<int32_t>()[i] = static_cast<int32_t>(places_[i] % length_);
  ids_ = pack(ids);
}

Tensor PaddedBatch::pack(const Tensor& padded) const {
  if (padded.elements() != batch_ * length_)
    fail<ShapeError>("padded batch: {} does not fit [{}, {}]", padded.shape(), batch_, length_);
  const Tensor values = padded.to(DType::i64);
  Tensor packed({static_cast<int64_t>(places_.size())}, DType::i32);
  for (size_t i = 0; i < places_.size(); ++i)
    packed.data<int32_t>()[i] = static_cast<int32_t>(values.data<int64_t>()[places_[i]]);
  return packed;
}

Tensor PaddedBatch::unpack(const Tensor& packed) const {
  const int64_t width = packed.shape().last();
  Tensor padded = Tensor::zeros({batch_, length_, width});
  for (size_t i = 0; i < places_.size(); ++i)
    std::copy_n(packed.data<float>() + static_cast<int64_t>(i) * width, width,
                padded.data<float>() + places_[i] * width);
  return padded;
}

Tensor PaddedBatch::unpack_weights(const Tensor& weights, const PaddedBatch& queries, const PaddedBatch& keys) {
  const int64_t heads = weights.size(-3);
  Tensor all = Tensor::zeros({queries.batch_, heads, queries.length_, keys.length_});
  for (int64_t b = 0; b < queries.batch_; ++b)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t i = 0; i < queries.count(b); ++i)
        for (int64_t j = 0; j < keys.count(b); ++j)
          all.data<float>()[((b * heads + h) * queries.length_ + queries.column(b, i)) * keys.length_ +
                            keys.column(b, j)] =
              weights.data<float>()[((b * heads + h) * weights.size(-2) + i) * weights.size(-1) + j];
  return all;
}

int64_t PaddedBatch::count(int64_t row) const {
  const int32_t* offsets = sequences_.offsets.data<int32_t>();
  return offsets[row + 1] - offsets[row];
}

int64_t PaddedBatch::column(int64_t row, int64_t i) const {
  return places_[static_cast<size_t>(sequences_.offsets.data<int32_t>()[row] + i)] % length_;
}

}  // namespace attend
