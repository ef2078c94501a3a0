#include "attend/base/file.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "attend/base/error.hpp"
#include "attend/base/memory_map.hpp"
#include "base/scratch.hpp"

using namespace attend;
using attend::testing::ScratchFolder;

namespace {

size_t entries(const ScratchFolder& folder) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) ++count;
  return count;
}

// Message of the E that `body` throws.
template <class E, class F>
std::string thrown(F&& body) {
  try {
    body();
  } catch (const E& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace

TEST_CASE("a committed file has the bytes and leaves nothing beside it") {
  const ScratchFolder folder;
  const std::string large(300'000, 'x');
  {
    FileWriter writer(folder / "a");
    writer.write("small ");
    writer.write(large);
    writer.write(" end");
    CHECK(writer.size() == 300'010);
    CHECK_FALSE(std::filesystem::exists(folder / "a"));
    writer.commit();
    CHECK_THROWS_AS(writer.write("more"), SystemError);
    CHECK_THROWS_AS(writer.commit(), SystemError);
  }
  CHECK(read_file(folder / "a", 1 << 20) == "small " + large + " end");
  CHECK(entries(folder) == 1);
}

TEST_CASE("without commit the old file stays and the temporary goes") {
  const ScratchFolder folder;
  write_file(folder / "a", "old");
  {
    FileWriter writer(folder / "a");
    writer.write(std::string(100'000, 'n'));
    CHECK(entries(folder) == 2);
  }
  CHECK(read_file(folder / "a", 100) == "old");
  CHECK(entries(folder) == 1);
}

TEST_CASE("a write that hits the size limit fails and keeps the old file") {
  const ScratchFolder folder;
  write_file(folder / "a", "old");
  rlimit before;
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  const rlimit small{100'000, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  const std::string message = thrown<SystemError>([&] { write_file(folder / "a", std::string(200'000, 'n')); });
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  signal(SIGXFSZ, handler);
  CHECK(message == (folder / "a").string() + ": cannot write: File too large");
  CHECK(read_file(folder / "a", 100) == "old");
  CHECK(entries(folder) == 1);
}

TEST_CASE("a full device is an error, at the latest in commit") {
  FileWriter writer("/dev/full");
  writer.write("a few bytes");
  CHECK(thrown<SystemError>([&] { writer.commit(); }) == "/dev/full: cannot write: No space left on device");
  CHECK_THROWS_AS(write_file("/dev/full", std::string(1 << 20, 'x')), SystemError);
  CHECK(std::filesystem::is_character_file("/dev/full"));
  CHECK_NOTHROW(write_file("/dev/null", "gone"));
}

TEST_CASE("the temporary of a killed writer is taken over, that of a living one is not") {
  const ScratchFolder folder;
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    FileWriter writer(folder / "a");
    writer.write(std::string(1 << 20, 'c'));
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(entries(folder) == 1);  // only what the killed writer left
  CHECK_FALSE(std::filesystem::exists(folder / "a"));
  write_file(folder / "a", "whole");
  CHECK(read_file(folder / "a", 100) == "whole");
  CHECK(entries(folder) == 1);

  FileWriter first(folder / "a");
  CHECK(thrown<SystemError>([&] { FileWriter second(folder / "a"); }).ends_with("someone else is writing it"));
  first.write("first");
  first.commit();
  CHECK(read_file(folder / "a", 100) == "first");
}

TEST_CASE("permissions and symbolic links of the target stay") {
  const ScratchFolder folder;
  write_file(folder / "real", "old");
  REQUIRE(chmod((folder / "real").c_str(), 0640) == 0);
  std::filesystem::create_symlink("real", folder / "link");
  write_file(folder / "link", "new");
  CHECK(std::filesystem::is_symlink(folder / "link"));
  CHECK(read_file(folder / "real", 100) == "new");
  struct stat status;
  REQUIRE(stat((folder / "real").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0640);

  std::filesystem::create_symlink("loop", folder / "loop");
  CHECK_THROWS_AS(write_file(folder / "loop", "x"), SystemError);
}

TEST_CASE("targets that cannot be written say why") {
  const ScratchFolder folder;
  CHECK(thrown<SystemError>([&] { write_file(folder.path(), "x"); }) ==
        folder.path().string() + ": cannot write: Is a directory");
  CHECK(thrown<SystemError>([&] { write_file(folder / "missing/a", "x"); }) ==
        (folder / "missing/a").string() + ": cannot write: No such file or directory");
}

TEST_CASE("read_file keeps to its limit") {
  const ScratchFolder folder;
  write_file(folder / "five", "12345");
  write_file(folder / "none", "");
  CHECK(read_file(folder / "five", 5) == "12345");
  CHECK(read_file(folder / "none", 0).empty());
  CHECK(thrown<FormatError>([&] { (void)read_file(folder / "five", 4); }) ==
        (folder / "five").string() + ": larger than 4 bytes");
  CHECK_THROWS_AS((void)read_file("/dev/zero", 100'000), FormatError);
  CHECK_FALSE(read_file("/proc/self/status", 1 << 20).empty());  // its size says 0
  CHECK(thrown<SystemError>([&] { (void)read_file(folder / "absent", 4); }) ==
        (folder / "absent").string() + ": cannot open: No such file or directory");
  CHECK(thrown<SystemError>([&] { (void)read_file(folder.path(), 1 << 20); }).ends_with("cannot read: Is a directory"));
}

TEST_CASE("a memory map shows the file and outlives its name") {
  const ScratchFolder folder;
  std::string bytes(10'000, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7);
  write_file(folder / "a", bytes);
  MemoryMap map(folder / "a");
  write_file(folder / "a", "replaced");
  MemoryMap moved(std::move(map));
  CHECK(map.bytes().empty());
  REQUIRE(moved.bytes().size() == bytes.size());
  CHECK(std::string(reinterpret_cast<const char*>(moved.bytes().data()), bytes.size()) == bytes);
  moved = MemoryMap(folder / "a");
  CHECK(moved.bytes().size() == 8);

  write_file(folder / "empty", "");
  CHECK(MemoryMap(folder / "empty").bytes().empty());
}

TEST_CASE("what cannot be mapped says why") {
  const ScratchFolder folder;
  CHECK(thrown<SystemError>([&] { MemoryMap map(folder / "absent"); }) ==
        (folder / "absent").string() + ": cannot open: No such file or directory");
  CHECK(thrown<SystemError>([&] { MemoryMap map(folder.path()); }) ==
        folder.path().string() + ": cannot map: Is a directory");
  CHECK(thrown<SystemError>([&] { MemoryMap map("/dev/zero"); }) == "/dev/zero: cannot map: not a regular file");
}
