// Checkpoints: folders of files that appear complete or not at all, and are checked before they are believed.
#pragma once

#include <attend/base/file.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace attend {

/// One checkpoint on disk.
struct Checkpoint {
  std::filesystem::path path;
  int64_t step = 0;
};

/// Throws FormatError naming the first file that is missing, cut off or changed since the checkpoint was written;
/// `manifest.json` in the folder keeps size and XXH64 of each.
void verify_checkpoint(const std::filesystem::path& checkpoint);

/// The checkpoints of one run, `FOLDER/step-00001000` and so on. A checkpoint is written under a hidden name, flushed
/// to the disk and then renamed, so that a process killed at any moment, or a power cut, leaves complete ones only.
/// There is no pointer that could be wrong: the latest is the one with the highest step that verifies.
class CheckpointStore {
 public:
  /// Keeps the `keep` (>= 1) newest whose step is a multiple of `every` (>= 1); one in between (a run that was asked to
  /// stop) goes when the next is saved. Touches nothing until save(); reading needs no write access.
  explicit CheckpointStore(std::filesystem::path folder, int keep = 3, int64_t every = 1);

  /// Calls `write_files` with an empty folder to put files into (no subfolders), then makes it the checkpoint of
  /// `step`, replacing an older one of that step. Then the oldest beyond `keep` go, and those of later steps: a run
  /// that was taken up at an earlier step has left them behind. Throws SystemError (full disk, another process saving
  /// here) or what `write_files` throws; everything then stays as it was.
  Checkpoint save(int64_t step, const std::function<void(const std::filesystem::path& folder)>& write_files);

  /// By rising step, unchecked.
  std::vector<Checkpoint> list() const;

  /// The newest that verifies; nothing if there is none at all. Those passed over are described in `damaged`. Throws
  /// the newest one's FormatError if all are damaged.
  std::optional<Checkpoint> latest(std::vector<std::string>* damaged = nullptr) const;

  const std::filesystem::path& folder() const noexcept { return folder_; }

 private:
  void lock();
  void remove(const std::filesystem::path& checkpoint) const;
  void remove_leftovers() const;

  std::filesystem::path folder_;
  int keep_;
  int64_t every_;
  FileDescriptor lock_;
};

}  // namespace attend
