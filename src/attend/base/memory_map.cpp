#include "attend/base/memory_map.hpp"

#include <sys/mman.h>
#include <sys/stat.h>

#include <utility>

#include "attend/base/error.hpp"
#include "attend/base/file.hpp"

namespace attend {

MemoryMap::MemoryMap(const std::filesystem::path& path) {
  const FileDescriptor file = open_for_reading(path);
  struct stat status;
  if (::fstat(file.value(), &status) != 0) fail_system("map", path);
  if (S_ISDIR(status.st_mode)) fail_system("map", path, EISDIR);
  if (!S_ISREG(status.st_mode)) fail<SystemError>("{}: cannot map: not a regular file", path.string());
  if (status.st_size == 0) return;
  const auto size = static_cast<size_t>(status.st_size);
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.value(), 0);
  if (address == MAP_FAILED) fail_system("map", path);
  bytes_ = {static_cast<const std::byte*>(address), size};
}

MemoryMap::~MemoryMap() { unmap(); }

MemoryMap::MemoryMap(MemoryMap&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MemoryMap& MemoryMap::operator=(MemoryMap&& other) noexcept {
  if (this != &other) {
    unmap();
    bytes_ = std::exchange(other.bytes_, {});
  }
  return *this;
}

void MemoryMap::unmap() noexcept {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace attend
