// A file as read-only memory.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace attend {

/// Maps a whole regular file for reading; pages come in when they are touched and are shared between processes. The
/// bytes stay at their address until the map is destroyed, also when it is moved or the file is renamed or removed.
/// Another process that shortens the file in place makes reads of the lost part fatal (SIGBUS), as for every mapping;
/// FileWriter replaces files instead.
class MemoryMap {
 public:
  /// Throws SystemError with the path and the reason. An empty file gives an empty span.
  explicit MemoryMap(const std::filesystem::path& path);
  ~MemoryMap();
  MemoryMap(MemoryMap&& other) noexcept;
  MemoryMap& operator=(MemoryMap&& other) noexcept;

  std::span<const std::byte> bytes() const noexcept { return bytes_; }

 private:
  void unmap() noexcept;
  std::span<const std::byte> bytes_;
};

}  // namespace attend
