// Whole files, and writes that either happen completely or not at all.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace attend {

/// throws SystemError "PATH: cannot ACTION: REASON" with the system's words for `error`.
[[noreturn]] void fail_system(std::string_view action, const std::filesystem::path& path, int error = errno);

/// Owns a file descriptor; -1 = none.
class FileDescriptor {
 public:
  explicit FileDescriptor(int value = -1) noexcept : value_(value) {}
  ~FileDescriptor() { reset(); }
  FileDescriptor(FileDescriptor&& other) noexcept : value_(other.release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) {
      reset();
      value_ = other.release();
    }
    return *this;
  }

  int value() const noexcept { return value_; }
  int release() noexcept;
  void reset() noexcept;

 private:
  int value_;
};

/// Creates a folder, with those above it, unless it is there; throws SystemError.
void create_folders(const std::filesystem::path& folder);

/// Opens an existing file for reading; throws SystemError.
FileDescriptor open_for_reading(const std::filesystem::path& path);

/// Reads up to `size` bytes, 0 at the end; retries when interrupted; throws SystemError naming `path`.
size_t read_some(int file, char* data, size_t size, const std::filesystem::path& path);

/// The whole file. A missing or unreadable one throws SystemError, one of more than `max_bytes` FormatError before
/// more than that is held in memory. Pipes and devices work too.
std::string read_file(const std::filesystem::path& path, int64_t max_bytes);

/// Replaces a file as a whole: bytes go to ".NAME.tmp" beside the target, and commit() makes them durable and renames
/// it over the target, so that a crash or a power cut leaves the old file or the new one. Without commit() the
/// destructor removes the temporary and the target stays as it was; one left by a killed process is taken over by the
/// next writer of the same target. A second writer while the first is alive gets SystemError. Symbolic links are
/// followed; an existing target passes on its permissions. Devices and pipes cannot be replaced and are written
/// directly. Every failure throws SystemError; small writes are gathered, so a full disk may show in a later call.
class FileWriter {
 public:
  explicit FileWriter(const std::filesystem::path& path);
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  void write(const void* data, size_t size);
  void write(std::string_view bytes) { write(bytes.data(), bytes.size()); }

  /// Bytes given to write() so far.
  int64_t size() const noexcept { return size_; }

  /// Flushes to the disk, renames, and flushes the folder. Nothing may be written afterwards.
  void commit();

 private:
  void flush();
  void write_through(const char* data, size_t size);

  std::filesystem::path target_;     // links resolved
  std::filesystem::path temporary_;  // empty: written directly, or committed
  FileDescriptor file_;
  std::string pending_;
  int64_t size_ = 0;
};

/// FileWriter in one call.
void write_file(const std::filesystem::path& path, std::string_view bytes);

}  // namespace attend
