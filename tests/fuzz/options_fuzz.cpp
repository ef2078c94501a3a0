// Any bytes as a recipe, a JSON document or flags: they set the options, or a typed error is thrown; what was set can
// be written and read again.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>

#include "attend/base/error.hpp"
#include "attend/base/json.hpp"
#include "attend/base/options.hpp"

namespace {

enum class Kind { noam, cosine };
constexpr auto enum_names(Kind) {
  return std::to_array<attend::EnumName<Kind>>({{Kind::noam, "noam"}, {Kind::cosine, "cosine"}});
}

struct Source {
  std::string path;
  double weight = 1;
  static void fields(auto& self, auto&& f) {
    f("path", self.path);
    f("weight", self.weight, attend::Doc{.min = 0});
  }
};

struct Recipe {
  int steps = 4;
  uint64_t seed = 0;
  bool shuffle = true;
  float rate = 0.1F;
  std::optional<int64_t> limit;
  Kind kind = Kind::noam;
  std::vector<std::string> words;
  std::vector<double> numbers;
  std::vector<Source> data;
  Source source;
  static void fields(auto& self, auto&& f) {
    f("steps", self.steps, attend::Doc{.min = 1, .max = 64});
    f("seed", self.seed);
    f("shuffle", self.shuffle);
    f("rate", self.rate);
    f("limit", self.limit);
    f("kind", self.kind);
    f("words", self.words);
    f("numbers", self.numbers);
    f("data", self.data);
    f("source", self.source);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace attend;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  Recipe recipe;
  const auto options = options_of(recipe);
  try {
    if (bytes[0] % 3 == 0) {
      apply_toml(options, text, "input");
    } else if (bytes[0] % 3 == 1) {
      apply_json(options, parse_json(text, "input"), "input");
    } else {
      std::vector<std::string> arguments;
      std::istringstream lines{std::string(text)};
      for (std::string line; std::getline(lines, line);) arguments.push_back(line);
      apply_flags(options, arguments);
    }
    if (recipe.steps < 1 || recipe.steps > 64 || !(recipe.source.weight >= 0)) std::abort();
    const nlohmann::json written = options_json(options);
    Recipe again;
    apply_json(options_of(again), written, "again");
    if (nlohmann::json(options_json(options_of(again))) != written) std::abort();
    (void)options_help(options, "ko");
  } catch (const FormatError&) {
  } catch (const ConfigError&) {
  }
  return 0;
}
