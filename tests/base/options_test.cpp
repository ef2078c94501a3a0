#include "attend/base/options.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "attend/base/error.hpp"
#include "attend/base/file.hpp"
#include "base/scratch.hpp"

using namespace attend;
using attend::testing::ScratchFolder;

namespace {

enum class Schedule { noam, cosine };
constexpr auto enum_names(Schedule) {
  return std::to_array<EnumName<Schedule>>(
      {{Schedule::noam, "noam"}, {Schedule::cosine, "cosine"}, {Schedule::cosine, "cos"}});
}

enum class Stopping { yes, no, never };
constexpr auto enum_names(Stopping) {
  return std::to_array<EnumName<Stopping>>(
      {{Stopping::yes, "true"}, {Stopping::no, "false"}, {Stopping::never, "never"}});
}

struct Source {
  std::string path;
  double weight = 1;
  static void fields(auto& self, auto&& f) {
    f("path", self.path);
    f("weight", self.weight, Doc{.min = 0});
  }
};

struct Train {
  double learning_rate = 3e-4;
  float dropout = 0.1F;
  int64_t steps = 1000;
  Schedule schedule = Schedule::noam;
  bool shuffle = true;
  static void fields(auto& self, auto&& f) {
    f("learning_rate", self.learning_rate, Doc{.en = "size of a step", .ko = "학습률", .min = 0});
    f("dropout", self.dropout, Doc{.min = 0, .max = 0.9});
    f("steps", self.steps);
    f("schedule", self.schedule);
    f("shuffle", self.shuffle);
  }
};

struct Recipe {
  int beams = 4;
  uint64_t seed = 0;
  std::string name = "model";
  bool verbose = false;
  std::optional<int> limit;
  Stopping early_stopping = Stopping::no;
  std::vector<int> sizes = {1, 2};
  std::vector<std::string> words;
  std::vector<Source> data;
  Train train;
  static void fields(auto& self, auto&& f) {
    f("beams", self.beams, Doc{.en = "hypotheses kept", .ko = "후보 수", .min = 1, .max = 64});
    f("seed", self.seed);
    f("name", self.name);
    f("verbose", self.verbose);
    f("limit", self.limit, Doc{.min = 1});
    f("early_stopping", self.early_stopping);
    f("sizes", self.sizes, Doc{.max = 10});
    f("words", self.words);
    f("data", self.data);
    f("train", self.train);
  }
};

struct Two {
  Train first, second;
  static void fields(auto& self, auto&& f) {
    f("first", self.first);
    f("second", self.second);
  }
};

template <class E = ConfigError, class F>
std::string thrown(F&& body) {
  try {
    body();
  } catch (const E& error) {
    return error.what();
  }
  return "nothing was thrown";
}

std::string toml_error(std::string_view text) {
  Recipe recipe;
  return thrown([&] { apply_toml(options_of(recipe), text, "x.toml"); });
}

std::string flag_error(const std::vector<std::string>& arguments) {
  Recipe recipe;
  return thrown([&] { apply_flags(options_of(recipe), arguments); });
}

const Option& find(const std::vector<Option>& options, std::string_view name) {
  for (const Option& option : options)
    if (option.name == name) return option;
  FAIL("no option " << name);
  return options[0];
}

}  // namespace

TEST_CASE("fields are walked with dotted names, through structs and lists of structs") {
  const Recipe recipe{.data = {{"a", 1}, {"b", 2}}};
  std::string names;
  walk_fields(recipe, [&](const std::string& name, const auto&, const Doc&) { names += name + ' '; });
  CHECK(names ==
        "beams seed name verbose limit early_stopping sizes words data.0.path data.0.weight data.1.path data.1.weight "
        "train.learning_rate train.dropout train.steps train.schedule train.shuffle ");
  Recipe changed;
  walk_fields(changed, [](const std::string& name, auto& member, const Doc&) {
    if constexpr (std::same_as<std::decay_t<decltype(member)>, double>)
      if (name == "train.learning_rate") member = 7;
  });
  CHECK(changed.train.learning_rate == 7);
  static_assert(HasFields<Recipe> && HasFields<const Source&> && !HasFields<std::string> && !HasFields<int>);
}

