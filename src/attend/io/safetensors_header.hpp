// The JSON header of a safetensors file; used by the reader and the writer only.
#pragma once

#include <attend/io/safetensors.hpp>

namespace attend::safetensors {

/// One element type of the format; a higher rank lies earlier in files that the library writes.
struct ElementType {
  std::string_view name;
  uint64_t bits;
  std::optional<DType> type;
};

/// All types of the format, by rising rank.
std::span<const ElementType> element_types() noexcept;
const ElementType* find_element_type(std::string_view name) noexcept;
const ElementType& element_type_of(DType type) noexcept;

constexpr uint64_t max_header_bytes = 100'000'000;

struct Header {
  std::vector<StoredTensor> entries;  ///< by data offset
  std::map<std::string, std::string> metadata;
};

/// Parses and checks a header against the number of data bytes after it. Throws FormatError "FILE: safetensors: …".
Header parse_header(std::string_view json, uint64_t data_bytes, const std::string& file);

}  // namespace attend::safetensors
