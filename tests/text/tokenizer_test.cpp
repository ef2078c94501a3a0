#include "attend/text/tokenizer.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "attend/base/error.hpp"

using namespace attend;
using Json = nlohmann::json;

namespace {

Json small_tokenizer() {
  return Json::parse(R"({
    "version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [{"id": 8, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false,
                      "normalized": false, "special": true}],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
    "post_processor": null,
    "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
    "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
              "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
              "vocab": {"a": 0, "b": 1, "c": 2, "Ġ": 3, "ab": 4, "abc": 5, "Ġa": 6, "bc": 7},
              "merges": ["a b", "ab c", "Ġ a", "b c"]}})");
}

Tokenizer make(const Json& json) { return Tokenizer::from_json(json.dump()); }

std::string error_of(const Json& json) {
  try {
    make(json);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("the lowest rank merges first, leftmost first") {
  const Tokenizer tokenizer = make(small_tokenizer());
  CHECK(tokenizer.encode_ids("abc") == std::vector<int32_t>{5});
  CHECK(tokenizer.encode_ids("bcab") == std::vector<int32_t>{7, 4});
  CHECK(tokenizer.encode_ids(" abc") == std::vector<int32_t>{3, 5});
  CHECK(tokenizer.encode_ids(" aabc") == std::vector<int32_t>{6, 5});
  CHECK(tokenizer.encode_ids("") == std::vector<int32_t>{});
  CHECK(tokenizer.vocab_size() == 9);
}

TEST_CASE("short and long words merge alike") {
  const Tokenizer tokenizer = make(small_tokenizer());
  std::string text;
  for (int length = 1; length < 200; ++length) {
    text += "abcacb"[length * length % 6];
    const auto ids = tokenizer.encode_ids(text);
    // Greedy by rank: every "ab" first, then "abc", then "bc".
    std::vector<int32_t> expected;
    for (size_t i = 0; i < text.size();) {
      const std::string_view rest = std::string_view(text).substr(i);
      const std::pair<std::string_view, int32_t> tokens[] = {{"abc", 5}, {"ab", 4}, {"bc", 7},
                                                             {"a", 0},   {"b", 1},  {"c", 2}};
      for (const auto& [token, id] : tokens)
        if (rest.starts_with(token)) {
          expected.push_back(id);
          i += token.size();
          break;
        }
    }
    CHECK(ids == expected);
  }
}

TEST_CASE("ids_only gives the same ids, truncation and padding included") {
  Tokenizer tokenizer = make(small_tokenizer());
  tokenizer.set_truncation(Truncation{.max_length = 3});
  tokenizer.set_padding(Padding{.length = 6, .pad_id = 8, .pad_token = "</s>"});
  for (const std::string text : {"", "a", "abc abc abc abc", "</s>ab"}) {
    CHECK(tokenizer.encode(text, {.ids_only = true}).ids == tokenizer.encode(text).ids);
    CHECK(tokenizer.encode(text, {.ids_only = true}).tokens.empty());
    CHECK(tokenizer.encode(text).ids.size() == 6);
  }
}

TEST_CASE("truncation and padding of a file are read, applied and kept") {
  Json json = small_tokenizer();
  json["truncation"] = {{"direction", "Left"}, {"max_length", 2}, {"strategy", "OnlyFirst"}, {"stride", 1}};
  json["padding"] = {{"strategy", {{"Fixed", 4}}}, {"direction", "Left"}, {"pad_to_multiple_of", 3}, {"pad_id", 8},
                     {"pad_type_id", 1},           {"pad_token", "</s>"}};
  const Tokenizer tokenizer = make(json);
  CHECK(tokenizer.encode("a b c").ids == std::vector<int32_t>{8, 8, 8, 8, 3, 2});
  CHECK(Json::parse(tokenizer.to_json())["truncation"] == json["truncation"]);
  CHECK(Json::parse(tokenizer.to_json())["padding"] == json["padding"]);
}

TEST_CASE("streams give out whole characters and keep what is left for finish()") {
  Json json = small_tokenizer();
  // "é" is C3 A9: the characters Ã and ©.
  json["model"]["vocab"]["Ã"] = 9;
  json["model"]["vocab"]["©"] = 10;
  const Tokenizer tokenizer = make(json);
  DecodeStream stream(tokenizer);
  CHECK(stream.step(5) == "abc");
  CHECK(stream.step(8) == std::nullopt);  // special
  CHECK(stream.step(9) == std::nullopt);
  CHECK(stream.step(10) == "é");
  CHECK(stream.step(9) == std::nullopt);
  CHECK(stream.finish() == "\uFFFD");
  CHECK(stream.finish() == "");
  CHECK(stream.step(4) == "ab");
  CHECK(tokenizer.decode(std::vector<int32_t>{5, 77, -3, 8, 9}) == "abc\uFFFD");
  CHECK(tokenizer.decode(std::vector<int32_t>{5, 8}, false) == "abc</s>");
}

TEST_CASE("a byte-level step before another one is written out") {
  Json json = small_tokenizer();
  json["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {json["pre_tokenizer"],
        {{"type", "Split"}, {"pattern", {{"String", "Ġ"}}}, {"behavior", "Isolated"}, {"invert", false}}}}};
  const Encoding encoding = make(json).encode("ab abc");
  CHECK(encoding.ids == std::vector<int32_t>{4, 3, 5});
  CHECK(encoding.offsets == std::vector<Span>{{0, 2}, {2, 3}, {3, 6}});
  CHECK(encoding.word_ids == std::vector<int32_t>{0, 1, 2});
}

