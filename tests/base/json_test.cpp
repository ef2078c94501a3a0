#include "attend/base/json.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "attend/base/error.hpp"
#include "attend/base/file.hpp"
#include "base/scratch.hpp"

using namespace attend;

namespace {

std::string error_of(std::string_view bytes) {
  try {
    (void)parse_json(bytes, "x.json");
  } catch (const FormatError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

std::string nested(int depth, bool objects) {
  std::string text;
  for (int i = 0; i < depth; ++i) text += objects ? "{\"a\":" : "[";
  text += '1';
  for (int i = 0; i < depth; ++i) text += objects ? '}' : ']';
  return text;
}

}  // namespace

TEST_CASE("valid JSON is parsed") {
  const auto json = parse_json("\xef\xbb\xbf {\"a\": [1, 2.5, \"\\uac00\", null, true]} ", "x.json");
  CHECK(json["a"][1] == 2.5);
  CHECK(json["a"][2] == "가");
  CHECK(parse_json(nested(64, false), "x").is_array());
  CHECK(parse_json(nested(64, true), "x").is_object());
}

TEST_CASE("depth is bounded") {
  CHECK(error_of(nested(65, false)) == "x.json: JSON nested deeper than 64 levels");
  CHECK(error_of(nested(65, true)) == "x.json: JSON nested deeper than 64 levels");
  CHECK(error_of(std::string(1 << 20, '[')) == "x.json: JSON nested deeper than 64 levels");
}

TEST_CASE("errors have their place and one line") {
  CHECK(error_of("{\n \"a\": }").starts_with("x.json:2:7: not valid JSON: syntax error while parsing value"));
  CHECK(error_of("").starts_with("x.json:1:1: not valid JSON: "));
  CHECK(error_of("{\"a\":1} x").starts_with("x.json:1:9: not valid JSON: "));
  CHECK(error_of("[1,").starts_with("x.json:1:4: not valid JSON: "));
  CHECK(error_of("\"\xff\"").starts_with("x.json:1:2: not valid JSON: "));
  CHECK(error_of("[1e999]").starts_with("x.json: not valid JSON: number overflow"));
  const std::string message = error_of("[\"" + std::string(5000, 'x') + "\n\"]");
  CHECK(message.size() < 300);
  CHECK(message.find('\n') == std::string::npos);
}

TEST_CASE("files are read with a limit") {
  const attend::testing::ScratchFolder folder;
  write_file(folder / "a.json", "{\"a\": 1}");
  CHECK(read_json(folder / "a.json")["a"] == 1);
  CHECK_THROWS_AS((void)read_json(folder / "a.json", 4), FormatError);
  CHECK_THROWS_AS((void)read_json(folder / "b.json"), SystemError);
}
