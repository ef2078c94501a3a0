// Every tokenizer folder of the golden files whose components exist here; the others are listed as 'not yet'.
#include <doctest/doctest.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "attend/base/error.hpp"
#include "attend/base/file.hpp"
#include "attend/text/tokenizer.hpp"
#include "golden.hpp"

using namespace attend;
using Json = nlohmann::json;

namespace {

std::vector<int32_t> flat(const std::vector<Span>& spans) {
  std::vector<int32_t> numbers;
  for (const Span& span : spans) {
    numbers.push_back(static_cast<int32_t>(span.begin));
    numbers.push_back(static_cast<int32_t>(span.end));
  }
  return numbers;
}

/// Compares each column that `expected` lists; masks and types that it leaves out have their usual value.
void check_encoding(const Encoding& got, const Json& expected) {
  const size_t count = got.size();
  CHECK(Json(got.ids) == expected.at("ids"));
  if (expected.contains("tokens")) CHECK(Json(got.tokens) == expected["tokens"]);
  if (expected.contains("offsets")) CHECK(Json(flat(got.offsets)) == expected["offsets"]);
  if (expected.contains("word_ids")) CHECK(Json(got.word_ids) == expected["word_ids"]);
  if (expected.contains("sequence_ids")) CHECK(Json(got.sequence_ids) == expected["sequence_ids"]);
  CHECK(Json(got.type_ids) == expected.value("type_ids", Json(std::vector<int>(count, 0))));
  CHECK(Json(got.special_mask) == expected.value("special_tokens_mask", Json(std::vector<int>(count, 0))));
  CHECK(Json(got.attention_mask) == expected.value("attention_mask", Json(std::vector<int>(count, 1))));
}

void check_single(const Tokenizer& tokenizer, const Json& record) {
  const auto text = record.at("text").get<std::string>();
  const Encoding encoding = tokenizer.encode(text);
  check_encoding(encoding, record);
  CHECK(tokenizer.encode_ids(text) == encoding.ids);
  const Json plain = tokenizer.encode_ids(text, false);
  if (record.contains("ids_no_special"))
    CHECK(plain == record["ids_no_special"]);
  else if (!record.contains("no_special_unlisted"))
    CHECK(plain == record["ids"]);
  const std::string decoded = tokenizer.decode(encoding.ids, false);
  const std::string skipped = tokenizer.decode(encoding.ids, true);
  CHECK(decoded == record.value("decode", text));
  CHECK(skipped == record.value("decode_skip", decoded));
  CHECK(clean_up_tokenization(skipped) == record.value("decode_skip_cleanup", skipped));
}

void check_truncation(Tokenizer tokenizer, const Json& record) {
  const std::map<std::string, TruncationStrategy> strategies = {{"longest_first", TruncationStrategy::longest_first},
                                                                {"only_first", TruncationStrategy::only_first},
                                                                {"only_second", TruncationStrategy::only_second}};
  tokenizer.set_truncation(Truncation{.max_length = record.at("max_length"),
                                      .stride = record.at("stride"),
                                      .strategy = strategies.at(record.at("strategy")),
                                      .direction = record.at("direction") == "left" ? Side::left : Side::right});
  const auto encode = [&] {
    return record["b"].is_null()
               ? tokenizer.encode(record.at("a").get<std::string>())
               : tokenizer.encode_pair(record.at("a").get<std::string>(), record["b"].get<std::string>());
  };
  if (record.contains("error")) {
    CHECK_THROWS_AS(encode(), Error);
    return;
  }
  const Encoding encoding = encode();
  check_encoding(encoding, record);
  CHECK(encoding.overflowing.size() == record.value("n_overflowing", size_t{0}));
  const Json windows = record.value("overflowing", Json::array());
  for (size_t i = 0; i < windows.size(); ++i) {
    REQUIRE(i < encoding.overflowing.size());
    const Encoding& window = encoding.overflowing[i];
    CHECK(Json(window.ids) == windows[i].at("ids"));
    CHECK(Json(flat(window.offsets)) == windows[i].at("offsets"));
    const Json zeros = std::vector<int>(window.size(), 0), ones = std::vector<int>(window.size(), 1);
    CHECK(Json(window.special_mask) == windows[i].value("special_tokens_mask", zeros));
    CHECK(Json(window.attention_mask) == windows[i].value("attention_mask", ones));
  }
}

void check_padding(Tokenizer tokenizer, const Json& record) {
  const Json& config = record.at("padding");
  Padding padding{.pad_id = config.at("pad_id"),
                  .pad_type_id = config.at("pad_type_id"),
                  .pad_token = config.at("pad_token"),
                  .direction = config.at("direction") == "left" ? Side::left : Side::right};
  if (!config.at("length").is_null()) padding.length = config["length"].get<int32_t>();
  if (!config.at("pad_to_multiple_of").is_null())
    padding.pad_to_multiple_of = config["pad_to_multiple_of"].get<int32_t>();
  tokenizer.set_padding(padding);
  const auto texts = record.at("texts").get<std::vector<std::string>>();
  const std::vector<Encoding> batch = tokenizer.encode_batch(texts);
  REQUIRE(batch.size() == record.at("encodings").size());
  for (size_t i = 0; i < batch.size(); ++i) check_encoding(batch[i], record["encodings"][i]);
}

void check_stream(const Tokenizer& tokenizer, const Json& record) {
  DecodeStream stream(tokenizer, record.value("skip_special_tokens", true));
  Json chunks = Json::array();
  for (const int32_t id : record.at("ids")) {
    const auto chunk = stream.step(id);
    chunks.push_back(chunk ? Json(*chunk) : Json());
  }
  CHECK(chunks == record.at("chunks"));
}

void check_record(const Tokenizer& tokenizer, const Json& record) {
  const std::string kind = record.at("kind");
  if (kind == "single") {
    check_single(tokenizer, record);
  } else if (kind == "pair") {
    check_encoding(tokenizer.encode_pair(record.at("a").get<std::string>(), record.at("b").get<std::string>()), record);
  } else if (kind == "trunc") {
    check_truncation(tokenizer, record);
  } else if (kind == "pad_batch") {
    check_padding(tokenizer, record);
  } else if (kind == "decode") {
    const auto ids = record.at("ids").get<std::vector<int32_t>>();
    CHECK(tokenizer.decode(ids, false) == record.at("decode"));
    CHECK(tokenizer.decode(ids, true) == record.at("decode_skip"));
    CHECK(clean_up_tokenization(tokenizer.decode(ids, true)) == record.at("decode_skip_cleanup"));
  } else if (kind == "stream") {
    check_stream(tokenizer, record);
  } else {
    FAIL("unknown kind of record: " << kind);
  }
}

}  // namespace

