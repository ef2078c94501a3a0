// In what numbers matrix products are computed.
#pragma once

#include <attend/base/fields.hpp>

#include <array>
#include <cstdint>

namespace attend {

/// f32; bf16: factors are rounded to bf16, products added in f32; int8: linear layers whose weight was packed in this
/// precision multiply whole numbers of 8 bits (weights rounded by output, inputs by row), all else is f32. Training
/// knows f32 and bf16. Whatever the precision, weights, activations and all between products stay f32.
enum class Precision : uint8_t { f32, bf16, int8 };

constexpr auto enum_names(Precision) {
  return std::to_array<EnumName<Precision>>(
      {{Precision::f32, "f32"}, {Precision::bf16, "bf16"}, {Precision::int8, "int8"}});
}

/// Inside this block products of the current context are computed in `precision`:
///   ProductPrecision products(Precision::bf16);
/// An operation's backward step uses the precision of its forward step, wherever it runs.
class ProductPrecision {
 public:
  explicit ProductPrecision(Precision precision);
  ~ProductPrecision();
  ProductPrecision(const ProductPrecision&) = delete;
  ProductPrecision& operator=(const ProductPrecision&) = delete;

 private:
  Precision previous_;
};

}  // namespace attend
