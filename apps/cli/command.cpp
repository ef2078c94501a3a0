#include "command.hpp"

#include <attend/base/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "terminal.hpp"

namespace attend::cli {
namespace {

/// Flags of every command.
struct CommonFlags {
  bool help = false;
  std::string lang, config;

  static void fields(auto& self, auto&& f) {
    f("help", self.help);
    f("lang", self.lang);
    f("config", self.config);
  }
};

constexpr Text usage{"Usage", "사용법"}, example{"Example", "예"}, options_title{"Options", "옵션"},
    commands_title{"Commands", "명령"};
constexpr Text common_help{"Every command: --config FILE.toml (the same options), --lang ko|en, --help.",
                           "모든 명령: --config 파일.toml(같은 옵션), --lang ko|en, --help."};
constexpr Text tagline{"Transformers in C++: train, run and look inside", "C++ 트랜스포머: 학습하고, 쓰고, 들여다보기"};
constexpr Text more_help{"attend COMMAND --help shows its options and an example; --lang ko|en chooses the language.",
                         "attend 명령 --help는 옵션과 예를 보여 줍니다. --lang ko|en으로 언어를 고릅니다."};

}  // namespace

std::string language_of_environment() {
  for (const char* name : {"LC_ALL", "LC_MESSAGES", "LANG"})
    if (const char* value = std::getenv(name); value && *value)
      return std::string_view(value).starts_with("ko") ? "ko" : "en";
  return "en";
}

void Call::apply(std::span<const Option> options) {
  CommonFlags common;
  std::vector<Option> all = options_of(common);
  all.insert(all.end(), options.begin(), options.end());
  try {
    apply_flags(all, given_);  // first of all: they name the recipe
    if (!common.config.empty() && !common.help) apply_recipe(options, common.config);
    apply_environment(options, std::getenv);
    arguments = apply_flags(all, given_);
  } catch (const ConfigError& error) {
    throw UsageError(error.what());
  }
  if (!common.lang.empty() && common.lang != "ko" && common.lang != "en")
    throw UsageError(fmt::format("--lang expects ko or en, not \"{}\"", common.lang));
  language = common.lang.empty() ? language_of_environment() : common.lang;
  help_ = common.help;
}

void Call::check_arguments(const Command& command) const {
  if (command.arguments.empty() && !arguments.empty())
    throw UsageError(fmt::format("{}: unexpected argument \"{}\"", command.name, arguments[0]));
}

std::string help_of(const Command& command, std::span<const Option> options, std::string_view language) {
  return fmt::format("{}\n\n{}: attend {}{}{}\n{}: {}\n\n{}:\n{}\n{}\n", command.summary.in(language),
                     usage.in(language), command.name, command.arguments.empty() ? "" : " ", command.arguments,
                     example.in(language), command.example, options_title.in(language), options_help(options, language),
                     common_help.in(language));
}

std::string help_of(std::span<const Command> commands, std::string_view language) {
  size_t width = 0;
  for (const Command& command : commands) width = std::max(width, command.name.size());
  std::string text =
      fmt::format("attend {}: {}\n\n{}:\n", ATTEND_VERSION, tagline.in(language), commands_title.in(language));
  for (const Command& command : commands)
    text += fmt::format("  {:<{}}  {}\n", command.name, width, command.summary.in(language));
  return text + fmt::format("\n{}\n", more_help.in(language));
}

}  // namespace attend::cli
