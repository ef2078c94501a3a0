// How explain writes numbers, and the explanation of attention by small numbers.
#pragma once

#include <fmt/format.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "command.hpp"
#include "terminal.hpp"

namespace attend {
struct AttentionSteps;
struct ProjectionExample;
}  // namespace attend

namespace attend::cli {

/// 30, 0.6285, -1.5, 2.4e+09: at most four digits behind the point.
std::string number(double value);

/// [1, 2, 3]; beyond `most` numbers [1, 2, …].
template <class T>
std::string numbers(std::span<const T> values, size_t most = static_cast<size_t>(-1)) {
  std::string text;
  for (size_t i = 0; i < values.size() && i < most; ++i)
    text += (i ? ", " : "") + number(static_cast<double>(values[i]));
  return '[' + text + (values.size() > most ? ", …]" : "]");
}

/// A bar for a weight between 0 and 1.
std::string bar(double weight, Colors colors);

/// The widest of the labels in columns of a terminal.
int widest(const std::vector<std::string>& labels);

/// Writes lines in the language of the call.
class Teller {
 public:
  Teller(Call& call, Colors colors) : colors(colors), call_(call) {}

  template <class... Args>
  void say(Text text, const Args&... args) const {
    line(fmt::format(fmt::runtime(text.in(call_.language)), args...));
  }
  void line(std::string_view text) const {  // without spaces at its end
    call_.out.line(text.substr(0, text.find_last_not_of(' ') + 1));
  }
  std::string_view language() const { return call_.language; }

  const Colors colors;

 private:
  Call& call_;
};

/// x becomes q, k and v, every multiplication shown. `notes`: it is the study notes' example, which deserves a remark.
void tell_projection(const Teller& teller, const ProjectionExample& example, bool notes);

/// The four steps for the last of the words with every number, then all words as matrices.
void tell_attention(const Teller& teller, const std::vector<std::string>& words, const AttentionSteps& steps);

}  // namespace attend::cli
