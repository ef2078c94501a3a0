// Element types and devices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace attend {

enum class DType : uint8_t { f32, f16, bf16, f64, i64, i32, u8, boolean };

constexpr size_t size_of(DType type) noexcept {
  switch (type) {
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::f16:
    case DType::bf16:
      return 2;
    case DType::u8:
    case DType::boolean:
      return 1;
  }
  return 0;
}

constexpr std::string_view name_of(DType type) noexcept {
  constexpr std::string_view names[] = {"f32", "f16", "bf16", "f64", "i64", "i32", "u8", "bool"};
  return names[static_cast<size_t>(type)];
}

/// IEEE half and bfloat16 as they lie in memory.
struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<Half> {
  static constexpr DType value = DType::f16;
};
template <>
struct DTypeOf<BFloat16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::i64;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::u8;
};
template <>
struct DTypeOf<bool> {
  static constexpr DType value = DType::boolean;
};

/// Where memory lies. `fake` is host memory under addresses that fault (kernels/kernels.hpp): it proves in the tests
/// that operations do not assume host memory; real accelerators come later.
enum class Device : uint8_t { cpu, fake };

constexpr std::string_view name_of(Device device) noexcept { return device == Device::cpu ? "cpu" : "fake"; }

}  // namespace attend
