// The safetensors format (https://github.com/huggingface/safetensors): 8 bytes of header length, a JSON header, raw
// little-endian tensors. Files are accepted and refused by the rules of the safetensors library 0.8.
#pragma once

#include <attend/tensor/tensor.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace attend {

/// Tensors with their names, in the order their owner gave them.
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// What the header says about one tensor. Every type and rank of the format can be described, also those that Tensor
/// does not have.
struct StoredTensor {
  std::string name;
  std::string_view dtype;       ///< as the format spells it: "F32", "BF16", "F8_E4M3", …
  std::vector<uint64_t> shape;  ///< outermost first
  uint64_t begin = 0;           ///< bytes [begin, end) after the header
  uint64_t end = 0;

  /// The element type if Tensor has it.
  std::optional<DType> element_type() const noexcept;
  std::string shape_string() const;  ///< "[2, 3]"
};

/// A file opened for reading, memory-mapped. Copies share the mapping; it lives as long as a reader or a tensor of it.
class SafeTensors {
 public:
  /// Throws SystemError for an unreadable file and FormatError "PATH: safetensors: …" for a broken one.
  static SafeTensors open(const std::filesystem::path& path);
  /// Reads from memory that `keeper` keeps alive; `name` appears in errors.
  static SafeTensors from_bytes(std::shared_ptr<const void> keeper, std::span<const std::byte> bytes, std::string name);

  /// In the order of their data.
  const std::vector<StoredTensor>& entries() const noexcept { return contents_->entries; }
  const std::map<std::string, std::string>& metadata() const noexcept { return contents_->metadata; }
  /// Null if there is none of that name.
  const StoredTensor* find(std::string_view name) const noexcept;
  bool contains(std::string_view name) const noexcept { return find(name) != nullptr; }

  /// The raw bytes; throws FormatError if there is none of that name.
  std::span<const std::byte> bytes(std::string_view name) const;
  /// The tensor, sharing the mapping: read-only. It is copied only where the data lies at an address that its type
  /// cannot have or is BOOL with bytes other than 0 and 1. Throws Unsupported for types and ranks beyond Tensor's.
  Tensor tensor(std::string_view name) const;

  const std::string& file_name() const noexcept { return contents_->file_name; }

 private:
  struct Contents {
    std::string file_name;
    std::shared_ptr<const void> keeper;
    std::span<const std::byte> data;  // after the header
    std::vector<StoredTensor> entries;
    std::unordered_map<std::string_view, size_t> index;  // views into entries
    std::map<std::string, std::string> metadata;
  };
  const StoredTensor& require(std::string_view name) const;

  std::shared_ptr<const Contents> contents_;
};

/// The weights of a model folder as one view: `model.safetensors`, or the shards that `model.safetensors.index.json`
/// names. A single .safetensors file works too.
class WeightFiles {
 public:
  /// Throws SystemError for missing files, FormatError for broken ones, for an index that leads out of the folder and
  /// for one that promises tensors its shards do not have (all of them named).
  static WeightFiles open(const std::filesystem::path& path);

  std::vector<std::string> names() const;  ///< sorted
  const StoredTensor* find(std::string_view name) const noexcept;
  bool contains(std::string_view name) const noexcept { return find(name) != nullptr; }
  Tensor tensor(std::string_view name) const;
  /// Of the single file or the first shard.
  const std::map<std::string, std::string>& metadata() const noexcept { return shards_.front().metadata(); }

 private:
  std::string name_;
  std::vector<SafeTensors> shards_;
  std::map<std::string, size_t, std::less<>> shard_of_;
};

struct SaveOptions {
  std::map<std::string, std::string> metadata;  ///< Hugging Face writes {"format": "pt"}
  /// Floating-point tensors (f32, f16, bf16, f64) are written as this type, one at a time; others as they are.
  std::optional<DType> float_type;
};

/// Writes a file as the library does: tensors by falling element type, then by name; the header padded to a multiple of
/// 8 bytes. The target is replaced as a whole or not at all; memory stays at one tensor. Throws FormatError for
/// duplicate or reserved names and names or metadata that are not UTF-8, SystemError for a failing disk.
void save_safetensors(const std::filesystem::path& path, const NamedTensors& tensors, const SaveOptions& options = {});

}  // namespace attend
