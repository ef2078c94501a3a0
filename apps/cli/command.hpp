// What a command of attend is: a name, a help text, flags out of `fields`, a function.
#pragma once

#include <attend/base/options.hpp>

#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "output.hpp"

namespace attend::cli {

/// Wrong usage: exit code 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The same in English and Korean.
struct Text {
  std::string_view en, ko;
  std::string_view in(std::string_view language) const { return language == "ko" && !ko.empty() ? ko : en; }
};

struct Command;

/// A command being run.
class Call {
 public:
  Call(std::span<const std::string> given, Output& output) : out(output), given_(given.begin(), given.end()) {}

  Output& out;
  std::vector<std::string> arguments;  ///< without the flags
  std::string language = "en";         ///< of help and hints: --lang, else LC_ALL, LC_MESSAGES, LANG

  /// Sets options from --config FILE, then ATTEND_… in the environment, then the flags; fills `arguments` and
  /// `language`. May be called again for options that got other defaults. Throws UsageError.
  void apply(std::span<const Option> options);
  bool wants_help() const noexcept { return help_; }
  /// Throws UsageError for arguments of a command that takes none.
  void check_arguments(const Command& command) const;

 private:
  std::vector<std::string> given_;
  bool help_ = false;
};

struct Command {
  std::string_view name;       ///< "translate", "tokenizer train"
  std::string_view arguments;  ///< "[TEXT…]"; empty: it takes none
  Text summary;                ///< one line
  std::string_view example;    ///< a whole command line
  std::function<void(const Command&, Call&)> run;
};

/// A command with its flags: `body` gets them set. `Flags` is a struct with fields.
template <HasFields Flags>
Command make_command(std::string_view name, std::string_view arguments, Text summary, std::string_view example,
                     void (*body)(Flags&, Call&));

/// Help of one command, of all commands.
std::string help_of(const Command& command, std::span<const Option> options, std::string_view language);
std::string help_of(std::span<const Command> commands, std::string_view language);

/// "ko" or "en", by the environment.
std::string language_of_environment();

// ---------------------------------------------------------------------------------------------------------------------

template <HasFields Flags>
Command make_command(std::string_view name, std::string_view arguments, Text summary, std::string_view example,
                     void (*body)(Flags&, Call&)) {
  return {name, arguments, summary, example, [body](const Command& command, Call& call) {
            Flags flags;
            call.apply(options_of(flags));
            if (call.wants_help()) {
              Flags defaults;
              call.out.write(help_of(command, options_of(defaults), call.language));
              return;
            }
            call.check_arguments(command);
            body(flags, call);
          }};
}

}  // namespace attend::cli
