#include "input_lines.hpp"

#include <attend/base/compression.hpp>
#include <attend/base/file.hpp>

#include <poll.h>
#include <unistd.h>

#include <utility>
#include <vector>

namespace attend::cli {

void for_input_lines(const std::function<void(std::span<const std::string>, int64_t)>& answer) {
  constexpr size_t most_lines = 256, most_bytes = 1 << 18;
  std::vector<std::string> waiting;
  size_t bytes = 0;
  int64_t answered = 0;
  const auto answer_waiting = [&] {
    if (waiting.empty()) return;
    const std::vector<std::string> lines = std::exchange(waiting, {});
    bytes = 0;
    answer(lines, answered + 1);
    answered += std::ssize(lines);
  };
  const auto source = [&](char* data, size_t size) {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (poll(&input, 1, 0) == 0) answer_waiting();
    return read_some(STDIN_FILENO, data, size, "standard input");
  };
  LineReader lines(InputStream(source, "standard input"));
  try {
    for (std::string_view line; lines.next(line);) {
      waiting.emplace_back(line);
      bytes += line.size();
      if (waiting.size() >= most_lines || bytes >= most_bytes) answer_waiting();
    }
  } catch (...) {
    answer_waiting();  // nothing is waiting if the answer itself failed
    throw;
  }
  answer_waiting();
}

}  // namespace attend::cli
