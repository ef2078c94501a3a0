// What a training run leaves behind, when it stops, and what it says about recipes that cannot be.
#include <attend/base/error.hpp>
#include <attend/data/batches.hpp>
#include <attend/models/family.hpp>
#include <attend/tasks/translate.hpp>
#include <attend/train/optimiser.hpp>
#include <attend/train/translation_data.hpp>
#include <attend/train/translator_folder.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <functional>

#include "base/scratch.hpp"
#include "train/tiny_recipe.hpp"

using namespace attend;
using namespace attend::testing;
namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

std::vector<Json> log_of(const TrainOptions& recipe) {
  std::vector<Json> lines;
  std::ifstream file(fs::path(recipe.output) / "log.jsonl");
  for (std::string line; std::getline(file, line);) lines.push_back(Json::parse(line));
  return lines;
}

double largest_difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  double largest = 0;
  for (int64_t i = 0; i < a.elements(); ++i)
    largest = std::max<double>(largest, std::abs(a.data<float>()[i] - b.data<float>()[i]));
  return largest;
}

/// Pairs whose two sides together have the same number of bytes, shared out unequally.
void write_equal_pairs(const fs::path& file) {
  std::string text;
  for (int i = 0; i < 8; ++i) {
    const auto source = static_cast<size_t>(3 + 2 * i);
    text += std::string(source, static_cast<char>('a' + i)) + '\t' +
            std::string(24 - source, static_cast<char>('z' - i)) + '\n';
  }
  write_file(file, text);
}

}  // namespace

TEST_CASE("the log is JSON lines with what happened at which step") {
  ScratchFolder folder;
  const TrainOptions recipe = tiny_recipe(folder.path());
  train_until(recipe, 5);
  std::ofstream(fs::path(recipe.output) / "log.jsonl", std::ios::app) << R"({"step": 5, "los)";  // killed here
  int progress_lines = 0, validations = 0;
  train(recipe, true,
        {.on_progress = [&](const TrainProgress&) { ++progress_lines; },
         .on_validation = [&](const Validation&) { ++validations; }});
  CHECK(progress_lines == 7);  // 6, 9, …, 24
  CHECK(validations == 4);
  int64_t last = 0;
  int losses = 0, resumed = 0, scores = 0;
  for (const Json& line : log_of(recipe)) {
    const auto step = line.at("step").get<int64_t>();
    CHECK(step >= last);
    last = step;
    if (line.contains("resumed")) {
      ++resumed;
    } else if (line.contains("validation")) {
      ++scores;
      CHECK(line.at("validation") == "valid");
      CHECK(std::isfinite(line.at("validation_loss").get<double>()));
      CHECK(line.at("chrf").get<double>() >= 0);
    } else {
      ++losses;
      CHECK(line.at("loss").get<double>() > 0);
      CHECK(line.at("gradient_norm").get<double>() > 0);
      CHECK(line.at("tokens").get<int64_t>() > 0);
    }
  }
  CHECK(losses == 8);
  CHECK(resumed == 1);
  CHECK(scores == 8);  // 4 × 2 directions
}

