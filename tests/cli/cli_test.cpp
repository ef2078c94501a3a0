// The command line end to end: exit codes, messages, streams.
#include <attend/base/file.hpp>
#include <attend/io/safetensors.hpp>
#include <attend/tasks/translate.hpp>
#include <attend/tensor/precision.hpp>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <csignal>
#include <sstream>

#include "base/scratch.hpp"
#include "cli/program.hpp"
#include "tasks/toy_translator.hpp"

using namespace attend;
using attend::testing::attend_run;
using attend::testing::Program;
using attend::testing::Result;
using attend::testing::ScratchFolder;
using attend::testing::Start;
using Json = nlohmann::json;

namespace {

/// A toy model's folder, made once.
const std::string& model() {
  static const ScratchFolder scratch;
  static const std::string folder = [] {
    std::signal(SIGPIPE, SIG_IGN);  // a program may end before it has read everything
    attend::testing::write_toy_translator(scratch / "toy");
    write_file(scratch / "toy/generation_config.json", R"({"max_new_tokens": 6, "bad_words_ids": [[220], [10]]})");
    return (scratch / "toy").string();
  }();
  return folder;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// The program failed with this code and this one line.
void check_failure(const Result& result, int code, const std::string& message) {
  CHECK(result.code == code);
  CHECK(result.out == "");
  CHECK(result.err == "attend: " + message + "\n");
}

void check_failure_with(const Result& result, int code, const std::string& part) {
  CAPTURE(result.err);
  CHECK(result.code == code);
  CHECK(result.err.starts_with("attend: "));
  CHECK(std::ranges::count(result.err, '\n') == 1);
  CHECK(result.err.find(part) != std::string::npos);
}

std::string expected(const std::string& text, TranslateOptions options) {
  static const Translate translate = Translate::load(model());
  std::string line = translate.translate({&text, 1}, options)[0][0].text;
  std::ranges::replace(line, '\n', ' ');
  return line;
}

std::string expected(const std::string& text) {
  static const TranslateOptions options = Translate::load(model()).defaults();
  return expected(text, options);
}

}  // namespace

TEST_CASE("help in two languages") {
  const Result plain = attend_run({"--help"});
  CHECK(plain.code == 0);
  CHECK(plain.out.find("translate") != std::string::npos);
  CHECK(plain.out.find("Commands") != std::string::npos);
  CHECK(plain.err == "");
  CHECK(attend_run({"help"}).out == plain.out);
  CHECK(attend_run({"-h"}).out == plain.out);
  const std::string korean = attend_run({"--help", "--lang", "ko"}).out;
  CHECK(korean.find("명령") != std::string::npos);
  CHECK(attend_run({"--lang", "ko"}).out == korean);
  CHECK(attend_run(Start{{"--help"}, {}, {{"LANG", "ko_KR.UTF-8"}}}).out == korean);
  CHECK(attend_run(Start{{"--help", "--lang=en"}, {}, {{"LANG", "ko_KR.UTF-8"}}}).out == plain.out);
  CHECK(attend_run({"--version"}).out.starts_with("attend "));

  const Result nothing = attend_run(std::vector<std::string>{});
  CHECK(nothing.code == 2);
  CHECK(nothing.err == plain.out);

  // Every command that the overview lists has a help with an example in both languages.
  int commands = 0;
  for (const std::string& line : lines_of(plain.out)) {
    if (!line.starts_with("  ")) continue;
    const std::string name = line.substr(2, line.find("  ", 2) - 2);
    CAPTURE(name);
    std::vector<std::string> words;
    std::istringstream stream(name);
    for (std::string word; stream >> word;) words.push_back(word);
    words.emplace_back("--help");
    const Result help = attend_run(words);
    CHECK(help.code == 0);
    CHECK(help.out.find("Example: attend " + name) != std::string::npos);
    words.insert(words.end(), {"--lang", "ko"});
    CHECK(attend_run(words).out.find("예: attend " + name) != std::string::npos);
    ++commands;
  }
  CHECK(commands >= 5);
  const std::string help = attend_run({"translate", "--help"}).out;
  CHECK(attend_run({"help", "translate"}).out == help);
  CHECK(attend_run({"--lang", "en", "translate", "--beam", "7", "-h"}).out == help);  // true defaults
}

TEST_CASE("wrong usage names what was meant") {
  check_failure(attend_run({"transalte"}), 2,
                "unknown command \"transalte\"; did you mean \"translate\"?; attend --help lists them");
  check_failure(attend_run({"--hepl"}), 2, "unknown flag \"--hepl\"; attend --help lists them");
  check_failure(attend_run({"translate", "--bean", "3"}), 2, "unknown flag \"--bean\"; did you mean \"--beam\"?");
  check_failure(attend_run({"translate", "--beam", "many"}), 2, "--beam: expects a whole number, not \"many\"");
  check_failure_with(attend_run({"translate", "--beam", "0"}), 2, "--beam");
  check_failure(attend_run({"translate", "--beam"}), 2, "--beam needs a value");
  check_failure(attend_run({"doctor", "now"}), 2, "doctor: unexpected argument \"now\"");
  check_failure(attend_run({"translate", "--lang", "fr"}), 2, "--lang expects ko or en, not \"fr\"");
  check_failure(attend_run({"forward", "--output", "x"}), 2, "forward: --inputs FILE is missing");
  check_failure(attend_run({"evaluate"}), 2, "evaluate: --data FILE is missing");
  check_failure_with(attend_run({"translate", "--json", "--attention", "x"}), 2, "choose one");
  check_failure_with(attend_run({"a\nb\x1b[31m\xff"}), 2, "unknown command");
}

TEST_CASE("a missing or broken model") {
  check_failure_with(attend_run({"translate", "--model", "no-such", "x"}), 1, "no model \"no-such\" here or in ");
  const Result home = attend_run(Start{{"translate", "x"}, {}, {{"ATTEND_HOME", "nowhere/at/all"}}});
  if (home.code != 0) check_failure_with(home, 1, "nowhere/at/all/pretrained");
  check_failure(attend_run({"translate", "--model", "no/such", "x"}), 1, "no model folder no/such");
  const ScratchFolder scratch;
  check_failure_with(attend_run({"translate", "--model", scratch.path().string(), "x"}), 1, "config.json");
  write_file(scratch / "config.json", "{");
  check_failure_with(attend_run({"translate", "--model", scratch.path().string(), "x"}), 1, "config.json");
  std::filesystem::copy(model(), scratch / "cut", std::filesystem::copy_options::recursive);
  std::filesystem::resize_file(scratch / "cut/model.safetensors", 1000);
  check_failure_with(attend_run({"translate", "--model", (scratch / "cut").string(), "x"}), 1, "safetensors");
}

TEST_CASE("models are found by name in ATTEND_HOME") {
  const ScratchFolder scratch;
  std::filesystem::create_directories(scratch / "pretrained");
  std::filesystem::copy(model(), scratch / "pretrained/en-ko", std::filesystem::copy_options::recursive);
  const std::vector<std::pair<std::string, std::string>> home{{"ATTEND_HOME", scratch.path().string()}};
  const Result result = attend_run(Start{{"translate", "Nice."}, {}, home});
  CHECK(result.err == "");
  CHECK(result.out == expected("Nice.") + "\n");
  const Result doctor = attend_run(Start{{"doctor", "--json"}, {}, home});
  const Json report = Json::parse(doctor.out);
  CHECK(report["threads"] == 1);
  bool found = false;
  for (const Json& entry : report["models"])
    if (entry["folder"] == (scratch / "pretrained/en-ko").string()) found = entry["model_type"] == "marian";
  CHECK(found);
  CHECK(report["limits"]["f32_flops_per_second"]["all_threads"] > 1e8);
  const std::string text = attend_run(Start{{"doctor"}, {}, home}).out;
  for (const char* part : {"kernels", "limits     f32 "}) CHECK(text.find(part) != std::string::npos);
}

TEST_CASE("arguments and standard input give the same lines, in order") {
  const std::vector<std::string> texts{"Nice.", "", "이름이 뭐예요?", "My name is Minsu. Nice to meet you!", "  "};
  std::string input, wanted;
  std::vector<std::string> arguments{"translate", "--model", model(), "--"};
  for (const std::string& text : texts) {
    input += text + "\n";
    wanted += expected(text) + "\n";
    arguments.push_back(text);
  }
  CHECK(attend_run(arguments).out == wanted);
  const Result piped = attend_run({"translate", "--model", model()}, input);
  CHECK(piped.out == wanted);
  CHECK(piped.err == "");
  CHECK(piped.code == 0);
  input.pop_back();
  CHECK(attend_run({"translate", "--model", model()}, input).out == wanted);
  CHECK(attend_run({"translate", "--model", model()}, "").out == "");
  std::string many, many_wanted;
  for (int i = 0; i < 300; ++i) {
    const std::string& text = texts[static_cast<size_t>(i) % texts.size()];
    many += text + "\n";
    many_wanted += expected(text) + "\n";
  }
  CHECK(attend_run({"translate", "--model", model()}, many).out == many_wanted);
}

TEST_CASE("a line is answered before the next one comes") {
  Program program({{"translate", "--model", model()}, {}});
  for (const std::string text : {"Nice.", "What is your name?"}) {
    const size_t before = program.out().size();
    program.write(text + "\n");
    REQUIRE(program.pump([&] { return program.out().ends_with('\n') && program.out().size() > before; }));
    CHECK(program.out().substr(before) == expected(text) + "\n");
  }
  CHECK(program.finish().code == 0);
}

TEST_CASE("flags reach the search, and go before environment, recipe and model") {
  TranslateOptions options = Translate::load(model()).defaults();
  options.generation.num_beams = 3;
  options.generation.length_penalty = 0.5f;
  options.to = "en";
  const std::string wanted = expected("Nice.", options) + "\n";
  CHECK(
      attend_run({"translate", "Nice.", "--model", model(), "--beam", "3", "--length-penalty=0.5", "--to", "en"}).out ==
      wanted);
  const ScratchFolder scratch;
  write_file(scratch / "recipe.toml", "beam = 9\nlength_penalty = 0.5\nto = \"ko\"\n");
  const std::string recipe = (scratch / "recipe.toml").string();
  CHECK(attend_run(Start{{"translate", "Nice.", "--model", model(), "--config", recipe, "--to", "en"},
                         {},
                         {{"ATTEND_BEAM", "3"}, {"ATTEND_TO", "ko"}}})
            .out == wanted);
  write_file(scratch / "recipe.toml", "to = \"en\"\nbeams = 3\n");
  check_failure_with(attend_run({"translate", "Nice.", "--config", recipe}), 2,
                     ":2: unknown key \"beams\"; did you mean \"beam\"?");
  check_failure_with(attend_run({"translate", "Nice.", "--config", "no-such.toml"}), 1, "no-such.toml");
  check_failure(attend_run({"translate", "Nice.", "--model", model(), "--to", "fr"}), 1,
                "translate: the model does not translate into \"fr\", only into ko, en");
}

TEST_CASE("--precision reaches the products") {
  const auto scores = [](std::vector<std::string> more) {
    std::vector<std::string> arguments{"translate", "Nice.", "--model", model(), "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return attend_run(arguments).out;
  };
  const std::string f32 = scores({}), bf16 = scores({"--precision", "bf16"}), int8 = scores({"--precision", "int8"});
  CHECK(scores({"--precision", "f32"}) == f32);
  CHECK(int8.find("\"score\"") != std::string::npos);
  CHECK(bf16 != f32);
  CHECK(int8 != f32);
  CHECK(int8 != bf16);
  const ProductPrecision products(Precision::int8);
  const Translate translate = Translate::load(model());
  const std::string text = "Nice.";
  const Translation best = translate.translate({&text, 1}, translate.defaults()).at(0).at(0);
  CHECK(nlohmann::json::parse(int8).at("score").get<double>() == doctest::Approx(best.score).epsilon(1e-5));
  check_failure_with(attend_run({"translate", "Nice.", "--precision", "int4"}), 2, "int8");
  check_failure_with(attend_run({"bench", "--train", "gpt", "--dtype", "int8"}), 2,
                     "training is measured in f32 or bf16");
}

TEST_CASE("JSON holds what the translation is made of") {
  const Result result =
      attend_run({"translate", "--model", model(), "--json", "--n-best", "2"}, "Nice.\n\n이름이 뭐예요?\n");
  CHECK(result.code == 0);
  const auto lines = lines_of(result.out);
  REQUIRE(lines.size() == 5);  // an empty line has one answer
  for (const std::string& line : lines) {
    const Json json = Json::parse(line);
    for (const char* key : {"source", "to", "rank", "text", "score", "tokens", "source_tokens"})
      CHECK(json.contains(key));
    for (const Json& token : json["tokens"]) {
      CHECK(token["id"].is_number_integer());
      CHECK(token["text"].is_string());
      CHECK(token["logprob"].get<double>() < 0);
    }
    if (json["tokens"].empty()) continue;
    REQUIRE(json["alignment"].size() == json["tokens"].size());
    for (const Json& row : json["alignment"]) {
      CHECK(row.size() == json["source_tokens"].size());
      double sum = 0;
      for (const Json& weight : row) sum += weight.get<double>();
      CHECK(sum == doctest::Approx(1).epsilon(1e-4));
    }
  }
  CHECK(Json::parse(lines[0])["to"] == "ko");
  CHECK(Json::parse(lines[0])["rank"] == 1);
  CHECK(Json::parse(lines[1])["rank"] == 2);
  CHECK(Json::parse(lines[1])["score"] <= Json::parse(lines[0])["score"]);
  CHECK(Json::parse(lines[3])["source_tokens"][0]["text"] == ">>en<<");
  const Result plain = attend_run({"translate", "--model", model(), "--n-best", "2", "Nice."});
  CHECK(lines_of(plain.out).size() == 2);
  CHECK(plain.out.starts_with("1\t-"));
  const Result bare = attend_run({"translate", "--model", model(), "--json", "--no-alignment", "Nice."});
  CHECK(!Json::parse(bare.out).contains("alignment"));
}

TEST_CASE("the attention map") {
  const std::vector<std::string> base{"translate", "--model", model(), "--attention", "이름이 Nice."};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), base.begin(), base.end());
    return more;
  };
  const Result plain = attend_run(base);
  CHECK(plain.code == 0);
  CHECK(plain.out.find('\x1b') == std::string::npos);
  const auto lines = lines_of(plain.out);
  REQUIRE(lines.size() >= 3);
  CHECK(lines[1].find(">>en<<") != std::string::npos);
  CHECK(lines[1].find("이") != std::string::npos);
  CHECK(lines[1].find("</s>") != std::string::npos);
  for (size_t i = 2; i < lines.size(); ++i) {  // a row's weights sum to 1
    std::istringstream words(lines[i]);
    std::string word;
    words >> word;
    double sum = 0;
    for (double weight; words >> weight;) sum += weight;
    CHECK(sum == doctest::Approx(1).epsilon(0.06));
  }
  const Result coloured = attend_run(with({"--color", "always"}));
  CHECK(coloured.out.find("\x1b[48;5;") != std::string::npos);
  CHECK(coloured.out.find("\x1b[0m") != std::string::npos);
  const Result rgb = attend_run(Start{with({"--color", "always"}), {}, {{"COLORTERM", "truecolor"}}});
  CHECK(rgb.out.find("\x1b[48;2;") != std::string::npos);
  const Result narrow = attend_run(Start{base, {}, {{"COLUMNS", "20"}}});
  CHECK(lines_of(narrow.out).size() > lines.size());  // further blocks of columns
}