TEST_CASE("a recipe sets every type") {
  Recipe recipe;
  apply_toml(options_of(recipe), R"(
beams = 8
seed = 9223372036854775807
name = "한국어"
verbose = true
limit = 3
early_stopping = "never"
sizes = [3, 4, 5]
words = ["a", "b,c"]
[train]
learning_rate = 1e-3
dropout = 0
steps = 1e5
schedule = "cosine"
shuffle = false
[[data]]
path = "one"
[[data]]
path = "two"
weight = 0.5
)",
             "x.toml");
  CHECK(recipe.beams == 8);
  CHECK(recipe.seed == 9223372036854775807U);
  CHECK(recipe.name == "한국어");
  CHECK(recipe.verbose);
  CHECK(recipe.limit == 3);
  CHECK(recipe.early_stopping == Stopping::never);
  CHECK(recipe.sizes == std::vector{3, 4, 5});
  CHECK(recipe.words == std::vector<std::string>{"a", "b,c"});
  CHECK(recipe.train.learning_rate == 1e-3);
  CHECK(recipe.train.dropout == 0);
  CHECK(recipe.train.steps == 100'000);
  CHECK(recipe.train.schedule == Schedule::cosine);
  CHECK_FALSE(recipe.train.shuffle);
  REQUIRE(recipe.data.size() == 2);
  CHECK(recipe.data[0].weight == 1);
  CHECK(recipe.data[1].path == "two");
  CHECK(recipe.data[1].weight == 0.5);

  apply_toml(options_of(recipe), "train.steps = 7\nlimit = 'none'\nearly_stopping = true", "x.toml");
  CHECK(recipe.train.steps == 7);
  CHECK(recipe.train.learning_rate == 1e-3);
  CHECK_FALSE(recipe.limit);
  CHECK(recipe.early_stopping == Stopping::yes);
}

TEST_CASE("mistakes in a recipe are told with their line") {
  CHECK(toml_error("seed = 1\n[train]\nlerning_rate = 1\n") ==
        "x.toml:3: unknown key \"lerning_rate\" in [train]; did you mean \"learning_rate\"?");
  CHECK(toml_error("[trian]\nsteps = 1") == "x.toml:1: unknown key \"trian\"; did you mean \"train\"?");
  CHECK(toml_error("colour = 1") == "x.toml:1: unknown key \"colour\"");
  CHECK(toml_error("\nbeams = 0") == "x.toml:2: beams: 0 is less than 1");
  CHECK(toml_error("beams = 65") == "x.toml:1: beams: 65 is more than 64");
  CHECK(toml_error("beams = 1.5") == "x.toml:1: beams: expects a whole number, not 1.5");
  CHECK(toml_error("beams = '4'") == "x.toml:1: beams: expects a whole number, not \"4\"");
  CHECK(toml_error("beams = 4000000000") == "x.toml:1: beams: 4000000000 is not in -2147483648 to 2147483647");
  CHECK(toml_error("seed = -1") == "x.toml:1: seed: -1 is not in 0 to 18446744073709551615");
  CHECK(toml_error("name = 1") == "x.toml:1: name: expects a text, not 1");
  CHECK(toml_error("verbose = 1") == "x.toml:1: verbose: expects true or false, not 1");
  CHECK(toml_error("limit = 0") == "x.toml:1: limit: 0 is less than 1");
  CHECK(toml_error("sizes = [1, 11]") == "x.toml:1: sizes[1]: 11 is more than 10");
  CHECK(toml_error("sizes = 1") == "x.toml:1: sizes: expects a list, not 1");
  CHECK(toml_error("train = 1") == "x.toml:1: train: expects a table, not 1");
  CHECK(toml_error("[train]\ndropout = nan") == "x.toml:2: train.dropout: nan is not a finite number");
  CHECK(toml_error("[train]\ndropout = 1e300") == "x.toml:2: train.dropout: 1e+300 is not a finite number");
  CHECK(toml_error("[train]\nschedule = 'cosin'") ==
        "x.toml:2: train.schedule: expects one of noam, cosine, cos, not \"cosin\"");
  CHECK(toml_error("[[data]]\npath = 'a'\n[[data]]\nwieght = 1") ==
        "x.toml:4: unknown key \"wieght\" in [data[1]]; did you mean \"weight\"?");
  CHECK(toml_error("data = [1]") == "x.toml:1: data[0]: expects a table, not 1");
  CHECK(toml_error("[[data]]\nweight = -1") == "x.toml:2: data[0].weight: -1 is less than 0");
  CHECK(toml_error("seed = 1979-01-01") == "x.toml:1: dates and times are no option values");
  CHECK(toml_error("name = ['" + std::string(100, 'x') + "\\n']") ==
        "x.toml:1: name: expects a text, not [\"" + std::string(58, 'x') + "…");
}

