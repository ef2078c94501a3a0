#include <attend/base/error.hpp>
#include <attend/base/file.hpp>
#include <attend/io/checkpoint.hpp>
#include <attend/io/config.hpp>
#include <attend/io/safetensors.hpp>

#include <doctest/doctest.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <random>
#include <thread>

#include "base/scratch.hpp"

using namespace attend;
namespace fs = std::filesystem;
using attend::testing::ScratchFolder;

namespace {

void write_plain(const fs::path& folder, int64_t step) {
  write_file(folder / "model.bin", std::string(5000, static_cast<char>('a' + step % 26)));
  write_file(folder / "state.json", std::to_string(step));
}

std::vector<int64_t> steps(const CheckpointStore& store) {
  std::vector<int64_t> steps;
  for (const auto& checkpoint : store.list()) steps.push_back(checkpoint.step);
  return steps;
}

Checkpoint save(CheckpointStore& store, int64_t step) {
  return store.save(step, [&](const fs::path& folder) { write_plain(folder, step); });
}

void damage(const fs::path& file) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekp(100);
  stream.put('~');
}

}  // namespace

TEST_CASE("tensors and state survive a round trip") {
  ScratchFolder folder;
  CheckpointStore store(folder / "run");
  CHECK(!store.latest());
  const Tensor weight = Tensor::full({3, 2}, 0.25f);
  const auto saved = store.save(7, [&](const fs::path& path) {
    save_safetensors(path / "model.safetensors", {{"w", weight}});
    save_safetensors(path / "optimiser.safetensors", {{"m.w", weight}});
    write_json_file(path / "state.json", {{"step", 7}});
  });
  CHECK(saved.path == folder.path() / "run" / "step-00000007");
  const auto latest = CheckpointStore(folder / "run").latest();
  REQUIRE(latest);
  CHECK(latest->step == 7);
  const Tensor back = SafeTensors::open(latest->path / "model.safetensors").tensor("w");
  CHECK(back.shape() == weight.shape());
  CHECK(back.data<float>()[5] == 0.25f);
  CHECK(Config::read(latest->path / "state.json").require<int>("step") == 7);
}

TEST_CASE("the newest are kept, a repeated step is replaced, abandoned later steps go") {
  ScratchFolder folder;
  CheckpointStore store(folder / "run", 2);
  for (int64_t step : {10, 20, 30}) save(store, step);
  CHECK(steps(store) == std::vector<int64_t>{20, 30});
  const auto again = save(store, 30);
  CHECK(again.path.filename() == "step-00000030.2");
  CHECK(steps(store) == std::vector<int64_t>{20, 30});
  CHECK(store.latest()->path == again.path);
  CHECK(save(store, 30).path.filename() == "step-00000030.3");
  save(store, 25);
  CHECK(steps(store) == std::vector<int64_t>{20, 25});
  save(store, 123456789);
  CHECK(steps(store) == std::vector<int64_t>{25, 123456789});
  CHECK_THROWS_AS(CheckpointStore(folder / "run", 0), ConfigError);
}

TEST_CASE("checkpoints between the regular ones last until the next") {
  ScratchFolder folder;
  CheckpointStore store(folder / "run", 2, 10);
  for (int64_t step : {10, 20, 24}) save(store, step);
  CHECK(steps(store) == std::vector<int64_t>{10, 20, 24});
  save(store, 27);
  CHECK(steps(store) == std::vector<int64_t>{10, 20, 27});
  save(store, 30);
  CHECK(steps(store) == std::vector<int64_t>{20, 30});
  CHECK_THROWS_AS(CheckpointStore(folder / "run", 2, 0), ConfigError);
}