TEST_CASE("the best model is a folder that translates as it was validated") {
  ScratchFolder folder;
  const TrainOptions recipe = tiny_recipe(folder.path());
  std::vector<Validation> validations;
  const TrainReport report =
      train(recipe, false, {.on_validation = [&](const Validation& v) { validations.push_back(v); }});
  REQUIRE(report.best);
  REQUIRE(validations.size() == 4);
  for (const Validation& v : validations) CHECK(v.value <= report.best->value);

  const Translate translate = Translate::load(fs::path(recipe.output) / "best");
  CHECK(translate.languages() == std::vector<std::string>{"en", "ko"});
  std::vector<std::string> english, korean;
  std::ifstream pairs(recipe.validation.files[0].path);
  for (std::string source, target; std::getline(pairs, source, '\t') && std::getline(pairs, target);) {
    english.push_back(source);
    korean.push_back(target);
  }
  REQUIRE(english.size() == 4);
  for (const ValidationScore& score : report.best->scores) {
    TranslateOptions how;
    how.to = score.to;
    const auto& [sources, targets] = score.to == "ko" ? std::tie(english, korean) : std::tie(korean, english);
    CHECK(translate.loss(sources, targets, how).mean() == doctest::Approx(score.loss).epsilon(1e-6));
    CHECK(!score.bleu_signature.empty());
    CHECK(!score.chrf_signature.empty());
  }
  CHECK(report.best->scores.size() == 2);
  CHECK(!translate("I like apples.").empty());
  // The padding row has stayed zero, and padding is never written.
  const Transformer model = load_model(fs::path(recipe.output) / "last");
  for (const auto& [name, tensor] : by_file_name(model, [](const Parameter& p) { return *p.tensor; })) {
    const int64_t pad = model.config().pad;
    if (name == "model.shared.weight")
      for (float value : tensor.rows(pad, pad + 1).values<float>()) CHECK(value == 0);
    if (name == "final_logits_bias") CHECK(tensor.data<float>()[pad] == -1e4f);
  }
}

TEST_CASE("the model that is given away is the mean of the newest checkpoints") {
  ScratchFolder folder;
  TrainOptions recipe = tiny_recipe(folder.path());
  recipe.steps = 8;
  recipe.keep = 5;
  train(recipe);
  Transformer last = load_model(fs::path(recipe.output) / "last", {.trainable = true});
  std::vector<SafeTensors> files;
  for (int step : {3, 6, 8})  // average = 3
    files.push_back(SafeTensors::open(fs::path(recipe.output) / "checkpoints" / fmt::format("step-{:08}", step) /
                                      "model.safetensors"));
  double moved = 0;
  for (const Parameter& parameter : parameters(last)) {
    if (parameter.name == "logits_bias") continue;  // set by hand for padding
    CAPTURE(parameter.name);
    std::vector<double> mean(static_cast<size_t>(parameter.tensor->elements()));
    for (const SafeTensors& file : files) {
      const Tensor weight = file.tensor(parameter.name);
      REQUIRE(weight.shape() == parameter.tensor->shape());
      for (size_t i = 0; i < mean.size(); ++i) mean[i] += weight.data<float>()[i] / 3.0;
    }
    for (size_t i = 0; i < mean.size(); ++i)
      CHECK(std::abs(mean[i] - parameter.tensor->data<float>()[i]) <= 1e-6 * std::max(1.0, std::abs(mean[i])));
    moved = std::max(moved, largest_difference(*parameter.tensor, files[0].tensor(parameter.name)));
  }
  CHECK(moved > 1e-4);
}

TEST_CASE("training stops when validation has not improved for so long") {
  ScratchFolder folder;
  TrainOptions recipe = tiny_recipe(folder.path());
  recipe.learning_rate = 0;
  recipe.average = 1;
  recipe.validation.every = 2;
  recipe.patience = 3;
  std::vector<bool> best;
  const TrainReport report =
      train(recipe, false, {.on_validation = [&](const Validation& v) { best.push_back(v.best); }});
  CHECK(report.stopped_early);
  CHECK(report.finished);
  CHECK(report.step == 8);
  CHECK(best == std::vector<bool>{true, false, false, false});
  REQUIRE(report.best);
  CHECK(report.best->step == 2);
  const auto results = results_of(recipe);
  const TrainReport again = train(recipe, true);
  CHECK(again.stopped_early);
  CHECK(again.step == 8);
  REQUIRE(again.best);
  CHECK(again.best->step == 2);
  CHECK(results_of(recipe) == results);
}

