// Holds the #include lines of src/attend to the layers of the rooms (the list is in cmake/AttendRooms.cmake).
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

using Layers = std::map<std::string, int>;

/// "base=1 kernels=2" as the build gives it.
Layers parse_layers(const std::string& text) {
  Layers layers;
  static const std::regex pair("([a-z_]+)=([0-9]+)");
  for (std::sregex_iterator i(text.begin(), text.end(), pair), end; i != end; ++i) layers[(*i)[1]] = std::stoi((*i)[2]);
  return layers;
}

/// The room of a path relative to the include root: "attend/ops/linear.hpp" → "ops", "attend/attend.hpp" → "".
std::string room_of(const fs::path& path) {
  auto part = path.begin();
  if (part == path.end() || *part != "attend") return "?";
  return std::distance(path.begin(), path.end()) < 3 ? "" : (++part)->string();
}

/// Every line of the sources under `root`/attend that includes what its room may not know, as "file:line: reason".
std::vector<std::string> violations(const fs::path& root, const Layers& layers) {
  static const std::regex include(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
  std::vector<std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(root / "attend")) {
    const std::string extension = entry.path().extension();
    if (extension != ".hpp" && extension != ".cpp" && extension != ".inc" && extension != ".h") continue;
    const fs::path file = entry.path().lexically_relative(root);
    const std::string room = room_of(file);
    if (!room.empty() && !layers.contains(room)) {
      found.push_back(file.string() + ": " + room + " is no room");
      continue;
    }
    std::ifstream stream(entry.path());
    std::string line;
    for (int number = 1; std::getline(stream, line); ++number) {
      std::smatch match;
      if (!std::regex_search(line, match, include)) continue;
      const fs::path name = match[2].str();
      const bool quoted = match[1] == "\"";
      if (!quoted && *name.begin() != "attend") continue;  // the standard library and dependencies
      fs::path target = name;
      if (quoted && fs::exists(entry.path().parent_path() / name)) {
        target = (file.parent_path() / name).lexically_normal();
      }
      const std::string where = file.string() + ":" + std::to_string(number) + ": ";
      const std::string other = room_of(target);
      if (!fs::exists(root / target)) {
        found.push_back(where + name.string() + " does not exist");
      } else if (other == "?" || (!other.empty() && !layers.contains(other))) {
        found.push_back(where + name.string() + " lies in no room");
      } else if (room.empty() || room == other) {
        continue;
      } else if (other.empty()) {
        found.push_back(where + "a room may not include " + name.string() + ", which is everything");
      } else if (layers.at(other) >= layers.at(room)) {
        found.push_back(where + room + " (layer " + std::to_string(layers.at(room)) + ") may not include " + other +
                        " (layer " + std::to_string(layers.at(other)) + ")");
      }
    }
  }
  return found;
}

/// A small source tree that goes away again.
class Tree {
 public:
  Tree() {
    std::string name = (fs::temp_directory_path() / "attend-layers-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    root = name;
  }
  ~Tree() { fs::remove_all(root); }
  void write(const fs::path& name, const std::string& content) const {
    fs::create_directories((root / name).parent_path());
    std::ofstream(root / name) << content;
  }
  fs::path root;
};

}  // namespace

TEST_CASE("every room includes only lower layers and itself") {
  const Layers layers = parse_layers(ATTEND_LAYERS);
  REQUIRE(layers.size() >= 14);
  REQUIRE(layers.at("base") == 1);
  for (const std::string& violation : violations("src", layers)) FAIL_CHECK(violation);
}

TEST_CASE("a wrong include is caught") {
  const Layers layers{{"base", 1}, {"text", 2}, {"metrics", 2}, {"ops", 4}};
  const Tree tree;
  tree.write("attend/attend.hpp", "#include <attend/ops/linear.hpp>\n");
  tree.write("attend/base/error.hpp", "#include <string>\n");
  tree.write("attend/text/bpe.hpp", "#include <attend/base/error.hpp>\n#include \"merge.hpp\"\n");
  tree.write("attend/text/merge.hpp", "#include \"../base/error.hpp\"\n");
  tree.write("attend/metrics/bleu.hpp", "");
  tree.write("attend/ops/linear.hpp", "#include <attend/text/bpe.hpp>\n// #include <attend/attend.hpp>\n");
  CHECK(violations(tree.root, layers).empty());

  const auto only = [&](const fs::path& name, const std::string& text) {
    tree.write(name, text);
    const std::vector<std::string> found = violations(tree.root, layers);
    fs::remove(tree.root / name);
    return found.size() == 1 ? found[0] : std::to_string(found.size()) + " violations";
  };
  CHECK(only("attend/base/up.cpp", "\n #  include <attend/ops/linear.hpp>") ==
        "attend/base/up.cpp:2: base (layer 1) may not include ops (layer 4)");
  CHECK(only("attend/base/up.cpp", "#include \"../text/bpe.hpp\"") ==
        "attend/base/up.cpp:1: base (layer 1) may not include text (layer 2)");
  CHECK(only("attend/base/up.cpp", "#include \"attend/text/bpe.hpp\"") ==
        "attend/base/up.cpp:1: base (layer 1) may not include text (layer 2)");
  CHECK(only("attend/metrics/side.cpp", "#include <attend/text/bpe.hpp>") ==
        "attend/metrics/side.cpp:1: metrics (layer 2) may not include text (layer 2)");
  CHECK(only("attend/ops/all.cpp", "#include <attend/attend.hpp>") ==
        "attend/ops/all.cpp:1: a room may not include attend/attend.hpp, which is everything");
  CHECK(only("attend/ops/gone.cpp", "#include <attend/ops/gone.hpp>") ==
        "attend/ops/gone.cpp:1: attend/ops/gone.hpp does not exist");
  CHECK(only("attend/extras/x.hpp", "") == "attend/extras/x.hpp: extras is no room");
}
