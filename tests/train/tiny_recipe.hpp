// A recipe whose whole training takes a fraction of a second: made-up sentences, a tiny model, everything switched on.
#pragma once

#include <attend/base/file.hpp>
#include <attend/base/hash.hpp>
#include <attend/base/json.hpp>
#include <attend/tensor/context.hpp>
#include <attend/train/trainer.hpp>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace attend::testing {

/// Tab-separated pairs; other seeds give other sentences.
inline void write_tiny_pairs(const std::filesystem::path& file, int pairs, unsigned seed) {
  const std::vector<std::pair<const char*, const char*>> who{
      {"I", "나는"}, {"We", "우리는"}, {"My friend", "내 친구는"}, {"The teacher", "선생님은"}, {"She", "그녀는"}};
  const std::vector<std::pair<const char*, const char*>> what{{"likes apples", "사과를 좋아해요"},
                                                              {"reads a book", "책을 읽어요"},
                                                              {"drinks warm tea", "따뜻한 차를 마셔요"},
                                                              {"goes home", "집에 가요"}};
  const std::vector<std::pair<const char*, const char*>> when{
      {"", ""}, {" today", "오늘 "}, {" every morning", "아침마다 "}, {" after school", "학교가 끝나고 "}};
  std::string text;
  unsigned state = seed;
  auto pick = [&](const auto& list) {
    state = state * 1664525u + 1013904223u;
    return list[(state >> 16) % list.size()];
  };
  for (int i = 0; i < pairs; ++i) {
    const auto [subject, subject_ko] = pick(who);
    const auto [verb, verb_ko] = pick(what);
    const auto [time, time_ko] = pick(when);
    text += fmt::format("{} {}{}.\t{} {}{}.\n", subject, verb, time, subject_ko, time_ko, verb_ko);
  }
  write_file(file, text);
}

/// Writes the data into `folder` (unless it is there) and returns a recipe that trains into `folder`/run.
inline TrainOptions tiny_recipe(const std::filesystem::path& folder) {
  const auto file = [&](const char* name, int pairs, unsigned seed) {
    const std::filesystem::path path = folder / name;
    if (!std::filesystem::exists(path)) write_tiny_pairs(path, pairs, seed);
    return path.string();
  };
  TrainOptions recipe;
  recipe.output = (folder / "run").string();
  recipe.model = {.width = 16,
                  .heads = 2,
                  .hidden = 32,
                  .encoder_layers = 1,
                  .decoder_layers = 1,
                  .max_length = 64,
                  .dropout = 0.1f,
                  .attention_dropout = 0.1f,
                  .activation_dropout = 0.1f};
  recipe.tokenizer.vocab_size = 320;
  recipe.data.files = {{.path = file("often.tsv", 60, 1), .weight = 2}, {.path = file("seldom.tsv", 40, 2)}};
  recipe.data.max_tokens = 62;
  recipe.data.pool = 64;
  recipe.data.subword_dropout = 0.1;
  recipe.validation.files = {{.path = file("valid.tsv", 4, 3)}};
  recipe.validation.every = 6;
  recipe.steps = 24;
  recipe.warmup = 4;
  recipe.batch_tokens = 512;
  recipe.accumulation = 2;
  recipe.checkpoint_every = 3;
  recipe.keep = 2;
  recipe.average = 3;
  recipe.log_every = 3;
  return recipe;
}

inline TrainReport train(const TrainOptions& recipe, bool resume = false, const TrainHooks& hooks = {},
                         int threads = 1) {
  Context context({.threads = threads});
  ContextScope scope(context);
  return train_translator(recipe, hooks, resume);
}

/// Trains up to a step, as if somebody had asked it to stop there.
inline TrainReport train_until(const TrainOptions& recipe, int64_t step, bool resume = false) {
  int64_t done = 0;
  // Called after every step; a resumed run is further than its calls say, but nobody resumes one with this.
  return train(recipe, resume, {.should_stop = [&] { return ++done >= step; }});
}

inline std::filesystem::path latest_checkpoint(const TrainOptions& recipe) {
  std::filesystem::path latest;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(recipe.output) / "checkpoints"))
    if (const auto name = entry.path().filename().string(); name.starts_with("step-"))
      latest = std::max(latest, entry.path());
  return latest;
}

/// Hashes of all that a run leaves for others: the latest checkpoint, best/, last/ and the tokenizer. Of a checkpoint's
/// state without the recipe, which names the data by their place.
inline std::map<std::string, std::string> results_of(const TrainOptions& recipe) {
  namespace fs = std::filesystem;
  const fs::path run = recipe.output;
  std::map<std::string, std::string> hashes{{"tokenizer.json", digest_file(run / "tokenizer.json").hash}};
  for (const fs::path& folder : {latest_checkpoint(recipe), run / "best", run / "last"})
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      std::string& hash = hashes[folder.filename().string() + "/" + name];
      if (name == "state.json") {
        auto state = read_json(entry.path());
        state.erase("recipe");
        hash = state.dump();
      } else if (name != "manifest.json") {  // it has the hash of state.json
        hash = digest_file(entry.path()).hash;
      }
    }
  return hashes;
}

/// What two runs left that is not equal.
inline std::vector<std::string> differences(const std::map<std::string, std::string>& a,
                                            const std::map<std::string, std::string>& b) {
  std::vector<std::string> names;
  for (const auto& [name, hash] : a)
    if (const auto other = b.find(name); other == b.end() || other->second != hash) names.push_back(name);
  for (const auto& [name, hash] : b)
    if (!a.contains(name)) names.push_back(name);
  return names;
}

}  // namespace attend::testing