TEST_CASE("bad input is told by its line, and what came before is answered") {
  const Result utf8 = attend_run({"translate", "--model", model()}, "Nice.\nok\nab\xff\nNice.\n");
  CHECK(utf8.code == 1);
  CHECK(utf8.out == expected("Nice.") + "\n" + expected("ok") + "\n");
  CHECK(utf8.err == "attend: standard input:3: not valid UTF-8\n");
  check_failure_with(attend_run({"translate", "--model", model(), "ab\xff"}), 1, "invalid UTF-8");
  check_failure_with(attend_run({"tokenize", "--model", model(), "ab\xff"}), 1, "invalid UTF-8");
  const Result huge = attend_run({"translate", "--model", model()}, "Nice.\n" + std::string(10'000'000, 'x') + "\n");
  CHECK(huge.code == 1);
  CHECK(huge.out == expected("Nice.") + "\n");
  CHECK(huge.err == "attend: standard input:2: line longer than 1048576 bytes\n");
  const std::string zeros(3, '\0');
  CHECK(attend_run({"translate", "--model", model()}, zeros + "\n").code == 0);
}

TEST_CASE("output that cannot be written") {
  check_failure(attend_run(Start{{"translate", "--model", model(), "Nice."}, {}, {}, "/dev/full"}), 1,
                "standard output: cannot write: No space left on device");
  check_failure(attend_run(Start{{"--help"}, {}, {}, "/dev/full"}), 1,
                "standard output: cannot write: No space left on device");
  check_failure(attend_run(Start{{"translate", "--model", model(), "Nice."}, {}, {}, nullptr, true}), 1,
                "standard output: cannot write: Bad file descriptor");
  Program program({{"translate", "--model", model()}, {}});
  program.close_output();
  for (int i = 0; i < 100; ++i) program.write("Nice.\n");
  const Result gone = program.finish();
  CHECK(gone.code == 0);
  CHECK(gone.err == "");
}

