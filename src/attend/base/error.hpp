// The exceptions of the library. Every message names the operation, the actual values and what to do:
//   "linear: x [2, 3] does not fit W [4, 5]"
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace attend {

/// Root of everything the library throws on purpose. The library itself never prints, exits or aborts.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Shapes, lengths or indices that do not fit the operation.
struct ShapeError : Error {
  using Error::Error;
};

/// A file or byte stream that breaks its format (safetensors, JSON, TSV, UTF-8, checkpoints, …).
struct FormatError : Error {
  using Error::Error;
};

/// Options, recipes or model configurations that make no sense together.
struct ConfigError : Error {
  using Error::Error;
};

/// A valid request that this build, machine or model cannot serve.
struct Unsupported : Error {
  using Error::Error;
};

/// A system call that failed: missing file, full disk, broken connection.
struct SystemError : Error {
  using Error::Error;
};

/// throws E with a formatted message: fail<ShapeError>("linear: x {} does not fit W {}", x, w)
template <class E, class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw E(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace attend