TEST_CASE("two half batches make the step of a whole one") {
  ScratchFolder folder;
  write_equal_pairs(folder / "equal.tsv");
  TrainOptions whole = tiny_recipe(folder.path());
  whole.model.dropout = whole.model.attention_dropout = whole.model.activation_dropout = 0;
  whole.tokenizer.min_frequency = 1000000;  // no merges: a byte is a token
  whole.data.subword_dropout = 0;           // so none to undo
  whole.data.two_way = false;
  whole.data.files = {{.path = (folder / "equal.tsv").string()}};
  whole.data.pool = 8;
  whole.validation.files.clear();
  whole.batch_tokens = 8 * (24 + 2);
  whole.accumulation = 1;
  whole.warmup = 0;
  whole.steps = 4;
  whole.log_every = 1;
  whole.average = 1;
  TrainOptions halves = whole;
  halves.output = (folder / "halves").string();
  halves.batch_tokens = whole.batch_tokens / 2;
  halves.accumulation = 2;
  train(whole);
  train(halves);
  const auto one = log_of(whole), two = log_of(halves);
  REQUIRE(one.size() == 4);
  REQUIRE(two.size() == 4);
  for (size_t i = 0; i < one.size(); ++i) {
    CHECK(one[i].at("tokens") == two[i].at("tokens"));
    for (const char* key : {"loss", "gradient_norm"})
      CHECK(two[i].at(key).get<double>() == doctest::Approx(one[i].at(key).get<double>()).epsilon(1e-5));
  }
  // A row's step is a ratio of tiny numbers where its gradient is one; so not every weight agrees to the last digit.
  const auto a = SafeTensors::open(latest_checkpoint(whole) / "model.safetensors"),
             b = SafeTensors::open(latest_checkpoint(halves) / "model.safetensors");
  for (const StoredTensor& entry : a.entries()) {
    if (entry.name.ends_with("key.bias")) continue;  // its true gradient is 0
    CAPTURE(entry.name);
    CHECK(largest_difference(a.tensor(entry.name), b.tensor(entry.name)) <= 1e-4);
  }
}

TEST_CASE("a steady step takes nothing from the system") {
  ScratchFolder folder;
  const TrainOptions recipe = tiny_recipe(folder.path());
  Context context({.threads = 2});
  ContextScope scope(context);
  fs::create_directories(recipe.output);
  const TranslationData data = open_translation_data(recipe, recipe.output, false, [](const std::string&) {});
  TrainingBatches batches(data.sources, {.layout = data.layout, .max_tokens = recipe.batch_tokens, .pool = 32});
  const PackedBatch batch = *batches.next();
  Transformer model = new_translator(recipe.model, data.tokenizer, 1);
  model.set_trainable(true);
  AdamW optimiser(parameters(model), recipe.optimiser);
  int64_t settled = 0;
  for (uint64_t step = 0; step < 12; ++step) {
    Pass pass = Pass::training(1, step);
    Tape tape;
    const Tensor loss = model.loss(pass, {batch.source_ids, {batch.source_offsets, batch.source_positions}},
                                   {batch.decoder_ids, {batch.target_offsets, batch.target_positions}}, batch.labels,
                                   {.label_smoothing = 0.1f});
    optimiser.step(tape.backward(loss), 1e-3);
    const Allocator::Statistics now = context.allocator()->statistics();
    if (step == 1) settled = now.system_allocations;
    if (step > 1) CHECK(now.system_allocations == settled);
  }
  CHECK(settled > 0);
}

TEST_CASE("a file teaches the directions that its recipe names") {
  ScratchFolder folder;
  TrainOptions recipe = tiny_recipe(folder.path());
  recipe.data.files[0].directions = Directions::forward;
  recipe.data.files[1].directions = Directions::backward;
  fs::create_directories(recipe.output);
  const TranslationData data = open_translation_data(recipe, recipe.output, false, [](const std::string&) {});
  REQUIRE(data.sources.size() == 2);
  for (size_t i = 0; i < 2; ++i) {
    const std::vector<Direction>& taught = data.sources[i].directions;
    REQUIRE(taught.size() == 1);
    CHECK(taught[0].reversed == (i == 1));
    CHECK(taught[0].prefix == data.directions[i].prefix);
  }
}

