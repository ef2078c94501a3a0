#include <attend/base/error.hpp>
#include <attend/base/near_name.hpp>

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "commands.hpp"
#include "terminal.hpp"

namespace attend::cli {
namespace {

enum ExitCode { done = 0, failed = 1, wrong_usage = 2 };

std::vector<Command> all_commands() {
  return {translate_command(),       evaluate_command(), tokenize_command(), forward_command(), train_command(),
          tokenizer_train_command(), explain_command(),  convert_command(),  bench_command(),   doctor_command()};
}

[[noreturn]] void fail_unknown(std::span<const Command> commands, const std::string& word) {
  std::vector<std::string> names{"help"};
  std::string group;
  for (const Command& command : commands) {
    names.emplace_back(command.name);
    if (command.name.starts_with(word + ' ')) group += fmt::format(" {}", command.name.substr(word.size() + 1));
  }
  if (!group.empty()) throw UsageError(fmt::format("\"{}\" needs one of:{}", word, group));
  const bool flag = word.starts_with("-");
  throw UsageError(fmt::format("unknown {} \"{}\"{}; attend --help lists them", flag ? "flag" : "command", word,
                               suggestion(word, names)));
}

int run(std::vector<std::string> arguments, Output& out) {
  const std::vector<Command> commands = all_commands();
  if (arguments.empty()) {
    fmt::print(stderr, "{}", help_of(commands, language_of_environment()));
    return wrong_usage;
  }
  if (arguments[0] == "--lang" && arguments.size() > 2)  // attend --lang ko COMMAND …
    std::rotate(arguments.begin(), arguments.begin() + 2, arguments.end());
  if (arguments[0] == "help") {  // attend help COMMAND
    std::rotate(arguments.begin(), arguments.begin() + 1, arguments.end());
    arguments.back() = "--help";
  }
  for (auto argument = arguments.begin(); argument != arguments.end() && *argument != "--"; ++argument)
    if (*argument == "-h") *argument = "--help";
  if (arguments[0] == "--help" || arguments[0] == "--lang") {
    Call call(arguments, out);
    call.apply({});
    if (!call.arguments.empty()) fail_unknown(commands, call.arguments[0]);
    out.write(help_of(commands, call.language));
    return done;
  }
  if (arguments[0] == "--version") {
    out.line(fmt::format("attend {}", ATTEND_VERSION));
    return done;
  }
  for (const Command& command : commands) {
    const size_t words = command.name.find(' ') == command.name.npos ? 1 : 2;
    if (arguments.size() < words) continue;
    const std::string given = words == 1 ? arguments[0] : arguments[0] + ' ' + arguments[1];
    if (given != command.name) continue;
    const auto rest = std::span(arguments).subspan(words);
    Call call(rest, out);
    command.run(command, call);
    return done;
  }
  fail_unknown(commands, arguments[0]);
}

/// One line, whatever the message holds.
int complain(std::string_view message, ExitCode code) {
  fmt::print(stderr, "attend: {}\n", printable(message));
  return code;
}

int guarded(std::vector<std::string> arguments) {
  guard_standard_streams();
  Output out;
  try {
    try {
      const int code = run(std::move(arguments), out);
      out.flush();
      return code;
    } catch (...) {
      out.flush();  // what was answered before the error
      throw;
    }
  } catch (const ReaderGone&) {
    return done;
  } catch (const UsageError& error) {
    return complain(error.what(), wrong_usage);
  } catch (const std::bad_alloc&) {
    return complain("out of memory", failed);
  } catch (const std::exception& error) {
    return complain(error.what(), failed);
  }
}

}  // namespace
}  // namespace attend::cli

int main(int count, char** values) { return attend::cli::guarded({values + std::min(count, 1), values + count}); }
