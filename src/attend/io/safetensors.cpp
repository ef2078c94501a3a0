#include <attend/base/error.hpp>
#include <attend/base/memory_map.hpp>
#include <attend/io/safetensors.hpp>
#include <attend/io/safetensors_header.hpp>

#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace attend {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian");

std::optional<DType> StoredTensor::element_type() const noexcept {
  const safetensors::ElementType* type = safetensors::find_element_type(dtype);
  return type ? type->type : std::nullopt;
}

std::string StoredTensor::shape_string() const { return fmt::format("[{}]", fmt::join(shape, ", ")); }

SafeTensors SafeTensors::open(const std::filesystem::path& path) {
  auto map = std::make_shared<MemoryMap>(path);
  const auto bytes = map->bytes();
  return from_bytes(std::move(map), bytes, path.string());
}

SafeTensors SafeTensors::from_bytes(std::shared_ptr<const void> keeper, std::span<const std::byte> bytes,
                                    std::string name) {
  uint64_t header_bytes = 0;
  if (bytes.size() < sizeof header_bytes)
    fail<FormatError>("{}: safetensors: {} bytes are too few for a header", name, bytes.size());
  std::memcpy(&header_bytes, bytes.data(), sizeof header_bytes);
  const auto rest = bytes.subspan(sizeof header_bytes);
  if (header_bytes > safetensors::max_header_bytes)
    fail<FormatError>("{}: safetensors: a header of {} bytes is too large (or this is another format)", name,
                      header_bytes);
  if (header_bytes > rest.size())
    fail<FormatError>("{}: safetensors: a header of {} bytes does not fit the file (cut off, or another format)", name,
                      header_bytes);
  const std::string_view json(reinterpret_cast<const char*>(rest.data()), header_bytes);

  auto contents = std::make_shared<Contents>();
  contents->file_name = std::move(name);
  contents->keeper = std::move(keeper);
  contents->data = rest.subspan(header_bytes);
  auto header = safetensors::parse_header(json, contents->data.size(), contents->file_name);
  contents->entries = std::move(header.entries);
  contents->metadata = std::move(header.metadata);
  contents->index.reserve(contents->entries.size());
  for (size_t i = 0; i < contents->entries.size(); ++i) contents->index.emplace(contents->entries[i].name, i);
  SafeTensors result;
  result.contents_ = std::move(contents);
  return result;
}

const StoredTensor* SafeTensors::find(std::string_view name) const noexcept {
  const auto found = contents_->index.find(name);
  return found == contents_->index.end() ? nullptr : &contents_->entries[found->second];
}

const StoredTensor& SafeTensors::require(std::string_view name) const {
  const StoredTensor* entry = find(name);
  if (!entry) fail<FormatError>("{}: there is no tensor '{}'", contents_->file_name, name);
  return *entry;
}

std::span<const std::byte> SafeTensors::bytes(std::string_view name) const {
  const StoredTensor& entry = require(name);
  return contents_->data.subspan(entry.begin, entry.end - entry.begin);
}

Tensor SafeTensors::tensor(std::string_view name) const {
  const StoredTensor& entry = require(name);
  const auto data = bytes(name);
  const auto type = entry.element_type();
  const bool fits = entry.shape.size() <= Shape::max_rank &&
                    std::all_of(entry.shape.begin(), entry.shape.end(), [](uint64_t n) { return n < 1ull << 62; });
  if (!type || !fits)
    fail<Unsupported>("{}: tensor '{}' is {} {}, which this program does not compute with", contents_->file_name, name,
                      entry.dtype, entry.shape_string());
  const std::vector<int64_t> sizes(entry.shape.begin(), entry.shape.end());
  const Shape shape{std::span<const int64_t>(sizes)};

  const bool aligned = reinterpret_cast<uintptr_t>(data.data()) % size_of(*type) == 0;
  const bool clean =
      *type != DType::boolean || std::all_of(data.begin(), data.end(), [](std::byte b) { return b <= std::byte{1}; });
  if (aligned && clean) return Tensor(Storage(contents_, data.data(), data.size()), shape, *type);
  Tensor copy(shape, *type);
  auto* to = static_cast<std::byte*>(copy.memory());
  if (clean)
    std::copy(data.begin(), data.end(), to);
  else
    std::transform(data.begin(), data.end(), to, [](std::byte b) { return b == std::byte{} ? b : std::byte{1}; });
  return copy;
}

}  // namespace attend
