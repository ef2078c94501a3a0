// Training is a function of the recipe: threads, prefetching, stops, kills and damaged checkpoints change no bit of it.
#include <attend/base/error.hpp>
#include <attend/io/checkpoint.hpp>
#include <attend/io/config.hpp>

#include <doctest/doctest.h>

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <random>
#include <thread>

#include "base/scratch.hpp"
#include "train/tiny_recipe.hpp"

using namespace attend;
using namespace attend::testing;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

namespace {

using Results = std::map<std::string, std::string>;
const std::vector<std::string> nothing;

// What an uninterrupted run leaves.
const Results& uninterrupted() {
  static const Results results = [] {
    ScratchFolder folder;
    const TrainOptions recipe = tiny_recipe(folder.path());
    train(recipe);
    return results_of(recipe);
  }();
  return results;
}

// The messages of a run.
struct Messages {
  std::vector<std::string> lines;
  TrainHooks hooks() {
    return {.on_message = [this](const std::string& line) { lines.push_back(line); }};
  }
  int count(std::string_view part) const {
    return static_cast<int>(
        std::count_if(lines.begin(), lines.end(), [&](const auto& line) { return line.find(part) != line.npos; }));
  }
};

void damage(const fs::path& file) {
  const auto middle = static_cast<std::streamoff>(fs::file_size(file) / 2);
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(middle);
  const int byte = stream.get();
  stream.seekp(middle);
  stream.put(static_cast<char>(byte ^ 1));
}

// This program as a child that takes the training in `folder` up until it is finished. It can be told to kill itself
// the n-th time that the training reports or asks something.
constexpr const char* folder_variable = "ATTEND_TEST_TRAIN_IN";
constexpr const char* kill_variable = "ATTEND_TEST_KILL_AT";
constexpr const char* kill_test = "killed at any moment and taken up again a run ends with the same bits";

void train_as_child(const char* folder) {
  const char* kill_at = std::getenv(kill_variable);
  int left = kill_at ? std::atoi(kill_at) : 0;
  const auto count = [&] {
    if (--left == 0) kill(getpid(), SIGKILL);
    return false;
  };
  train(tiny_recipe(folder), true,
        {.on_message = [&](const std::string&) { count(); },
         .on_progress = [&](const TrainProgress&) { count(); },
         .on_validation = [&](const Validation&) { count(); },
         .should_stop = count});
}

class Child {
 public:
  explicit Child(const fs::path& folder, int kill_at = 0) {
    std::vector<std::string> environment{fmt::format("{}={}", folder_variable, folder.string()),
                                         fmt::format("{}={}", kill_variable, kill_at)};
    for (char** variable = environ; *variable; ++variable) environment.emplace_back(*variable);
    std::vector<char*> pointers;
    for (std::string& variable : environment) pointers.push_back(variable.data());
    pointers.push_back(nullptr);
    std::string program = "/proc/self/exe", filter = std::string("--test-case=") + kill_test;
    char* arguments[] = {program.data(), filter.data(), nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const std::string log = (folder / "child.log").string();
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    REQUIRE(posix_spawn(&process_, fs::read_symlink(program).c_str(), &actions, nullptr, arguments, pointers.data()) ==
            0);
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Child() { end(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // True once it has ended by itself.
  bool ended() {
    if (process_ && waitpid(process_, &status_, WNOHANG) == process_) process_ = 0;
    return process_ == 0;
  }
  // Waits until it ends by itself, or for this long.
  bool ends_within(Clock::duration time) {
    for (const auto limit = Clock::now() + time; !ended(); std::this_thread::sleep_for(std::chrono::microseconds(200)))
      if (Clock::now() >= limit) return false;
    return true;
  }
  bool succeeded() const { return WIFEXITED(status_) && WEXITSTATUS(status_) == 0; }
  bool killed() const { return WIFSIGNALED(status_) && WTERMSIG(status_) == SIGKILL; }
  void end() {
    if (!process_) return;
    kill(process_, SIGKILL);
    waitpid(process_, &status_, 0);
    process_ = 0;
  }

 private:
  pid_t process_ = 0;
  int status_ = 0;
};

// The largest file that this process may write, for the enclosing block.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

}  // namespace

TEST_CASE("threads, prefetching, logging, recomputing and what is kept change no bit") {
  const Results& expected = uninterrupted();
  CHECK(expected.contains("step-00000024/optimiser.safetensors"));
  CHECK(expected.contains("best/model.safetensors"));
  CHECK(expected.contains("last/model.safetensors"));
  for (const auto& [threads, prefetch] : {std::pair{1, 4}, {2, 1}, {3, 7}}) {
    CAPTURE(threads);
    ScratchFolder folder;
    TrainOptions recipe = tiny_recipe(folder.path());
    recipe.prefetch = prefetch;
    recipe.log_every = threads;
    recipe.keep = 5 * threads;
    recipe.recompute = threads != 2;
    const TrainReport report = train(recipe, false, {}, threads);
    CHECK(report.finished);
    CHECK(report.step == 24);
    CHECK(differences(results_of(recipe), expected) == nothing);
  }
  ScratchFolder folder;
  TrainOptions other = tiny_recipe(folder.path());
  other.seed = 2;
  train(other);
  CHECK(results_of(other).at("last/model.safetensors") != expected.at("last/model.safetensors"));
  other = tiny_recipe(folder.path());
  other.output += "-whole-tokens";
  other.data.subword_dropout = 0;
  train(other);
  CHECK(results_of(other).at("last/model.safetensors") != expected.at("last/model.safetensors"));
  CHECK(results_of(other).at("tokenizer.json") == expected.at("tokenizer.json"));
}

TEST_CASE("killed at any moment and taken up again a run ends with the same bits") {
  if (const char* folder = std::getenv(folder_variable)) return train_as_child(folder);
  const Results& expected = uninterrupted();
  constexpr std::chrono::minutes long_enough(5);
  constexpr int all_kills = 50;
  std::minstd_rand random(17);
  const auto below = [&](int limit) { return static_cast<int>(random() % static_cast<unsigned>(limit)); };
  int kills = 0, runs = 0, in_saves = 0;
  Clock::duration whole{};  // of a child that is left alone
  while (runs == 0 || kills < all_kills) {
    ScratchFolder folder;
    const TrainOptions recipe = tiny_recipe(folder.path());
    const fs::path writing = folder.path() / "run" / "checkpoints" / ".writing";
    for (bool finished = false; !finished;) {
      const auto start = Clock::now();
      const int way = runs == 0 || kills == all_kills ? 3 : below(3);
      Child child(folder.path(), way == 2 ? 1 + below(16) : 0);
      if (way == 0) {  // somewhere
        finished = child.ends_within(whole * below(1000) / 1250);
      } else if (way == 1) {  // inside one of the next few checkpoints
        bool seen = false;
        for (int saves = 1 + below(4); saves && !(finished = child.ended());) {
          const bool now = fs::exists(writing);
          if (now && !seen) --saves;
          seen = now;
        }
        if (!finished) std::this_thread::sleep_for(std::chrono::microseconds(below(3) * 700));
      } else {  // between two steps, before or after a validation, or not at all
        REQUIRE(child.ends_within(long_enough));
        finished = !child.killed();
      }
      child.end();
      if (finished) {
        INFO(read_file(folder / "child.log", 1 << 20));
        REQUIRE(child.succeeded());
      } else {
        ++kills;
        in_saves += fs::exists(writing);
      }
      if (runs == 0) whole = Clock::now() - start;
    }
    ++runs;
    REQUIRE(differences(results_of(recipe), expected) == nothing);
  }
  MESSAGE(kills << " kills of " << runs << " runs, " << in_saves << " of them while a checkpoint was being written");
}

TEST_CASE("a run that is asked to stop writes a checkpoint and loses nothing") {
  ScratchFolder folder;
  const TrainOptions recipe = tiny_recipe(folder.path());
  // 5, 8 and 10 lie between the regular checkpoints, 12 is one and has a validation.
  int64_t step = 0;
  for (const int64_t more : {5, 3, 2, 2}) {
    const TrainReport report = train_until(recipe, more, step > 0);
    step += more;
    CHECK(report.step == step);
    CHECK(!report.finished);
    CHECK(latest_checkpoint(recipe).filename() == fmt::format("step-{:08}", step));
    CHECK(!fs::exists(fs::path(recipe.output) / "last"));
  }
  CHECK_THROWS_WITH_AS(train(recipe), doctest::Contains("go on with --resume"), ConfigError);
  const TrainReport report = train(recipe, true);
  CHECK(report.finished);
  CHECK(report.step == 24);
  REQUIRE(report.best);
  CHECK(differences(results_of(recipe), uninterrupted()) == nothing);
  CHECK(train(recipe, true).finished);  // nothing is left to do
  CHECK(differences(results_of(recipe), uninterrupted()) == nothing);
}

TEST_CASE("only what changes no weight may differ when a run is taken up") {
  ScratchFolder folder;
  const TrainOptions recipe = tiny_recipe(folder.path());
  train_until(recipe, 3);
  const std::pair<const char*, std::function<void(TrainOptions&)>> changes[] = {
      {"learning_rate", [](TrainOptions& o) { o.learning_rate *= 2; }},
      {"seed", [](TrainOptions& o) { o.seed = 5; }},
      {"model.dropout", [](TrainOptions& o) { o.model.dropout = 0; }},
      {"model.width", [](TrainOptions& o) { o.model.width = 32; }},
      {"tokenizer.vocab_size", [](TrainOptions& o) { o.tokenizer.vocab_size = 330; }},
      {"data.subword_dropout", [](TrainOptions& o) { o.data.subword_dropout = 0.2; }},
      {"data.files.1.weight", [](TrainOptions& o) { o.data.files[1].weight = 3; }},
      {"optimiser.clip", [](TrainOptions& o) { o.optimiser.clip = 0; }},
      {"schedule", [](TrainOptions& o) { o.schedule = ScheduleKind::cosine; }},
      {"steps", [](TrainOptions& o) { o.steps = 30; }},
      {"average", [](TrainOptions& o) { o.average = 2; }}};
  for (const auto& [key, change] : changes) {
    TrainOptions changed = recipe;
    change(changed);
    const std::string message = fmt::format("{} differs", key);
    CHECK_THROWS_WITH_AS(train(changed, true), doctest::Contains(message.c_str()), ConfigError);
  }
  // Other contents of a data file: the recipe looks the same.
  write_tiny_pairs(folder / "often.tsv", 60, 9);
  CHECK_THROWS_WITH_AS(train(recipe, true), doctest::Contains("other data"), ConfigError);
  write_tiny_pairs(folder / "often.tsv", 60, 1);
  // Another place, and settings that only show or keep.
  TrainOptions moved = recipe;
  moved.output = (folder / "moved").string();
  fs::rename(recipe.output, moved.output);
  moved.keep = 4;
  moved.prefetch = 1;
  moved.recompute = true;
  CHECK(train(moved, true).finished);
  CHECK(differences(results_of(moved), uninterrupted()) == nothing);
}

TEST_CASE("a checkpoint of a version that did not know an option yet is taken up with its default") {
  ScratchFolder folder;
  const TrainOptions recipe = tiny_recipe(folder.path());
  train_until(recipe, 3);
  const auto edit = [&](const std::function<void(nlohmann::json&)>& change) {
    const fs::path checkpoint = latest_checkpoint(recipe), state = checkpoint / "state.json";
    const auto read = [](const fs::path& file) { return nlohmann::json::parse(std::ifstream(file)); };
    nlohmann::json json = read(state), manifest = read(checkpoint / "manifest.json");
    change(json.at("recipe"));
    write_json_file(state, json);
    const FileDigest digest = digest_file(state);
    manifest["files"]["state.json"] = {{"bytes", digest.bytes}, {"xxh64", digest.hash}};
    write_json_file(checkpoint / "manifest.json", manifest);
  };
  edit([](nlohmann::json& then) {
    REQUIRE(then.erase("precision") == 1);                // this recipe has the default
    REQUIRE(then["data"].erase("subword_dropout") == 1);  // and this one another value
  });
  CHECK_THROWS_WITH_AS(train(recipe, true), doctest::Contains("data.subword_dropout differs"), ConfigError);
  edit([&](nlohmann::json& then) { then["data"]["subword_dropout"] = recipe.data.subword_dropout; });
  CHECK(train(recipe, true).finished);
  CHECK(differences(results_of(recipe), uninterrupted()) == nothing);
}

TEST_CASE("a damaged checkpoint is passed over, and nothing is lost") {
  ScratchFolder folder;
  const TrainOptions recipe = tiny_recipe(folder.path());
  train_until(recipe, 8);
  for (const char* file : {"model.safetensors", "state.json"}) {
    CAPTURE(file);
    damage(latest_checkpoint(recipe) / file);
    Messages messages;
    const TrainHooks quiet = messages.hooks();
    int64_t steps = 0;
    TrainHooks hooks = quiet;
    hooks.should_stop = [&] { return ++steps == 2; };
    train(recipe, true, hooks);  // from 6 to 8 again
    CHECK(messages.count("passed over: ") == 1);
    CHECK(messages.count("damaged") == 1);
    CHECK(messages.count("going on from step 6") == 1);
  }
  Messages messages;
  CHECK(train(recipe, true, messages.hooks()).finished);
  CHECK(messages.count("passed over") == 0);
  CHECK(differences(results_of(recipe), uninterrupted()) == nothing);
}

TEST_CASE("a damaged checkpoint stays out of the average; if all are damaged the run ends with an error") {
  ScratchFolder folder;
  const TrainOptions recipe = tiny_recipe(folder.path());
  train_until(recipe, 5);
  const fs::path checkpoints = fs::path(recipe.output) / "checkpoints";
  damage(checkpoints / "step-00000003" / "model.safetensors");
  Messages messages;
  int64_t steps = 0;
  TrainHooks hooks = messages.hooks();
  hooks.should_stop = [&] { return ++steps == 1; };
  train(recipe, true, hooks);  // validates at step 6
  CHECK(messages.count("left out of the average: ") == 1);
  CHECK(messages.count("step-00000003/model.safetensors: damaged") == 1);

  for (const auto& checkpoint : fs::directory_iterator(checkpoints))
    if (checkpoint.is_directory()) fs::resize_file(checkpoint.path() / "optimiser.safetensors", 100);
  CHECK_THROWS_WITH_AS(train(recipe, true), doctest::Contains("step-00000006/optimiser.safetensors: damaged"),
                       FormatError);
  CHECK_THROWS_WITH_AS(train(recipe), doctest::Contains("has checkpoints already"), ConfigError);
}

TEST_CASE("a full disk ends the run with an error and leaves the checkpoints as they were") {
  ScratchFolder folder;
  const TrainOptions recipe = tiny_recipe(folder.path());
  train_until(recipe, 5);
  const fs::path before = latest_checkpoint(recipe);
  const auto size = fs::file_size(before / "optimiser.safetensors");
  REQUIRE(size > fs::file_size(before / "model.safetensors"));
  {
    const FileSizeLimit limit(size - 1);
    CHECK_THROWS_WITH_AS(train(recipe, true), doctest::Contains("optimiser.safetensors"), SystemError);
  }
  CHECK(latest_checkpoint(recipe) == before);
  CHECK_NOTHROW(verify_checkpoint(before));
  CHECK(!fs::exists(before.parent_path() / ".writing"));
  CHECK(train(recipe, true).finished);
  CHECK(differences(results_of(recipe), uninterrupted()) == nothing);
}
