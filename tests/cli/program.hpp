// The attend binary as a user runs it.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace attend::testing {

struct Result {
  int code = -1;  // exit code, or 128 + signal
  std::string out, err;
};

struct Start {
  std::vector<std::string> arguments;
  std::string input;
  std::vector<std::pair<std::string, std::string>> environment = {};
  const char* output_file = nullptr;  // instead of the pipe that is read
  bool close_output = false;          // standard output is closed from the start
  bool keep_input_open = false;
};

/// A running program; the test writes to it and reads from it as it likes.
class Program {
 public:
  explicit Program(const Start& start) {
    const char* binary = std::getenv("ATTEND_BINARY");
    if (!binary) throw std::runtime_error("ATTEND_BINARY is not set");
    int in[2], out[2], err[2];
    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) throw std::runtime_error("no pipe");
    child_ = fork();
    if (child_ == 0) {
      dup2(in[0], STDIN_FILENO);
      dup2(out[1], STDOUT_FILENO);
      dup2(err[1], STDERR_FILENO);
      if (start.output_file) {
        const int file = open(start.output_file, O_WRONLY);
        dup2(file, STDOUT_FILENO);
      }
      if (start.close_output) close(STDOUT_FILENO);
      for (const char* name : {"ATTEND_HOME", "ATTEND_MODEL", "LC_ALL", "LC_MESSAGES", "LANG", "NO_COLOR", "COLORTERM",
                               "COLUMNS", "ATTEND_TO"})
        unsetenv(name);
      setenv("ATTEND_THREADS", "1", 1);
      for (const auto& [name, value] : start.environment) setenv(name.c_str(), value.c_str(), 1);
      std::vector<char*> values{const_cast<char*>(binary)};
      for (const std::string& argument : start.arguments) values.push_back(const_cast<char*>(argument.c_str()));
      values.push_back(nullptr);
      execv(binary, values.data());
      _exit(127);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    in_ = in[1];
    out_ = out[0];
    err_ = err[0];
    fcntl(in_, F_SETFL, O_NONBLOCK);
  }
  ~Program() {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
    for (int* file : {&in_, &out_, &err_}) shut(*file);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void write(std::string_view text) { pending_ += text; }
  void close_input() { close_when_written_ = true; }
  void close_output() { shut(out_); }

  /// Passes input on and takes output in until done() or the program's end; false after a minute and a half.
  template <class Done>
  bool pump(Done&& done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(90);
    while (!done()) {
      if (pending_.empty() && close_when_written_) shut(in_);
      pollfd files[3] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}, {pending_.empty() ? -1 : in_, POLLOUT, 0}};
      if (out_ < 0 && err_ < 0) return true;
      if (std::chrono::steady_clock::now() > deadline) return false;
      poll(files, 3, 100);
      if (files[0].revents) take(out_, result_.out);
      if (files[1].revents) take(err_, result_.err);
      if (files[2].revents) {
        const ssize_t written = ::write(in_, pending_.data(), pending_.size());
        if (written > 0)
          pending_.erase(0, static_cast<size_t>(written));
        else if (errno != EAGAIN)
          pending_.clear(), shut(in_);
      }
    }
    return true;
  }

  const std::string& out() const { return result_.out; }

  Result finish() {
    close_input();
    REQUIRE(pump([] { return false; }));
    int status = 0;
    waitpid(std::exchange(child_, -1), &status, 0);
    result_.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return result_;
  }

 private:
  static void shut(int& file) {
    if (file >= 0) close(std::exchange(file, -1));
  }
  static void take(int& file, std::string& to) {
    char buffer[65536];
    const ssize_t count = read(file, buffer, sizeof buffer);
    if (count > 0)
      to.append(buffer, static_cast<size_t>(count));
    else
      shut(file);
  }

  pid_t child_ = -1;
  int in_ = -1, out_ = -1, err_ = -1;
  std::string pending_;
  bool close_when_written_ = false;
  Result result_;
};

inline Result attend_run(const Start& start) {
  Program program(start);
  program.write(start.input);
  return program.finish();
}

inline Result attend_run(std::vector<std::string> arguments, std::string input = {}) {
  return attend_run(Start{std::move(arguments), std::move(input)});
}

}  // namespace attend::testing