TEST_CASE("broken TOML is a format error with its line") {
  Recipe recipe;
  const auto error = [&](std::string_view text) {
    return thrown<FormatError>([&] { apply_toml(options_of(recipe), text, "x.toml"); });
  };
  CHECK(error("seed = 1\nbeams =\n").starts_with("x.toml:2: "));
  CHECK(error("beams = 1\nbeams = 2\n").starts_with("x.toml:2: "));
  CHECK(error("name = '\xff'").starts_with("x.toml:1: "));
  CHECK(error("[!").starts_with("x.toml:1: "));
  CHECK(error("[[\x01").starts_with("x.toml:1: "));
  // Depth that would overflow the stack, hidden as well as it can be.
  std::string deep;
  for (int i = 0; i < 200'000; ++i) deep += i % 2 ? "\"a\" . " : "a.";
  deep += "a = 1\n";
  for (const char* start : {"", "x = 1 # \"\n", "x = \"\"\" \" \"\"\"\n", "x = '''\n'''\n",
                            "x = {a = \"\"\"b\"\"\"\", ", "x = \"\\\"\"\n", "x = [[{"})
    CHECK(error(start + deep).find(": a key of more than 32 parts") != std::string::npos);
  std::string nested = "sizes = ";
  for (int i = 0; i < 10'000; ++i) nested += '[';
  CHECK(error(nested).starts_with("x.toml:1: "));
  CHECK(error("x = \"\"\"\\\n  é、\"\"\" é").starts_with("x.toml:2: "));
  // Dots elsewhere are no key.
  apply_toml(options_of(recipe), "name = '" + std::string(100, '.') + "' # " + std::string(100, '.'), "x.toml");
  CHECK(recipe.name == std::string(100, '.'));
}

TEST_CASE("recipes are read from files") {
  const ScratchFolder folder;
  write_file(folder / "r.toml", "beams = 2\nbeems = 3\n");
  Recipe recipe;
  CHECK(thrown([&] { apply_recipe(options_of(recipe), folder / "r.toml"); }) ==
        (folder / "r.toml").string() + ":2: unknown key \"beems\"; did you mean \"beams\"?");
  CHECK_THROWS_AS(apply_recipe(options_of(recipe), folder / "absent.toml"), SystemError);
}

TEST_CASE("JSON goes out and comes back") {
  Recipe recipe{
      .beams = 7, .seed = std::numeric_limits<uint64_t>::max(), .limit = 5, .sizes = {}, .words = {"é\"", ""}};
  recipe.data = {{"p", 0.25}};
  recipe.train.dropout = 0.3F;
  const auto json = options_json(options_of(recipe));
  CHECK(json.dump() ==
        R"({"beams":7,"seed":18446744073709551615,"name":"model","verbose":false,"limit":5,"early_stopping":"false",)"
        R"("sizes":[],"words":["é\"",""],"data":[{"path":"p","weight":0.25}],)"
        R"("train":{"learning_rate":0.0003,"dropout":0.3,"steps":1000,"schedule":"noam","shuffle":true}})");
  Recipe back;
  apply_json(options_of(back), nlohmann::json(json), "x.json");
  CHECK(options_json(options_of(back)) == json);
  CHECK(back.train.dropout == 0.3F);

  CHECK(thrown([&] { apply_json(options_of(back), nlohmann::json::parse(R"({"train":{"step":1}})"), "x.json"); }) ==
        "x.json: unknown key \"step\" in [train]; did you mean \"steps\"?");
  CHECK(thrown([&] { apply_json(options_of(back), nlohmann::json::array(), "x.json"); }) ==
        "x.json: options: expects a table, not []");
  apply_json(options_of(back), nlohmann::json::parse(R"({"limit":null,"early_stopping":true})"), "x.json");
  CHECK_FALSE(back.limit);
  CHECK(back.early_stopping == Stopping::yes);
}

TEST_CASE("flags set options and leave the rest") {
  Recipe recipe;
  const std::vector<std::string> arguments = {"text one",
                                              "--beams",
                                              "2",
                                              "--verbose",
                                              "--train.learning-rate=1e-2",
                                              "--steps",
                                              "5",
                                              "--no-shuffle",
                                              "-",
                                              "-3",
                                              "--words",
                                              "a,,b",
                                              "--limit=2",
                                              "--",
                                              "--beams"};
  const auto rest = apply_flags(options_of(recipe), arguments);
  CHECK(rest == std::vector<std::string>{"text one", "-", "-3", "--beams"});
  CHECK(recipe.beams == 2);
  CHECK(recipe.verbose);
  CHECK(recipe.train.learning_rate == 1e-2);
  CHECK(recipe.train.steps == 5);
  CHECK_FALSE(recipe.train.shuffle);
  CHECK(recipe.words == std::vector<std::string>{"a", "", "b"});
  CHECK(recipe.limit == 2);
  apply_flags(options_of(recipe),
              std::vector<std::string>{"--limit", "none", "--verbose=off", "--sizes", "[7]", "--words=", "--data",
                                       R"([{"path": "p"}])", "--schedule=cos"});
  CHECK_FALSE(recipe.limit);
  CHECK_FALSE(recipe.verbose);
  CHECK(recipe.sizes == std::vector{7});
  CHECK(recipe.words.empty());
  CHECK(recipe.data.at(0).path == "p");
  CHECK(recipe.train.schedule == Schedule::cosine);
}

TEST_CASE("wrong flags are told") {
  CHECK(flag_error({"--bems", "3"}) == "unknown flag \"--bems\"; did you mean \"--beams\"?");
  CHECK(flag_error({"--learning-rat=3"}) == "unknown flag \"--learning-rat\"; did you mean \"--learning-rate\"?");
  CHECK(flag_error({"-x"}) == "unknown flag \"-x\"");
  CHECK(flag_error({"--no-beams"}).starts_with("unknown flag \"--no-beams\""));
  CHECK(flag_error({"--no-verbose=1"}) == "--no-verbose takes no value");
  CHECK(flag_error({"--beams"}) == "--beams needs a value");
  CHECK(flag_error({"--beams", "99"}) == "--beams: 99 is more than 64");
  CHECK(flag_error({"--beams=2x"}) == "--beams: expects a whole number, not \"2x\"");
  CHECK(flag_error({"--beams="}) == "--beams: expects a whole number, not \"\"");
  CHECK(flag_error({"--verbose=maybe"}) == "--verbose: expects true or false, not \"maybe\"");
  CHECK(flag_error({"--sizes", "1,x"}) == "--sizes[1]: expects a whole number, not \"x\"");
  CHECK(flag_error({"--data", "[{"}).starts_with("--data:1:3: not valid JSON"));

  Two two;
  CHECK(thrown([&] { apply_flags(options_of(two), std::vector<std::string>{"--steps=1"}); }) ==
        "--steps may be --first.steps or --second.steps: write it in full");
}

TEST_CASE("the environment sets options") {
  const std::map<std::string, std::string> variables = {{"ATTEND_BEAMS", "3"}, {"ATTEND_TRAIN_LEARNING_RATE", "0.5"}};
  const auto lookup = [&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  };
  Recipe recipe;
  apply_environment(options_of(recipe), lookup);
  CHECK(recipe.beams == 3);
  CHECK(recipe.train.learning_rate == 0.5);
  CHECK(thrown([&] { apply_environment(options_of(recipe), [](const char*) { return "x"; }); }) ==
        "ATTEND_BEAMS: expects a whole number, not \"x\"");
}

TEST_CASE("a failed set leaves the member as it was") {
  Recipe recipe;
  const auto options = options_of(recipe);
  CHECK_THROWS_AS(find(options, "sizes").set_text("3,99", {}), ConfigError);
  CHECK(recipe.sizes == std::vector{1, 2});
}

TEST_CASE("text of every option is accepted back") {
  Recipe recipe{.limit = 3, .words = {"a,b"}, .data = {{"p", 2}}}, other;
  const auto from = options_of(recipe), to = options_of(other);
  for (size_t i = 0; i < from.size(); ++i) to[i].set_text(from[i].text(), {{}, from[i].name});
  CHECK(options_json(to) == options_json(from));
  CHECK(find(from, "train.learning_rate").text() == "0.0003");
  CHECK(find(to, "name").text() == "model");
}

TEST_CASE("help has a line an option in the language asked for") {
  Recipe recipe;
  const auto options = options_of(recipe);
  const std::string english = options_help(options, "en"), korean = options_help(options, "ko");
  CHECK(english.starts_with("  --beams INT                       hypotheses kept [4; 1–64]\n"));
  CHECK(english.find("  --train.learning-rate NUMBER      size of a step [0.0003; ≥ 0]\n") != std::string::npos);
  CHECK(english.find("  --train.schedule noam|cosine|cos  [noam]\n") != std::string::npos);
  CHECK(english.find("  --sizes INT,…                     [1,2; ≤ 10]\n") != std::string::npos);
  CHECK(english.find("  --[no-]train.shuffle              [true]\n") != std::string::npos);
  CHECK(korean.find("학습률 [0.0003; ≥ 0]") != std::string::npos);
  CHECK(korean.find("후보 수 [4; 1–64]") != std::string::npos);
  CHECK(static_cast<size_t>(std::count(english.begin(), english.end(), '\n')) == options.size());
}
