#include <attend/base/error.hpp>
#include <attend/base/hash.hpp>
#include <attend/io/checkpoint.hpp>
#include <attend/io/config.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

namespace attend {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view prefix = "step-";
constexpr std::string_view manifest_name = "manifest.json";
constexpr std::string_view temporary_name = ".writing";
constexpr std::string_view removed_prefix = ".removing-";

// A file or a folder.
void flush(const fs::path& path) {
  const FileDescriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  // Some file systems cannot flush a folder (EINVAL).
  if (descriptor.value() < 0 || (::fsync(descriptor.value()) != 0 && errno != EINVAL)) fail_system("flush", path);
}

void rename_folder(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) fail_system("rename to " + to.filename().string(), from, error.value());
}

// step-00000010 is the first checkpoint of step 10, step-00000010.2 the one that replaces it.
struct Name {
  int64_t step;
  int64_t attempt;
  auto operator<=>(const Name&) const = default;
};

std::optional<Name> parse_name(std::string_view text) {
  if (!text.starts_with(prefix)) return std::nullopt;
  Name name{0, 1};
  const char* end = text.data() + text.size();
  auto [at, error] = std::from_chars(text.data() + prefix.size(), end, name.step);
  if (error != std::errc{} || name.step < 0) return std::nullopt;
  if (at == end) return name;
  if (*at != '.') return std::nullopt;
  const auto [last, attempt_error] = std::from_chars(at + 1, end, name.attempt);
  if (attempt_error != std::errc{} || last != end || name.attempt < 2) return std::nullopt;
  return name;
}

std::string to_string(const Name& name) {
  const std::string text = fmt::format("{}{:08}", prefix, name.step);
  return name.attempt > 1 ? fmt::format("{}.{}", text, name.attempt) : text;
}

std::vector<std::pair<Name, fs::path>> names_in(const fs::path& folder) {
  std::vector<std::pair<Name, fs::path>> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    if (const auto name = parse_name(entry->path().filename().string())) names.emplace_back(*name, entry->path());
  if (error && error != std::errc::no_such_file_or_directory) fail_system("list", folder, error.value());
  std::sort(names.begin(), names.end());
  return names;
}

void write_manifest(const fs::path& folder, int64_t step) {
  nlohmann::json files = nlohmann::json::object();
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!entry.is_regular_file()) fail<FormatError>("{}: a checkpoint holds plain files only", entry.path().string());
    flush(entry.path());  // not every writer does
    const FileDigest digest = digest_file(entry.path());
    files[entry.path().filename().string()] = {{"bytes", digest.bytes}, {"xxh64", digest.hash}};
  }
  write_json_file(folder / manifest_name, {{"step", step}, {"files", std::move(files)}});
}

}  // namespace

void verify_checkpoint(const fs::path& checkpoint) {
  const fs::path manifest = checkpoint / manifest_name;
  if (!fs::exists(manifest)) fail<FormatError>("{}: missing; this is not a complete checkpoint", manifest.string());
  nlohmann::json files;
  try {
    files = Config::read(manifest).object("files").json();
  } catch (const ConfigError& error) {
    fail<FormatError>("{}", error.what());
  }
  for (const auto& [name, recorded] : files.items()) {
    const fs::path file = checkpoint / name;
    if (name.empty() || name.find('/') != name.npos)
      fail<FormatError>("{}: '{}' is not the name of a file beside it", manifest.string(), name);
    const Config expected(recorded, manifest.string());
    FileDigest wanted;
    try {
      wanted = {static_cast<uint64_t>(expected.require<int64_t>("bytes")), expected.require<std::string>("xxh64")};
    } catch (const ConfigError& error) {
      fail<FormatError>("{}", error.what());
    }
    if (!fs::exists(file)) fail<FormatError>("{}: missing from the checkpoint", file.string());
    const FileDigest found = digest_file(file);
    if (found.bytes != wanted.bytes)
      fail<FormatError>("{}: damaged: {} bytes, {} were written", file.string(), found.bytes, wanted.bytes);
    if (found != wanted) fail<FormatError>("{}: damaged: its contents changed since it was written", file.string());
  }
}