TEST_CASE("merges are told by their ids, in the order of their ranks") {
  CHECK(make(small_tokenizer()).merges() == std::vector<TokenMerge>{{0, 1, 4}, {4, 2, 5}, {3, 0, 6}, {1, 2, 7}});
}

TEST_CASE("several threads share one tokenizer") {
  const Tokenizer tokenizer = make(small_tokenizer());
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        const std::string text = std::string(static_cast<size_t>((i + t) % 7 + 1), 'a') + "bc ab";
        if (tokenizer.decode(tokenizer.encode_ids(text)) != text) ++wrong;
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("broken files give one clear line") {
  CHECK_THROWS_AS(Tokenizer::from_json(""), FormatError);
  CHECK_THROWS_AS(Tokenizer::from_json("[1, 2]"), FormatError);
  CHECK_THROWS_AS(Tokenizer::from_json(std::string(100000, '[')), FormatError);
  CHECK_THROWS_AS(Tokenizer::from_json("{}"), FormatError);
  CHECK_THROWS_AS(Tokenizer::load("/nonexistent/tokenizer.json"), SystemError);

  struct Case {
    const char* pointer;
    Json value;
    const char* error;
  };
  const Case cases[] = {
      {"/pre_tokenizer/type", "Sky", "tokenizer: pre_tokenizer type Sky is not supported"},
      {"/pre_tokenizer", {{"no", 1}}, "pre_tokenizer: \"type\" is missing"},
      {"/pre_tokenizer/use_regex", 3, "pre_tokenizer ByteLevel: \"use_regex\" must be true or false, got number"},
      {"/decoder/type", "Sky", "tokenizer: decoder type Sky is not supported"},
      {"/normalizer", {{"type", "Sky"}}, "tokenizer: normalizer type Sky is not supported"},
      {"/post_processor", {{"type", "Sky"}}, "tokenizer: post_processor type Sky is not supported"},
      {"/model/type", "Sky", "tokenizer: model type Sky is not supported"},
      {"/model/merges/1", "ab x", "tokenizer: merge 1 \"ab\" + \"x\": \"x\" is not in the vocabulary"},
      {"/model/merges/1", 7, "model BPE: a merge must be \"left right\" or [\"left\", \"right\"], got 7"},
      {"/model/vocab/a", -1, "tokenizer: id -1 of token a is outside 0 … 16777215"},
      {"/model/vocab/a", 99999999999, "tokenizer: id 99999999999 of token a is outside 0 … 16777215"},
      {"/model/unk_token", "<unk>", "tokenizer: unk_token <unk> is not in the vocabulary"},
      {"/model/dropout", 0.1, "model BPE: dropout 0.1 would make ids random; set it to null"},
      {"/added_tokens/0/id", -5, "tokenizer added_tokens: \"id\" is -5, outside 0 … 2147483647"},
      {"/added_tokens/0/id", 2000000000, "tokenizer: added token </s> has id 2000000000, outside 0 … 16777215"},
      {"/normalizer",
       {{"type", "Replace"}, {"pattern", {{"Regex", "("}}}, {"content", ""}},
       "regular expression (: missing closing parenthesis at 1"},
  };
  for (const Case& c : cases) {
    Json json = small_tokenizer();
    json[Json::json_pointer(c.pointer)] = c.value;
    CHECK(error_of(json) == c.error);
  }
  Json json = small_tokenizer();
  json["decoder"] = {{"type", "Sequence"}, {"decoders", {{{"type", "Sky"}}}}};
  json["model"]["type"] = "Sea";
  CHECK(Tokenizer::missing_components(json.dump()) == std::vector<std::string>{"decoder Sky", "model Sea"});
}

TEST_CASE("an error names the file") {
  const auto path = std::filesystem::temp_directory_path() / "attend_broken_tokenizer.json";
  std::ofstream(path) << "{}";
  CHECK_THROWS_WITH_AS(Tokenizer::load(path), (path.string() + ": tokenizer: \"model\" is missing").c_str(),
                       FormatError);
  std::filesystem::remove(path);
}

TEST_CASE("a pattern that backtracks without end gives an error, not a hang") {
  Json json = small_tokenizer();
  json["normalizer"] = {{"type", "Replace"}, {"pattern", {{"Regex", "(a+a+)+[bd]"}}}, {"content", "x"}};
  const Tokenizer tokenizer = make(json);
  CHECK_THROWS_AS(tokenizer.encode(std::string(5000, 'a') + "c"), Unsupported);
}

TEST_CASE("clean-up takes out spaces before punctuation") {
  CHECK(clean_up_tokenization("it 's . do n't ! a , b ? we 've") == "it's. don't! a, b? we've");
  CHECK(clean_up_tokenization("") == "");
}