TEST_CASE("tokenize") {
  const Result json = attend_run({"tokenize", "--model", model(), "--json"}, "Nice.\n이름\n");
  const auto lines = lines_of(json.out);
  REQUIRE(lines.size() == 2);
  const Tokenizer tokenizer = Tokenizer::load(model());
  CHECK(Json::parse(lines[0])["ids"] == tokenizer.encode("Nice.").ids);
  CHECK(Json::parse(lines[1])["tokens"] == tokenizer.encode("이름").tokens);
  CHECK(Json::parse(lines[0])["offsets"].back() == Json::array({0, 0}));
  const Result bare =
      attend_run({"tokenize", "--model", model() + "/tokenizer.json", "--json", "--no-special", "Nice."});
  CHECK(Json::parse(bare.out)["ids"] == tokenizer.encode_ids("Nice.", false));
  const auto rows = lines_of(attend_run({"tokenize", "--model", model(), "Nice."}).out);
  CHECK(rows.size() == tokenizer.encode("Nice.").size() + 1);  // and an empty line
}

TEST_CASE("forward writes the model's numbers") {
  const ScratchFolder scratch;
  const std::vector<int64_t> source{5, 6, 7, 0}, target{319, 8, 9}, labels{8, 9, 0};
  save_safetensors(scratch / "in.safetensors", {{"input_ids", Tensor::from<int64_t>({1, 4}, source)},
                                                {"decoder_input_ids", Tensor::from<int64_t>({1, 3}, target)},
                                                {"labels", Tensor::from<int64_t>({1, 3}, labels)}});
  const std::string in = (scratch / "in.safetensors").string(), out = (scratch / "out.safetensors").string();
  const Result result = attend_run(
      {"forward", "--model", model(), "--inputs", in, "--output", out, "--hidden", "--attentions", "--gradients"});
  CHECK(result.err == "");
  REQUIRE(result.code == 0);
  const SafeTensors file = SafeTensors::open(out);
  for (const char* name :
       {"out.logits", "out.loss", "out.decoder_hidden_states.2", "out.cross_attentions.1", "grad.model.shared.weight"})
    CHECK(file.contains(name));
  CHECK(file.tensor("out.logits").shape() == Shape{1, 3, file.tensor("out.logits").size(2)});
  CHECK(result.out.find("out.logits") != std::string::npos);
  check_failure_with(attend_run({"forward", "--model", model(), "--inputs", in, "--output", "no/such/folder/x"}), 1,
                     "no/such/folder");
  save_safetensors(scratch / "in.safetensors", {{"input_ids", Tensor::from<int64_t>({1, 4}, source)}});
  check_failure_with(attend_run({"forward", "--model", model(), "--inputs", in, "--output", out}), 1,
                     "'decoder_input_ids' is missing");
}

