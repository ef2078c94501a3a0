// Normalizers, pre-tokenizers and decoders alone: golden/tokenizers/_components.
#include <doctest/doctest.h>

#include <fstream>
#include <functional>
#include <iostream>

#include "attend/base/unicode.hpp"
#include "attend/text/decode/decoder.hpp"
#include "attend/text/normalize/normalizer.hpp"
#include "attend/text/split/pre_tokenizer.hpp"
#include "golden.hpp"

using namespace attend;
using json::Json;

namespace {

bool knows(const Json& config, const char* parts, bool (*type_is_known)(std::string_view)) {
  if (!type_is_known(config.at("type").get<std::string>())) return false;
  if (config.contains(parts))
    for (const Json& part : config[parts])
      if (!knows(part, parts, type_is_known)) return false;
  return true;
}

/// Runs check(config, case) over all cases of the components that exist here.
void for_each_case(const char* file, const char* parts, bool (*type_is_known)(std::string_view),
                   const std::function<void(const Json&, const Json&)>& check) {
  std::ifstream lines(testing::golden_folder() / "tokenizers" / "_components" / file);
  for (std::string line; std::getline(lines, line);) {
    const Json record = Json::parse(line);
    const Json& config = record.at("config");
    if (!knows(config, parts, type_is_known)) {
      std::cout << "not yet: " << file << ' ' << config.dump() << '\n';
      continue;
    }
    CAPTURE(config.dump());
    for (const Json& one : record.at("cases")) check(config, one);
  }
}

}  // namespace

TEST_CASE("normalizers alone") {
  for_each_case("normalizers.jsonl", "normalizers", knows_normalizer, [](const Json& config, const Json& one) {
    const auto text = one.at(0).get<std::string>();
    AlignedText source(true), target(true);
    source.append_original(text, 0);
    make_normalizer(config)->apply(source, 0, source.size(), target);
    CHECK(target.view() == one.at(1).get<std::string>());
  });
}

TEST_CASE("pre-tokenizers alone") {
  for_each_case("pre_tokenizers.jsonl", "pretokenizers", knows_pre_tokenizer, [](const Json& config, const Json& one) {
    const auto text = one.at(0).get<std::string>();
    Pieces pieces(true);
    pieces.text.append_original(text, 0);
    if (!text.empty()) pieces.list.push_back({0, static_cast<uint32_t>(text.size())});
    make_pre_tokenizer(config)->split(pieces);
    pieces.write_out_byte_level();
    Json got = Json::array();
    for (const Piece& piece : pieces.list) {
      const Span span = pieces.text.origin(piece.begin, piece.end);
      got.push_back(Json::array({std::string(pieces.text.view(piece.begin, piece.end)), span.begin, span.end}));
    }
    CHECK(got == one.at(1));
  });
}

TEST_CASE("decoders alone") {
  for_each_case("decoders.jsonl", "decoders", knows_decoder, [](const Json& config, const Json& one) {
    auto tokens = one.at(0).get<std::vector<std::string>>();
    make_decoder(config)->decode(tokens);
    std::string text;
    for (const std::string& token : tokens) text += token;
    CHECK(text == one.at(1).get<std::string>());
  });
}