CheckpointStore::CheckpointStore(fs::path folder, int keep, int64_t every)
    : folder_(std::move(folder)), keep_(keep), every_(every) {
  if (keep_ < 1) fail<ConfigError>("checkpoints: keep is {}, but at least one must stay", keep_);
  if (every_ < 1) fail<ConfigError>("checkpoints: one every {} steps makes no sense", every_);
}

// The lock lives on the open file: it ends with the process, however that ends.
void CheckpointStore::lock() {
  if (lock_.value() >= 0) return;
  const fs::path path = folder_ / ".lock";
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (file.value() < 0) fail_system("create", path);
  if (::flock(file.value(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) fail<SystemError>("{}: another process saves checkpoints here", folder_.string());
    fail_system("lock", path);
  }
  lock_ = std::move(file);
}

// Renamed first: a half-removed checkpoint must not look like one.
void CheckpointStore::remove(const fs::path& checkpoint) const {
  const fs::path aside = folder_ / (std::string(removed_prefix) + checkpoint.filename().string());
  rename_folder(checkpoint, aside);
  std::error_code error;
  fs::remove_all(aside, error);
  if (error) fail_system("remove", aside, error.value());
}

void CheckpointStore::remove_leftovers() const {
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const std::string name = entry.path().filename().string();
    if (name == temporary_name || name.starts_with(removed_prefix)) leftovers.push_back(entry.path());
  }
  for (const fs::path& path : leftovers) {
    std::error_code error;
    fs::remove_all(path, error);
    if (error) fail_system("remove", path, error.value());
  }
}

Checkpoint CheckpointStore::save(int64_t step, const std::function<void(const fs::path&)>& write_files) {
  if (step < 0) fail<ConfigError>("checkpoints: step {} is negative", step);
  create_folders(folder_);
  lock();
  remove_leftovers();

  const fs::path temporary = folder_ / temporary_name;
  create_folders(temporary);
  Name name{step, 1};
  try {
    write_files(temporary);
    write_manifest(temporary, step);
    flush(temporary);
    for (const auto& [other, path] : names_in(folder_))
      if (other.step == step) name.attempt = other.attempt + 1;
    rename_folder(temporary, folder_ / to_string(name));
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }
  flush(folder_);

  // The new one is good, so others may go: the oldest, those between the regular ones, and what lies ahead of it (a run
  // taken up at an earlier step has left that path; the latest must be what was saved last).
  int kept = 0;
  const auto names = names_in(folder_);
  for (size_t i = names.size(); i-- > 0;) {
    const auto& [other, path] = names[i];
    if (other == name) {
      kept += step % every_ == 0;
      continue;
    }
    if (other.step >= step || other.step % every_ != 0 || kept >= keep_)
      remove(path);
    else
      ++kept;
  }
  return {folder_ / to_string(name), step};
}

std::vector<Checkpoint> CheckpointStore::list() const {
  std::vector<Checkpoint> checkpoints;
  for (auto& [name, path] : names_in(folder_)) checkpoints.push_back({std::move(path), name.step});
  return checkpoints;
}

std::optional<Checkpoint> CheckpointStore::latest(std::vector<std::string>* damaged) const {
  const auto checkpoints = list();
  std::string newest;
  for (size_t i = checkpoints.size(); i-- > 0;) {
    try {
      verify_checkpoint(checkpoints[i].path);
      return checkpoints[i];
    } catch (const FormatError& error) {
      if (newest.empty()) newest = error.what();
      if (damaged) damaged->push_back(error.what());
    }
  }
  if (!newest.empty()) fail<FormatError>("{}", newest);
  return std::nullopt;
}

}  // namespace attend