TEST_CASE("tokenizers give what Hugging Face tokenizers gives") {
  const auto folder = testing::golden_folder() / "tokenizers";
  if (!std::filesystem::exists(folder)) return;
  int compared = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const auto path = entry.path() / "tokenizer.json";
    if (!std::filesystem::exists(path)) continue;
    const std::string name = entry.path().filename().string();
    const std::string bytes = read_file(path, int64_t{1} << 30);
    if (const auto missing = Tokenizer::missing_components(bytes); !missing.empty()) {
      std::string list;
      for (const std::string& component : missing) list += (list.empty() ? "" : ", ") + component;
      std::cout << "not yet: " << name << " (" << list << ")\n";
      continue;
    }
    CAPTURE(name);
    const Tokenizer tokenizer = Tokenizer::from_json(bytes);
    const Tokenizer again = Tokenizer::from_json(tokenizer.to_json());
    std::ifstream records(entry.path() / "expected.jsonl");
    REQUIRE(records);
    int number = 0;
    for (std::string line; std::getline(records, line);) {
      ++number;
      CAPTURE(number);
      const Json record = Json::parse(line);
      check_record(tokenizer, record);
      if (record.at("kind") == "single")
        CHECK(Json(again.encode(record["text"].get<std::string>()).ids) == record["ids"]);
    }
    CHECK(number > 0);
    ++compared;
  }
  CHECK(compared > 0);
}