TEST_CASE("recipes that cannot be are refused in one clear line") {
  ScratchFolder folder;
  const auto refuses = [&](const std::function<void(TrainOptions&)>& change, const char* part) {
    TrainOptions recipe = tiny_recipe(folder.path());
    change(recipe);
    std::string message;
    try {
      train(recipe);
    } catch (const Error& error) {
      message = error.what();
    }
    INFO("refused with \"" << message << "\", not with \"" << std::string(part) << "\"");
    CHECK(message.find(part) != message.npos);
    CHECK(message.find('\n') == message.npos);
    CHECK(!fs::exists(fs::path(recipe.output) / "checkpoints"));
  };
  refuses([&](TrainOptions& o) { o.data.files[0].path = (folder / "none.tsv").string(); }, "none.tsv: cannot open");
  refuses([&](TrainOptions& o) { o.validation.files[0].path = (folder / "none.tsv").string(); },
          "none.tsv: cannot open");
  refuses(
      [&](TrainOptions& o) {
        for (PairFile& file : o.data.files) file.optional = true, file.path += ".none";
      },
      "names no training file");
  refuses([](TrainOptions& o) { o.data.files[0].target = std::string("7"); }, "often.tsv:1");
  refuses([](TrainOptions& o) { o.data.max_tokens = 63; }, "data.max_tokens 63");
  refuses([](TrainOptions& o) { o.tokenizer.min_frequency = 1000000; }, "subword dropout: the tokenizer has no merges");
  refuses([](TrainOptions& o) { o.batch_tokens = 8; }, "max_tokens 8 cannot hold an example");
  refuses([](TrainOptions& o) { o.model.heads = 3; }, "heads");
  refuses([](TrainOptions& o) { o.precision = Precision::int8; }, "int8 is for finished models");
  refuses([](TrainOptions& o) { o.model.activation = "rellu"; }, "rellu");
  refuses([&](TrainOptions& o) { o.tokenizer.file = (folder / "none.json").string(); }, "none.json");
  refuses([&](TrainOptions& o) { o.output = (folder / "often.tsv" / "run").string(); }, "often.tsv/run");
  refuses([](TrainOptions& o) { o.data.files[0].weight = o.data.files[1].weight = 0; }, "weight");
  refuses([](TrainOptions& o) { o.data.two_way = false, o.data.files[1].directions = Directions::backward; },
          "is backward, which data.two_way = false does not learn");
  write_file(folder / "bad.tsv", "one\ttwo\nonly one\n");
  refuses([&](TrainOptions& o) { o.data.files[0].path = (folder / "bad.tsv").string(); }, "bad.tsv:2");
  write_file(folder / "empty.tsv", "");
  refuses([&](TrainOptions& o) { o.data.files[0].path = (folder / "empty.tsv").string(); }, "empty.tsv");
  refuses([&](TrainOptions& o) { o.validation.files[0].path = (folder / "empty.tsv").string(); }, "empty.tsv");
}

TEST_CASE("an unknown key of a recipe is named with its line and the nearest known one") {
  TrainOptions recipe;
  const auto options = options_of(recipe);
  CHECK_THROWS_WITH_AS(apply_toml(options, "steps = 10\n[model]\nwidht = 64\n", "recipe.toml"),
                       doctest::Contains("recipe.toml:3: unknown key \"widht\" in [model]; did you mean \"width\"?"),
                       ConfigError);
  CHECK_THROWS_WITH_AS(apply_toml(options, "[[data.files]]\nfile = \"x.tsv\"\n", "recipe.toml"),
                       doctest::Contains("recipe.toml:2: unknown key"), ConfigError);
  CHECK_THROWS_WITH_AS(apply_toml(options, "[model]\ndropout = 2\n", "recipe.toml"),
                       doctest::Contains("recipe.toml:2: model.dropout"), ConfigError);
}

TEST_CASE("validation leaves out what is too long for the model") {
  ScratchFolder folder;
  TrainOptions recipe = tiny_recipe(folder.path());
  recipe.steps = 2;
  std::string words;
  for (int i = 0; i < 100; ++i) words += " word";
  std::ofstream(recipe.validation.files[0].path, std::ios::app) << "long\t" << words << "\n" << words << "\tshort\n";
  std::vector<std::string> messages;
  const TrainReport report =
      train(recipe, false, {.on_message = [&](const std::string& line) { messages.push_back(line); }});
  REQUIRE(report.best);
  CHECK(std::count(messages.begin(), messages.end(), "valid: 2 pairs of 6 are too long for the model") == 1);
}