TEST_CASE("a damaged checkpoint is named and the previous good one used") {
  ScratchFolder folder;
  CheckpointStore store(folder / "run", 3);
  for (int64_t step : {1, 2, 3}) save(store, step);
  const auto path = [&](int step) { return folder.path() / "run" / ("step-0000000" + std::to_string(step)); };

  damage(path(3) / "model.bin");
  CHECK_THROWS_WITH_AS(verify_checkpoint(path(3)), doctest::Contains("step-00000003/model.bin: damaged"), FormatError);
  std::vector<std::string> damaged;
  CHECK(store.latest(&damaged)->step == 2);
  CHECK(damaged.size() == 1);
  fs::resize_file(path(2) / "model.bin", 4999);
  CHECK_THROWS_WITH_AS(verify_checkpoint(path(2)), doctest::Contains("4999 bytes, 5000 were written"), FormatError);
  CHECK(store.latest()->step == 1);
  fs::remove(path(1) / "state.json");
  CHECK_THROWS_WITH_AS(verify_checkpoint(path(1)), doctest::Contains("state.json: missing"), FormatError);
  CHECK_THROWS_WITH_AS(store.latest(), doctest::Contains("step-00000003/model.bin"), FormatError);

  for (const char* manifest : {"", "[]", "{}", R"({"files":{"../x":{}}})", R"({"files":{"model.bin":{"bytes":1}}})"}) {
    CAPTURE(manifest);
    write_file(path(3) / "manifest.json", manifest);
    CHECK_THROWS_AS(verify_checkpoint(path(3)), FormatError);
  }
  fs::remove(path(3) / "manifest.json");
  CHECK_THROWS_AS(verify_checkpoint(path(3)), FormatError);

  // Saving goes on, and the new one is good.
  save(store, 4);
  CHECK(store.latest()->step == 4);
}

TEST_CASE("a failing save leaves everything as it was") {
  ScratchFolder folder;
  CheckpointStore store(folder / "run", 1);
  save(store, 1);
  CHECK_THROWS_AS(store.save(2,
                             [](const fs::path& path) {
                               write_plain(path, 2);
                               fail<SystemError>("no space left");
                             }),
                  SystemError);
  CHECK(steps(store) == std::vector<int64_t>{1});
  CHECK(store.latest()->step == 1);
  CHECK(!fs::exists(folder.path() / "run" / ".writing"));

  CheckpointStore second(folder / "run", 1);
  CHECK_THROWS_WITH_AS(save(second, 5), doctest::Contains("another process"), SystemError);
  CHECK(second.latest()->step == 1);
  write_file(folder / "file", "");
  CheckpointStore blocked(folder / "file");
  CHECK_THROWS_AS(save(blocked, 1), SystemError);
}

TEST_CASE("killed at any moment, the latest checkpoint is whole and not older than the last one announced") {
  ScratchFolder folder;
  std::minstd_rand random(7);
  int64_t last = 1;
  // Disks differ: the moments are spread over the time that a few saves take here.
  const auto start = std::chrono::steady_clock::now();
  {
    CheckpointStore store(folder / "run", 1);
    for (int times = 0; times < 3; ++times) save(store, 1);
  }
  const auto window = std::chrono::steady_clock::now() - start;
  for (int round = 0; round < 40; ++round) {
    int pipe[2];
    REQUIRE(::pipe(pipe) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      CheckpointStore store(folder / "run", 1);
      for (int64_t step = last + 1;; ++step) {
        // Some steps are saved twice, so that replacing is hit too.
        for (int64_t times = 0; times <= step % 2; ++times) save(store, step);
        if (::write(pipe[1], &step, sizeof step) != sizeof step) _exit(1);
      }
    }
    ::close(pipe[1]);
    std::this_thread::sleep_for(window * (random() % 1000) / 1000);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    int64_t step = 0;
    while (::read(pipe[0], &step, sizeof step) == sizeof step) last = step;
    ::close(pipe[0]);

    const CheckpointStore store(folder / "run", 1);
    std::vector<std::string> damaged;
    const auto latest = store.latest(&damaged);
    CHECK(damaged.empty());
    REQUIRE(latest);
    CHECK(latest->step >= last);
    CHECK(read_file(latest->path / "state.json", 100) == std::to_string(latest->step));
  }
  CHECK(last > 1);
}