TEST_CASE("explain by hand: the notes' numbers, and one's own") {
  const Result notes = attend_run({"explain", "--color", "never"});
  CHECK(notes.code == 0);
  CHECK(notes.err == "");
  for (const char* part : {"[30, 36, 42]", "[1, 2, 3]", "[14, 14, 14]", "[6, 12, 18]"}) {
    CAPTURE(part);
    CHECK(notes.out.find(part) != std::string::npos);
  }
  const Json json = Json::parse(attend_run({"explain", "--json"}).out);
  CHECK(json["attention"]["q"] == Json({{30, 36, 42}}));
  CHECK(json["attention"]["k"] == Json({{1, 2, 3}}));
  CHECK(json["attention"]["v"] == Json({{14, 14, 14}}));
  CHECK(json["column"]["v"] == Json::array({{6, 12, 18}}));
  CHECK(json["sentence"]["words"].size() == 3);
  CHECK(json["sentence"]["attention"]["weights"].size() == 3);

  const Json own = Json::parse(
      attend_run({"explain", "--json", "--x", "1,0;0,1", "--wq", "2,0;0,2", "--wk", "1,0;0,1", "--wv", "1,2;3,4"}).out);
  CHECK(own["attention"]["products"] == Json({{2, 0}, {0, 2}}));
  CHECK(own["attention"]["weights"][0][0].get<double>() == doctest::Approx(1 / (1 + std::exp(-2 / std::sqrt(2)))));
  check_failure_with(attend_run({"explain", "--x", "1,2"}), 1, "W_Q");
}

