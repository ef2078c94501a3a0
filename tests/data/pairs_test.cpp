#include <attend/base/error.hpp>
#include <attend/base/file.hpp>
#include <attend/data/pairs.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <vector>

#include "base/scratch.hpp"

using namespace attend;
using attend::testing::ScratchFolder;
using Pairs = std::vector<std::pair<std::string, std::string>>;

namespace {

InputStream stream(std::string bytes, std::string name) {
  return InputStream(
      [bytes = std::move(bytes), at = size_t{0}](char* data, size_t size) mutable {
        const size_t count = std::min(size, bytes.size() - at);
        std::copy_n(bytes.data() + at, count, data);
        at += count;
        return count;
      },
      std::move(name));
}

Pairs read(std::string bytes, PairOptions options = {}, PairCounts* counts = nullptr, std::string name = "f.tsv") {
  PairReader reader(stream(std::move(bytes), std::move(name)), std::move(options));
  Pairs pairs;
  PairReader::Pair pair;
  while (reader.next(pair)) pairs.emplace_back(pair.source, pair.target);
  if (counts) *counts = reader.counts();
  return pairs;
}

std::string error_of(std::string bytes, PairOptions options = {}, std::string name = "f.tsv") {
  try {
    read(std::move(bytes), std::move(options), nullptr, std::move(name));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("TSV by number, with and without a header") {
  CHECK(read("a\t가\nb\t나") == Pairs{{"a", "가"}, {"b", "나"}});
  CHECK(read("a\t가\tx\r\nb\t나\ty\r\n", {.source = "3", .target = "1"}) == Pairs{{"x", "a"}, {"y", "b"}});
  CHECK(read("en\tko\na\t가\n", {.header = true}) == Pairs{{"a", "가"}});
  CHECK(read("").empty());
  CHECK(read("", {.header = true}).empty());
}

TEST_CASE("only lines with one of some texts") {
  const std::string text = "en\tko\tfrom\na\t가\tx:one\nb\t나\ty:two\nc\t다\tx:three\n";
  PairCounts counts;
  CHECK(read(text, {.header = true, .only = {"x:"}}, &counts) == Pairs{{"a", "가"}, {"c", "다"}});
  CHECK(counts.others == 1);
  CHECK(counts.pairs == 2);
  CHECK(read(text, {.source = "en", .target = "ko", .only = {"two", "three"}}) == Pairs{{"b", "나"}, {"c", "다"}});
  CHECK(read(text, {.header = true, .only = {"four"}}).empty());
  CHECK(read("{\"en\":\"a\",\"ko\":\"가\",\"from\":\"x\"}\n{\"en\":\"b\",\"ko\":\"나\"}\n",
             {.format = PairFormat::jsonl, .source = "en", .target = "ko", .only = {"\"from\":\"x\""}}) ==
        Pairs{{"a", "가"}});
  // Lines that do not count are not looked at.
  CHECK(read("a\t가\tx\nbroken\n", {.only = {"x"}}, &counts) == Pairs{{"a", "가"}});
  CHECK(counts.bad == 0);
}

TEST_CASE("TSV by name") {
  CHECK(read("en\tko\tsource\na\t가\tx\n", {.source = "en", .target = "ko"}) == Pairs{{"a", "가"}});
  CHECK(read("\xef\xbb\xbfko\ten\n가\ta\n", {.source = "en", .target = "ko"}) == Pairs{{"a", "가"}});
  CHECK(error_of("en\tko\n", {.source = "en", .target = "fr"}) ==
        "f.tsv:1: the header has no column 'fr', only: en, ko");
  CHECK(error_of("", {.source = "en", .target = "ko"}).starts_with("f.tsv: empty"));
  CHECK(error_of("a\tb\n", {.source = "en", .target = "2"}) != "");
  CHECK(error_of("a\tb\n", {.source = "0", .target = "2"}) != "");
}

TEST_CASE("JSON lines: keys, paths of keys, escapes") {
  const std::string line = R"({"en": "say \"hi\"\n", "ko": "\uac00", "x": [1, {}]})";
  CHECK(read(line + "\n\n" + line, {.source = "en", .target = "ko"}, nullptr, "f.jsonl.gz") ==
        Pairs{{"say \"hi\"\n", "가"}, {"say \"hi\"\n", "가"}});
  CHECK(read(R"({"translation": {"en": "a", "ko": "b"}, "a.b": "c"})",
             {.format = PairFormat::jsonl, .source = "translation.ko", .target = "a.b"}) == Pairs{{"b", "c"}});
  const PairOptions options{.source = "en", .target = "ko"};
  CHECK(error_of(R"({"en": "a"})", options, "f.jsonl") == "f.jsonl:1: there is no 'ko' in the object");
  CHECK(error_of(R"({"en": "a", "ko": 1})", options, "f.jsonl") == "f.jsonl:1: 'ko' is not a string");
  CHECK(error_of("\n[]", options, "f.jsonl") == "f.jsonl:2: not a JSON object");
  CHECK(error_of("{\"en\":", options, "f.jsonl") == "f.jsonl:1: not a JSON object");
  CHECK(error_of(std::string(5000, '['), options, "f.jsonl") == "f.jsonl:1: not a JSON object");
}

TEST_CASE("bad lines: an error with file and line, or skipped and counted") {
  const std::string bytes = "a\tb\nc\nd\te\tf\n\xff\tg\n" + std::string(100, 'x') + "\ty\nh\ti\n";
  const auto options = [](OnBad on_bad) { return PairOptions{.on_bad = on_bad, .max_line_bytes = 50}; };
  CHECK(error_of(bytes, options(OnBad::error)) == "f.tsv:2: 1 columns, 2 expected");
  PairCounts counts;
  CHECK(read(bytes, options(OnBad::skip), &counts) == Pairs{{"a", "b"}, {"h", "i"}});
  CHECK(counts.pairs == 2);
  CHECK(counts.bad == 4);
  CHECK(counts.first_bad == "f.tsv:2: 1 columns, 2 expected");
  CHECK(error_of("a\tb\n\xc3\x28\tc\n") == "f.tsv:2: not valid UTF-8");
  CHECK(error_of("a\n") == "f.tsv:1: 1 columns, but column 2 is asked for");
  CHECK(error_of(std::string(10 << 20, 'x') + "\ty\n") == "f.tsv:1: line longer than 1048576 bytes");
  CHECK(read(std::string(10 << 20, 'x') + "\ty\na\tb\n", {.on_bad = OnBad::skip}) == Pairs{{"a", "b"}});
  // Without any newline memory would grow with the file: refused even when bad lines are skipped.
  CHECK(error_of(std::string(65 << 20, 'x'), {.on_bad = OnBad::skip}) != "");
}

TEST_CASE("empty sides are skipped and counted") {
  PairCounts counts;
  CHECK(read("a\tb\n\n\tc\nd\t \n\t\ne\tf\n", {}, &counts) == Pairs{{"a", "b"}, {"e", "f"}});
  CHECK(counts.empty == 4);
  CHECK(counts.bad == 0);
  CHECK(read(R"({"1": "", "2": "x"})", {}, &counts, "f.ndjson").empty());
  CHECK(counts.empty == 1);
}

TEST_CASE("compressed files") {
  ScratchFolder folder;
  for (const std::string tool : {"gzip", "xz", "zstd"}) {
    const auto path = folder / ("f.tsv." + tool);
    if (std::system(("command -v " + tool + " >/dev/null").c_str()) != 0) continue;
    REQUIRE(std::system(("printf 'a\\t가\\nb\\t나\\n' | " + tool + " -c > " + path.string()).c_str()) == 0);
    PairReader reader(path);
    PairReader::Pair pair;
    CHECK(reader.next(pair));
    CHECK(reader.next(pair));
    CHECK(pair.target == "나");
    CHECK(!reader.next(pair));
  }
  CHECK_THROWS_AS(PairReader(folder / "absent.tsv"), SystemError);
}
