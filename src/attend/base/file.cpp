#include "attend/base/file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "attend/base/error.hpp"

namespace attend {
namespace {

constexpr size_t pending_limit = size_t{1} << 16;
constexpr size_t largest_call = size_t{1} << 30;  // read() and write() stop a little below 2 GiB anyway

int open_retrying(const std::filesystem::path& path, int flags, mode_t mode = 0) {
  for (;;) {
    const int file = ::open(path.c_str(), flags | O_CLOEXEC, mode);
    if (file >= 0 || errno != EINTR) return file;
  }
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

std::filesystem::path resolve_links(std::filesystem::path path) {
  std::error_code error;
  for (int hops = 0; std::filesystem::is_symlink(path, error); ++hops) {
    if (hops == 40) fail_system("write", path, ELOOP);
    path = folder_of(path) / std::filesystem::read_symlink(path, error);
    if (error) fail_system("write", path, error.value());
  }
  return path;
}

// Opens the temporary and locks it against other writers. The file that was opened may have been renamed or removed by
// its owner before the lock came; then try again with the one that has the name now.
FileDescriptor open_temporary(const std::filesystem::path& temporary, const std::filesystem::path& target) {
  for (;;) {
    FileDescriptor file(open_retrying(temporary, O_WRONLY | O_CREAT | O_NOFOLLOW, 0666));
    if (file.value() < 0) fail_system("write", target);
    if (::flock(file.value(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
      fail<SystemError>("{}: cannot write: someone else is writing it", target.string());
    struct stat opened, named;
    if (::fstat(file.value(), &opened) != 0) fail_system("write", target);
    if (::lstat(temporary.c_str(), &named) != 0 || named.st_ino != opened.st_ino || named.st_dev != opened.st_dev)
      continue;
    if (::ftruncate(file.value(), 0) != 0) fail_system("write", target);
    return file;
  }
}

void sync_folder(const std::filesystem::path& folder) {
  const FileDescriptor file(open_retrying(folder, O_RDONLY | O_DIRECTORY));
  // Some file systems cannot flush a folder (EINVAL); the rename itself has happened by then.
  if (file.value() < 0 || (::fsync(file.value()) != 0 && errno != EINVAL)) fail_system("flush", folder);
}

}  // namespace

void fail_system(std::string_view action, const std::filesystem::path& path, int error) {
  fail<SystemError>("{}: cannot {}: {}", path.string(), action, std::generic_category().message(error));
}

int FileDescriptor::release() noexcept { return std::exchange(value_, -1); }

void FileDescriptor::reset() noexcept {
  if (value_ >= 0) ::close(std::exchange(value_, -1));
}

FileDescriptor open_for_reading(const std::filesystem::path& path) {
  FileDescriptor file(open_retrying(path, O_RDONLY));
  if (file.value() < 0) fail_system("open", path);
  return file;
}

size_t read_some(int file, char* data, size_t size, const std::filesystem::path& path) {
  for (;;) {
    const ssize_t count = ::read(file, data, std::min(size, largest_call));
    if (count >= 0) return static_cast<size_t>(count);
    if (errno != EINTR) fail_system("read", path);
  }
}

std::string read_file(const std::filesystem::path& path, int64_t max_bytes) {
  const FileDescriptor file = open_for_reading(path);
  const auto too_large = [&] { fail<FormatError>("{}: larger than {} bytes", path.string(), max_bytes); };
  struct stat status;
  if (::fstat(file.value(), &status) != 0) fail_system("read", path);
  if (status.st_size > max_bytes) too_large();
  // The size is only a hint: it is 0 for pipes and may change while we read.
  std::string bytes;
  size_t used = 0;
  const size_t limit = static_cast<size_t>(max_bytes) + 1;
  bytes.resize(std::min(limit, static_cast<size_t>(status.st_size) + 1));
  while (const size_t count = read_some(file.value(), bytes.data() + used, bytes.size() - used, path)) {
    used += count;
    if (used > static_cast<size_t>(max_bytes)) too_large();
    if (used == bytes.size()) bytes.resize(std::min(limit, std::max<size_t>(2 * used, 4096)));
  }
  bytes.resize(used);
  return bytes;
}

FileWriter::FileWriter(const std::filesystem::path& path) : target_(resolve_links(path)) {
  struct stat status;
  const bool exists = ::stat(target_.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) fail_system("write", target_, EISDIR);
  if (exists && !S_ISREG(status.st_mode)) {
    file_ = FileDescriptor(open_retrying(target_, O_WRONLY));
    if (file_.value() < 0) fail_system("write", target_);
    return;
  }
  auto temporary = folder_of(target_) / fmt::format(".{}.tmp", target_.filename().string());
  file_ = open_temporary(temporary, target_);
  temporary_ = std::move(temporary);
  if (exists) (void)::fchmod(file_.value(), status.st_mode & 07777);  // a foreign owner's file keeps our mode
}

FileWriter::~FileWriter() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());  // before the lock goes with the descriptor
}

void FileWriter::write(const void* data, size_t size) {
  if (file_.value() < 0) fail<SystemError>("{}: cannot write: already committed", target_.string());
  size_ += static_cast<int64_t>(size);
  if (pending_.size() + size > pending_limit) flush();
  if (size > pending_limit)
    write_through(static_cast<const char*>(data), size);
  else
    pending_.append(static_cast<const char*>(data), size);
}

void FileWriter::flush() {
  write_through(pending_.data(), pending_.size());
  pending_.clear();
}

void FileWriter::write_through(const char* data, size_t size) {
  while (size > 0) {
    const ssize_t count = ::write(file_.value(), data, std::min(size, largest_call));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_system("write", target_);
    data += count;
    size -= static_cast<size_t>(count);
  }
}

void FileWriter::commit() {
  if (file_.value() < 0) fail<SystemError>("{}: cannot write: already committed", target_.string());
  flush();
  if (temporary_.empty()) {
    file_.reset();
    return;
  }
  if (::fsync(file_.value()) != 0) fail_system("write", target_);
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail_system("write", target_);
  temporary_.clear();
  file_.reset();
  sync_folder(folder_of(target_));
}

void create_folders(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail_system("create", folder, error.value());
}

void write_file(const std::filesystem::path& path, std::string_view bytes) {
  FileWriter writer(path);
  writer.write(bytes);
  writer.commit();
}

}  // namespace attend