TEST_CASE("explain in a model") {
  const std::string text = "What is your name?";
  const Result told =
      attend_run({"explain", "--model", model(), text, "--query", "your", "--layer", "1", "--head", "2"});
  CAPTURE(told.err);
  CHECK(told.code == 0);
  CHECK(told.out.find("layer 1 of 0–1, head 2 of 0–3") != std::string::npos);

  const Json json = Json::parse(
      attend_run({"explain", "--model", model(), text, "--query", "your", "--layer", "1", "--head", "2", "--json"})
          .out);
  const Result pieces = attend_run({"explain", "--model", model(), text, "--query", "your", "--pieces"});
  CHECK(pieces.code == 0);
  CHECK(json["query"]["word"] == "your");
  CHECK(json["layer"] == 1);
  CHECK(json["head"] == 2);
  CHECK(json["check"]["agrees"] == true);
  double total = 0;
  for (const Json& weight : json["word_weights"][0]) total += weight.get<double>();
  CHECK(total == doctest::Approx(1).epsilon(1e-4));
  const Result best = attend_run(
      {"explain", "--model", model(), text, "--query", "your", "--best-head", "--high", "What", "--low", "is"});
  CHECK(best.code == 0);

  check_failure_with(attend_run({"explain", "--model", model(), text, "--query", "yours"}), 1, "yours");
  check_failure_with(attend_run({"explain", "--model", model(), text, "--query", "your", "--layer", "9"}), 1, "layer");
  check_failure_with(attend_run({"explain", "--model", "no-such", text, "--query", "your"}), 1, "no-such");
  check_failure_with(attend_run({"explain", "--model", model(), text, "--query", "your", "--best-head", "--high", "cat",
                                 "--low", "is"}),
                     1, "cat");
}

