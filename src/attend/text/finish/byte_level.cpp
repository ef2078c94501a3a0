#include <algorithm>

#include "attend/base/unicode.hpp"
#include "attend/text/byte_level.hpp"
#include "attend/text/finish/post_processor.hpp"

namespace attend {
namespace {

bool is_space(char32_t c) { return c == byte_level_characters[' '] || is_white_space(c); }

/// Takes the spaces at the ends of a token out of its offsets; the ids stay.
class ByteLevelFinish : public PostProcessor {
 public:
  explicit ByteLevelFinish(const json::Json& config)
      : add_prefix_space_(json::bool_member_or(config, "add_prefix_space", "post_processor ByteLevel", true)),
        trim_offsets_(json::bool_member_or(config, "trim_offsets", "post_processor ByteLevel", true)) {}

  int32_t added_tokens(bool) const override { return 0; }

  void process(std::vector<Encoding>& parts, bool) const override {
    if (!trim_offsets_) return;
    for (Encoding& part : parts) {
      trim(part);
      for (Encoding& window : part.overflowing) trim(window);
    }
  }

 private:
  void trim(Encoding& encoding) const {
    for (size_t i = 0; i < encoding.offsets.size(); ++i) {
      const std::string& token = encoding.tokens[i];
      Span& span = encoding.offsets[i];
      uint32_t leading = 0, trailing = 0;
      for (size_t at = 0; at < token.size(); ++leading) {
        const CodePoint c = code_point_at(token, at);
        if (!is_space(c.value)) break;
        at += c.length;
      }
      for (size_t end = token.size(); end > 0; ++trailing) {
        const size_t begin = previous_code_point(token, end);
        if (!is_space(code_point_at(token, begin).value)) break;
        end = begin;
      }
      // A prefix space that the pre-tokenizer put before the text has no character of its own to leave out.
      if (leading > 0 && add_prefix_space_ && (i == 0 || span.begin == 0)) --leading;
      if (leading > 0) span.begin = std::min(span.begin + leading, span.end);
      if (trailing > 0 && span.end >= trailing) span.end = std::max(span.end - trailing, span.begin);
    }
  }

  bool add_prefix_space_;
  bool trim_offsets_;
};

}  // namespace

std::unique_ptr<PostProcessor> make_byte_level_finish(const json::Json& config) {
  return std::make_unique<ByteLevelFinish>(config);
}

}  // namespace attend
