#include <attend/base/file.hpp>
#include <attend/io/config.hpp>

#include <doctest/doctest.h>

#include "base/scratch.hpp"

using namespace attend;

namespace {

Config config(const char* text) { return Config(nlohmann::json::parse(text), "config.json"); }

template <class F>
std::string error_of(F&& action) {
  try {
    action();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("typed reading") {
  const Config c = config(
      R"({"width": 512, "rate": 0.1, "whole": 3, "name": "바닐라", "tied": true, "none": null, "eos": [0, 2], "one": 7})");
  CHECK(c.require<int>("width") == 512);
  CHECK(c.require<float>("rate") == doctest::Approx(0.1));
  CHECK(c.require<double>("whole") == 3.0);
  CHECK(c.require<std::string>("name") == "바닐라");
  CHECK(c.require<bool>("tied"));
  CHECK(!c.optional<int>("none"));
  CHECK(c.value_or("absent", 5) == 5);
  CHECK(c.value_or<std::string>("name", "x") == "바닐라");
  CHECK(c.one_or_more<int64_t>("eos") == std::vector<int64_t>{0, 2});
  CHECK(c.one_or_more<int64_t>("one") == std::vector<int64_t>{7});
  CHECK(c.one_or_more<int64_t>("absent").empty());
  CHECK(c.first_of({"n_embd", "width", "d_model"}) == "width");
  CHECK(c.has("one"));
  CHECK(!c.has("none"));
}

TEST_CASE("errors name the file, the key and the value") {
  const Config c = config(
      R"({"a": "x", "n": 3000000000, "f": 1.5, "list": [1, "2"], "o": {"p": {"q": -1}}, "big": 18446744073709551615})");
  CHECK(error_of([&] { c.require<int>("width"); }) == "config.json: width is missing");
  CHECK(error_of([&] { c.require<int>("a"); }) == "config.json: a is \"x\", not a whole number");
  CHECK(error_of([&] { c.require<int>("f"); }) == "config.json: f is 1.5, not a whole number");
  CHECK(error_of([&] { c.require<int>("n"); }) ==
        "config.json: n is 3000000000, not a whole number in [-2147483648, 2147483647]");
  CHECK(c.require<int64_t>("n") == 3000000000);
  CHECK(error_of([&] { c.require<int64_t>("big"); }) != "");
  CHECK(error_of([&] { c.require<bool>("a"); }) == "config.json: a is \"x\", not true or false");
  CHECK(error_of([&] { c.require<float>("a"); }) == "config.json: a is \"x\", not a number");
  CHECK(error_of([&] { c.require<std::string>("f"); }) == "config.json: f is 1.5, not a string");
  CHECK(error_of([&] { c.require<std::vector<int>>("list"); }) == "config.json: list[1] is \"2\", not a whole number");
  CHECK(error_of([&] { c.object("o").object("p").require<bool>("q"); }) ==
        "config.json: o.p.q is -1, not true or false");
  CHECK(error_of([&] { c.object("o").require<int>("z"); }) == "config.json: o.z is missing");
  CHECK(error_of([&] { c.object("a"); }) == "config.json: a is \"x\", not an object");
  CHECK(error_of([&] { c.first_of({"x", "y"}); }) == "config.json: x or y is missing");
  CHECK(error_of([&] { c.reject("f", "below 1"); }) == "config.json: f is 1.5, not below 1");
  CHECK(error_of([&] { config("[]"); }) == "config.json: not a JSON object");
  CHECK(error_of([&] {
          config(R"({"k": "가가가가가가가가가가가가가가가가가가가가가가가가가가가가가가가"})").require<int>("k");
        }).ends_with("가…, not a whole number"));
}

TEST_CASE("keys nobody asked for are listed") {
  const Config c = config(R"({"a": 1, "b": {"c": 2, "d": 3}, "e": null})");
  c.value_or("a", 0);
  c.value_or("e", 0);
  const Config b = c.object("b");
  b.value_or("d", 0);
  CHECK(c.unknown_keys().empty());
  CHECK(b.unknown_keys() == std::vector<std::string>{"b.c"});
}

TEST_CASE("files: round trip and hostile contents") {
  attend::testing::ScratchFolder folder;
  const nlohmann::json value = {{"model_type", "marian"}, {"d_model", 512}, {"note", "한글"}};
  write_json_file(folder / "config.json", value);
  CHECK(Config::read(folder / "config.json").json() == value);
  CHECK(read_file(folder / "config.json", 1000).find("한글") != std::string::npos);
  CHECK_THROWS_AS(write_json_file(folder / "config.json", {{"x", "\xff"}}), FormatError);
  CHECK(Config::read(folder / "config.json").json() == value);
  for (const char* text : {"", "{", "{\"a\":}", "\xff", "{\"a\":1}x"}) {
    CAPTURE(text);
    write_file(folder / "bad.json", text);
    CHECK_THROWS_AS(Config::read(folder / "bad.json"), FormatError);
  }
  write_file(folder / "bad.json", std::string(100000, '['));
  CHECK_THROWS_AS(Config::read(folder / "bad.json"), FormatError);
  write_file(folder / "bad.json", "[1]");
  CHECK_THROWS_AS(Config::read(folder / "bad.json"), ConfigError);
  CHECK_THROWS_AS(Config::read(folder / "absent.json"), SystemError);
}
