// The shape of a tensor: up to six sizes, outermost first, as papers write them.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace attend {

class Shape {
 public:
  static constexpr int max_rank = 6;

  Shape() = default;
  /// Throws ShapeError for negative sizes, more than six, or a product beyond 2^60 (so that bytes fit 64 bits).
  Shape(std::initializer_list<int64_t> sizes) : Shape(std::span(sizes.begin(), sizes.size())) {}
  explicit Shape(std::span<const int64_t> sizes);

  int rank() const noexcept { return rank_; }
  /// Size of dimension i; negative counts from the end (-1 = last).
  int64_t operator[](int i) const noexcept { return sizes_[i < 0 ? rank_ + i : i]; }
  int64_t elements() const noexcept { return elements_; }
  /// All dimensions but the last as one: the number of rows of `last()` elements.
  int64_t rows() const noexcept {
    int64_t rows = 1;
    for (int i = 0; i + 1 < rank_; ++i) rows *= sizes_[static_cast<size_t>(i)];
    return rows;
  }
  int64_t last() const noexcept { return rank_ == 0 ? 1 : sizes_[rank_ - 1]; }
  std::span<const int64_t> sizes() const noexcept { return {sizes_.data(), static_cast<size_t>(rank_)}; }
  /// This shape with its last size replaced.
  Shape with_last(int64_t size) const;

  bool operator==(const Shape& other) const noexcept;
  std::string to_string() const;  ///< "[2, 3]"

 private:
  std::array<int64_t, max_rank> sizes_{};
  int rank_ = 0;
  int64_t elements_ = 1;
};

}  // namespace attend

#include <fmt/format.h>
template <>
struct fmt::formatter<attend::Shape> : fmt::formatter<std::string> {
  auto format(const attend::Shape& shape, format_context& context) const {
    return fmt::formatter<std::string>::format(shape.to_string(), context);
  }
};
