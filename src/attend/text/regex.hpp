// Regular expressions of tokenizer files (PCRE2 with its just-in-time compiler).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace attend {

/// A compiled pattern over Unicode characters; safe to use from several threads.
class Regex {
 public:
  /// Throws FormatError with the position when the pattern does not compile.
  explicit Regex(std::string_view pattern);

  /// A pattern that matches exactly `text`.
  static Regex literal(std::string_view text);

  /// Calls f(begin, end) for every non-empty match, left to right. Bytes that are not UTF-8 match nothing. Throws
  /// Unsupported when a match needs too much backtracking, so that time stays bounded whatever pattern and text.
  void for_each(std::string_view text, const std::function<void(size_t begin, size_t end)>& f) const;

 private:
  struct Code;
  Regex() = default;
  std::shared_ptr<const Code> code_;
  std::string literal_;  // not empty: a plain string instead of a pattern
};

}  // namespace attend
