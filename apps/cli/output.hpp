// Standard output whose failures are seen: a full disk is an error, a reader that went away the end of the work.
#pragma once

#include <string>
#include <string_view>

namespace attend::cli {

/// The reader of standard output wants no more.
struct ReaderGone {};

/// Gathers text and writes it to standard output.
class Output {
 public:
  /// May write; throws SystemError or ReaderGone.
  void write(std::string_view text);
  void line(std::string_view text) {
    write(text);
    write("\n");
  }
  /// Writes everything out.
  void flush();

 private:
  std::string pending_;
};

/// Opens /dev/null in place of standard streams that are closed, so that no model file takes their numbers, and lets
/// writing to a closed pipe be an error instead of a signal.
void guard_standard_streams();

}  // namespace attend::cli
