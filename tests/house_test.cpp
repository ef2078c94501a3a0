// The order of the house, over the tracked files: no path that leads outside, no loose ends, files that fit in a head,
// no code twice.
#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr int most_lines = 700;     // of a source file
constexpr int repeated_lines = 15;  // this many lines of code in a row, twice, are one too many

struct File {
  std::string name;  // relative to the project's root
  std::string text;
};

std::string read_file(const std::string& name) {
  std::ifstream stream(name, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

bool starts_with_any(const std::string& text, std::initializer_list<const char*> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](const char* prefix) { return text.starts_with(prefix); });
}

/// The tracked text files that people wrote: no models, data or recorded inputs.
std::vector<File> tracked_files() {
  std::vector<File> files;
  FILE* pipe = popen("git -c safe.directory=* -c core.quotePath=off ls-files", "r");
  REQUIRE(pipe != nullptr);
  std::string names;
  char buffer[4096];
  while (const size_t count = fread(buffer, 1, sizeof buffer, pipe)) names.append(buffer, count);
  REQUIRE(pclose(pipe) == 0);
  std::istringstream lines(names);
  for (std::string name; std::getline(lines, name);) {
    if (starts_with_any(name, {"pretrained/", "datasets/", "tests/golden/", "tests/fuzz/corpus/"})) continue;
    std::string text = read_file(name);
    if (text.find('\0') == std::string::npos) files.push_back({name, std::move(text)});
  }
  return files;
}

bool is_code(const std::string& name) { return starts_with_any(name, {"src/", "apps/"}); }
bool is_source(const std::string& name) { return name.ends_with(".cpp") || name.ends_with(".hpp"); }

/// Calls visit(line, number) for every line, from 1.
template <class Visit>
void for_lines(const std::string& text, Visit&& visit) {
  std::istringstream stream(text);
  std::string line;
  for (int number = 1; std::getline(stream, line); ++number) visit(line, number);
}

std::vector<std::string> outside_paths(const File& file) {
  // A machine's own folders, and ../ chains that climb out of the project (../shared is the one neighbour).
  static const std::regex absolute(R"((^|[^A-Za-z0-9_./~\-])(/(home|root|Users|work|tmp|opt|mnt|srv)(/|\b)[^\s"'`]*))");
  static const std::regex climbing(R"(((\.\./)+)([A-Za-z0-9_.\-]*))");
  const auto depth = std::count(file.name.begin(), file.name.end(), '/');
  std::vector<std::string> found;
  for_lines(file.text, [&](const std::string& line, int number) {
    const std::string where = file.name + ":" + std::to_string(number) + ": path outside the project: ";
    std::smatch match;
    if (std::regex_search(line, match, absolute)) found.push_back(where + match[2].str());
    for (std::sregex_iterator i(line.begin(), line.end(), climbing), end; i != end; ++i) {
      if ((*i)[1].length() / 3 > depth && (*i)[3] != "shared") found.push_back(where + i->str());
    }
  });
  return found;
}

std::vector<std::string> loose_ends(const File& file) {
  static const std::regex words(
      "\\b(TO"
      "DO|FIX"
      "ME|XX"
      "X)\\b");
  std::vector<std::string> found;
  for_lines(file.text, [&](const std::string& line, int number) {
    if (std::regex_search(line, words)) found.push_back(file.name + ":" + std::to_string(number) + ": loose end");
  });
  return found;
}

std::vector<std::string> too_long(const File& file) {
  const auto lines = std::count(file.text.begin(), file.text.end(), '\n');
  if (lines <= most_lines) return {};
  return {file.name + ": " + std::to_string(lines) + " lines, more than " + std::to_string(most_lines)};
}

/// Runs of `repeated_lines` lines of code that stand in two places. Blank lines, comments, includes and lone brackets
/// do not count.
std::vector<std::string> repeated_code(const std::vector<File>& files) {
  struct Line {
    size_t file;
    int number;
    std::string text;
  };
  std::vector<Line> lines;
  for (size_t index = 0; index < files.size(); ++index) {
    for_lines(files[index].text, [&](const std::string& line, int number) {
      std::string code;
      std::copy_if(line.begin(), line.end(), std::back_inserter(code),
                   [](unsigned char c) { return !std::isspace(c); });
      const bool words = std::any_of(code.begin(), code.end(), [](unsigned char c) { return std::isalnum(c); });
      if (words && !starts_with_any(code, {"//", "#", "using"})) lines.push_back({index, number, code});
    });
  }
  std::map<std::string, size_t> seen;
  std::vector<std::string> found;
  const size_t window = repeated_lines;
  for (size_t i = 0; i + window <= lines.size(); ++i) {
    if (lines[i].file != lines[i + window - 1].file) continue;
    std::string run;
    for (size_t k = i; k < i + window; ++k) run += lines[k].text + '\n';
    const auto [place, fresh] = seen.emplace(run, i);
    const Line &here = lines[i], &there = lines[place->second];
    if (fresh || i < place->second + window) continue;
    found.push_back(files[here.file].name + ":" + std::to_string(here.number) + ": " + std::to_string(repeated_lines) +
                    " lines as in " + files[there.file].name + ":" + std::to_string(there.number));
    i += window - 1;
  }
  return found;
}

void report(const std::vector<std::string>& findings) {
  for (const std::string& finding : findings) FAIL_CHECK(finding);
}

}  // namespace

TEST_CASE("the tracked files keep the order of the house") {
  const std::vector<File> files = tracked_files();
  REQUIRE(files.size() > 10);
  std::vector<File> sources;
  for (const File& file : files) {
    if (file.name != "tests/house_test.cpp") report(outside_paths(file));  // this file names them
    report(loose_ends(file));
    if (!is_code(file.name) || !is_source(file.name)) continue;
    report(too_long(file));
    sources.push_back(file);
  }
  report(repeated_code(sources));
}

TEST_CASE("disorder is caught") {
  CHECK(outside_paths({"docs/a.md", "see ../shared/golden, ../src, https://example.org/home/x and a/tmp/b"}).empty());
  CHECK(outside_paths({"tests/ops/a.cpp", "../../shared and ../../src"}).empty());
  CHECK(outside_paths({"a.md", "in /home/me/x"}).size() == 1);
  CHECK(outside_paths({"a.md", "\"/tmp/x\""}).size() == 1);
  CHECK(outside_paths({"docs/a.md", "../../other"}).size() == 1);
  CHECK(outside_paths({"a.sh", "../other"}).size() == 1);
  CHECK(loose_ends({"a.cpp", std::string("int x;\n// TO") + "DO later"}).size() == 1);
  CHECK(loose_ends({"a.cpp", "METODOLOGY"}).empty());
  CHECK(too_long({"a.cpp", std::string(700, '\n')}).empty());
  CHECK(too_long({"a.cpp", std::string(701, '\n')}).size() == 1);
  std::string block;
  for (int i = 0; i < repeated_lines; ++i) block += "call(" + std::to_string(i) + ");\n";
  CHECK(repeated_code({{"a.cpp", "one();\n" + block}, {"b.cpp", "// why\n  " + block}}).size() == 1);
  CHECK(repeated_code({{"a.cpp", block + "one();\n" + block}}).size() == 1);
  CHECK(repeated_code({{"a.cpp", block}, {"b.cpp", block.substr(block.find('\n'))}}).empty());
}
