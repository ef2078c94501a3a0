// The kernels' name for a floating-point dtype.
#pragma once

#include <attend/base/dtype.hpp>
#include <attend/kernels/kernels.hpp>

namespace attend {

/// Whether kernels read and write numbers of this type (f32, f16, bf16).
constexpr bool is_kernel_format(DType dtype) noexcept {
  return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
}
/// The format of such a type.
constexpr kernels::Format format_of(DType dtype) noexcept {
  return dtype == DType::f16    ? kernels::Format::f16
         : dtype == DType::bf16 ? kernels::Format::bf16
                                : kernels::Format::f32;
}

}  // namespace attend
