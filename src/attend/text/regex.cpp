#include "attend/text/regex.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "attend/base/error.hpp"
#include "attend/base/unicode.hpp"

namespace attend {
namespace {

// PCRE2 and Oniguruma, which the files are written for, differ in two classes. White space: PCRE2 counts U+180E,
// Unicode's White_Space does not. Word characters: PCRE2 takes all numbers and no marks.
constexpr std::string_view white_space =
    R"(\x09-\x0d\x20\x85\xa0\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view word = R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{24b6}-\x{24e9})";

// Oniguruma counts these too, but not inside of a class.
constexpr std::string_view more_word =
    R"(\xb2\xb3\xb9\xbc-\xbe\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189})";

/// Writes \s, \w and, outside of classes, \S and \W out.
std::string with_oniguruma_classes(std::string_view pattern) {
  std::string result;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char next = pattern[++i];
      const bool negated = next == 'S' || next == 'W';
      const std::string_view characters = next == 's' || next == 'S' ? white_space : word;
      if ((next == 's' || next == 'w') && in_class)
        result.append(characters);
      else if (next == 's' || next == 'w' || (negated && !in_class))
        result.append(negated ? "[^" : "[")
            .append(characters)
            .append(next == 'w' || next == 'W' ? more_word : std::string_view())
            .append("]");
      else
        result.append({'\\', next});
      continue;
    }
    if (c == '[') in_class = true;
    if (c == ']') in_class = false;
    result += c;
  }
  return result;
}

constexpr uint32_t match_limit = 10'000'000;

}  // namespace

struct Regex::Code {
  pcre2_code* code = nullptr;
  pcre2_match_context* context = nullptr;
  std::string pattern;
  ~Code() {
    pcre2_match_context_free(context);
    pcre2_code_free(code);
  }
};

Regex::Regex(std::string_view pattern) {
  auto code = std::make_shared<Code>();
  code->pattern = pattern;
  const std::string text = with_oniguruma_classes(pattern);
  int error = 0;
  PCRE2_SIZE position = 0;
  code->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), PCRE2_UTF | PCRE2_UCP, &error,
                             &position, nullptr);
  if (!code->code) {
    char message[128] = "";
    pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(message), sizeof message);
    fail<FormatError>("regular expression {}: {} at {}", pattern, message, position);
  }
  pcre2_jit_compile(code->code, PCRE2_JIT_COMPLETE);  // where the machine has no JIT the interpreter does the same
  code->context = pcre2_match_context_create(nullptr);
  pcre2_set_match_limit(code->context, match_limit);
  code_ = std::move(code);
}

Regex Regex::literal(std::string_view text) {
  Regex regex;
  regex.literal_ = text;
  return regex;
}

void Regex::for_each(std::string_view text, const std::function<void(size_t, size_t)>& f) const {
  if (!code_) {
    if (literal_.empty()) return;
    for (size_t at = text.find(literal_); at != std::string_view::npos; at = text.find(literal_, at + literal_.size()))
      f(at, at + literal_.size());
    return;
  }
  std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> data(
      pcre2_match_data_create_from_pattern(code_->code, nullptr), pcre2_match_data_free);
  if (!data) throw std::bad_alloc();
  // Each well-formed stretch is matched by itself, checked once here instead of by PCRE2 at every match.
  for (size_t begin = 0; begin < text.size();) {
    const int64_t broken = find_invalid_utf8(text.substr(begin));
    const size_t length = broken < 0 ? text.size() - begin : static_cast<size_t>(broken);
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data() + begin);
    for (size_t at = 0; at < length;) {
      const int found = pcre2_match(code_->code, subject, length, at, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, data.get(),
                                    code_->context);
      if (found == PCRE2_ERROR_NOMATCH) break;
      if (found < 0)
        fail<Unsupported>("regular expression {}: gives up on this text (PCRE2 error {})", code_->pattern, found);
      const PCRE2_SIZE* range = pcre2_get_ovector_pointer(data.get());
      if (range[1] <= at) break;  // \K or a look-behind can end a match before its start: no progress is possible
      f(begin + range[0], begin + range[1]);
      at = range[1];
    }
    begin += length;
    if (begin < text.size()) begin += code_point_at(text, begin).length;
  }
}

}  // namespace attend
