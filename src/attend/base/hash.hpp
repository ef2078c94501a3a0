// A 64-bit content hash against accidental damage: XXH64 (https://github.com/Cyan4973/xxHash, the specification).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace attend {

/// Not for secrets: whoever wants to can make two files with one hash.
class Hash64 {
 public:
  explicit Hash64(uint64_t seed = 0) noexcept;
  void add(const void* data, size_t size) noexcept;
  /// The bytes and their number, so that ("ab", "c") and ("a", "bc") differ.
  void add(std::string_view text) noexcept;
  uint64_t value() const noexcept;
  /// 16 hexadecimal digits.
  std::string text() const;

 private:
  void stripe(const unsigned char* data) noexcept;

  std::array<uint64_t, 4> lanes_;
  std::array<unsigned char, 32> pending_{};
  size_t pending_size_ = 0;
  uint64_t total_ = 0;
  uint64_t seed_;
};

/// Size and hash of a file, read in pieces.
struct FileDigest {
  uint64_t bytes = 0;
  std::string hash;
  bool operator==(const FileDigest&) const = default;
};
/// Throws SystemError.
FileDigest digest_file(const std::filesystem::path& path);

}  // namespace attend