TEST_CASE("the vocabulary is learned from the mixture that is trained on") {
  ScratchFolder folder;
  TrainOptions recipe = tiny_recipe(folder.path());
  // Two pairs, twice, beside 40 others: too rare for a token unless the file is drawn often.
  std::string text;
  for (int i = 0; i < 2; ++i) text += "Hippopotamuses swim.\t하마는 헤엄칩니다.\n";
  write_file(folder / "hippo.tsv", text);
  recipe.data.files = {recipe.data.files[1], {.path = (folder / "hippo.tsv").string()}};
  const auto tokens = [&](double weight) {
    recipe.data.files[1].weight = weight;
    const fs::path run = folder / fmt::format("weight-{}", weight);
    fs::create_directories(run);
    return open_translation_data(recipe, run, false, [](const std::string&) {})
        .tokenizer.encode_ids("Hippopotamuses", false)
        .size();
  };
  CHECK(tokens(0.01) > 4);
  CHECK(tokens(9) == 1);
}

TEST_CASE("a recipe without checkpoints starts afresh, with its own tokenizer") {
  ScratchFolder folder;
  TrainOptions recipe = tiny_recipe(folder.path());
  recipe.steps = 1;
  fs::create_directories(recipe.output);
  TrainOptions other = recipe;
  other.tokenizer.vocab_size = 310;
  open_translation_data(other, recipe.output, false, [](const std::string&) {});  // ended before its first checkpoint
  train(recipe, true);
  CHECK(Tokenizer::load(fs::path(recipe.output) / "tokenizer.json").vocab_size() == 320);
}

TEST_CASE("a run may start from a finished model") {
  ScratchFolder folder;
  const TrainOptions first = tiny_recipe(folder.path());
  train(first);
  const fs::path given = fs::path(first.output) / "last";

  TrainOptions still = first;
  still.from = given.string();
  still.output = (folder / "still").string();
  still.learning_rate = 0;
  still.steps = 1;
  still.model.dropout = 0.3f;  // the recipe's own
  train(still);
  Transformer before = load_model(given, {.trainable = true});
  Transformer after = load_model(fs::path(still.output) / "last", {.trainable = true});
  CHECK(after.config().encoder.block.dropout == 0.3f);
  const auto a = parameters(before), b = parameters(after);
  for (size_t i = 0; i < a.size(); ++i) CHECK(largest_difference(*a[i].tensor, *b[i].tensor) == 0);
  CHECK(digest_file(given / "tokenizer.json").hash == digest_file(fs::path(still.output) / "tokenizer.json").hash);

  TrainOptions whole = first;
  whole.from = given.string();
  whole.output = (folder / "whole").string();
  const TrainReport report = train(whole);
  CHECK(report.finished);
  TrainOptions parted = whole;
  parted.output = (folder / "parted").string();
  train_until(parted, 7);
  fs::rename(given, folder / "elsewhere");  // a resumed run does not need it
  train(parted, true);
  CHECK(differences(results_of(whole), results_of(parted)) == std::vector<std::string>{});
  fs::rename(folder / "elsewhere", given);

  const auto refuses = [&](const std::function<void(TrainOptions&)>& change, const char* part) {
    TrainOptions recipe = whole;
    recipe.output = (folder / "refused").string();
    change(recipe);
    CHECK_THROWS_WITH_AS(train(recipe), doctest::Contains(part), Error);
  };
  refuses([](TrainOptions& o) { o.model.hidden = 64; }, "coder_ffn_dim 64, but that of");
  refuses([](TrainOptions& o) { o.model.heads = 4; }, "coder_attention_heads 4, but that of");
  refuses([](TrainOptions& o) { o.from += "none"; }, "lastnone");
  refuses([](TrainOptions& o) { o.tokenizer.file = o.from; }, "tokenizer.file cannot be given too");
}
