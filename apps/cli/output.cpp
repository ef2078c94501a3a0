#include "output.hpp"

#include <attend/base/file.hpp>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace attend::cli {

void Output::write(std::string_view text) {
  constexpr size_t enough = 1 << 16;
  pending_ += text;
  if (pending_.size() >= enough) flush();
}

void Output::flush() {
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, rest.data(), rest.size());
    if (written >= 0) {
      rest.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN) {  // somebody made the pipe non-blocking
      pollfd waiting{STDOUT_FILENO, POLLOUT, 0};
      poll(&waiting, 1, -1);
    } else if (errno != EINTR) {
      const int error = errno;
      pending_.clear();
      if (error == EPIPE) throw ReaderGone{};
      fail_system("write", "standard output", error);
    }
  }
  pending_.clear();
}

void guard_standard_streams() {
  std::signal(SIGPIPE, SIG_IGN);
  // Read-only for all: writing to a closed output stays an error. open() takes the lowest free number.
  for (int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(stream, F_GETFD) < 0) [[maybe_unused]]
      const int same = open("/dev/null", O_RDONLY);
}

}  // namespace attend::cli