TEST_CASE("evaluate scores a file of pairs") {
  const ScratchFolder scratch;
  const std::string file = (scratch / "pairs.tsv").string();
  const std::string perfect = expected("Nice.");
  write_file(file, "Nice.\t이름\nWhat is your name?\t이름이 뭐예요?\n");
  const Result result = attend_run({"evaluate", "--model", model(), "--data", file, "--to", "ko", "--json"});
  CHECK(result.err == "");
  const Json json = Json::parse(result.out);
  CHECK(json["pairs"] == 2);
  const Translate translate = Translate::load(model());
  TranslateOptions options = translate.defaults();
  options.to = "ko";
  const std::vector<std::string> sources{"Nice.", "What is your name?"}, references{"이름", "이름이 뭐예요?"};
  CHECK(json["loss"].get<double>() == doctest::Approx(translate.loss(sources, references, options).mean()));
  CHECK(json["chrf_signature"].get<std::string>().starts_with("nrefs:1|"));
  const std::string plain = attend_run({"evaluate", "--model", model(), "--data", file}).out;
  check_failure_with(attend_run({"evaluate", "--model", model(), "--data", file, "--to", "en"}), 1,
                     "the sources (--source 1) are en already; perhaps --source 2 --target 1");
  for (const char* part : {"pairs  2", "loss", "BLEU = ", "chrF2 = ", "version:"})
    CHECK(plain.find(part) != std::string::npos);
  write_file(file, "Nice.\n");
  check_failure_with(attend_run({"evaluate", "--model", model(), "--data", file}), 1, "pairs.tsv");
  check_failure_with(attend_run({"evaluate", "--model", model(), "--data", "no-such.tsv"}), 1, "no-such.tsv");
}
