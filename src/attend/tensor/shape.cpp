#include <attend/base/error.hpp>
#include <attend/tensor/shape.hpp>

namespace attend {

Shape::Shape(std::span<const int64_t> sizes) {
  if (sizes.size() > max_rank)
    fail<ShapeError>("shape: {} dimensions, at most {} are supported", sizes.size(), max_rank);
  for (int64_t size : sizes) {
    if (size < 0) fail<ShapeError>("shape: negative size {}", size);
    if (__builtin_mul_overflow(elements_, size, &elements_) || elements_ > (int64_t{1} << 60))
      fail<ShapeError>("shape: more elements than memory can address");
    sizes_[static_cast<size_t>(rank_++)] = size;
  }
}

Shape Shape::with_last(int64_t size) const {
  Shape copy = *this;
  if (copy.rank_ > 0) copy.sizes_[static_cast<size_t>(copy.rank_ - 1)] = size;
  return Shape(copy.sizes());
}

bool Shape::operator==(const Shape& other) const noexcept {
  return rank_ == other.rank_ && std::equal(sizes_.begin(), sizes_.begin() + rank_, other.sizes_.begin());
}

std::string Shape::to_string() const {
  std::string text = "[";
  for (int i = 0; i < rank_; ++i) text += (i ? ", " : "") + std::to_string(sizes_[static_cast<size_t>(i)]);
  return text + "]";
}

}  // namespace attend
