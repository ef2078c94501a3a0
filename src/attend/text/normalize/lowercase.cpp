#include "attend/base/unicode.hpp"
#include "attend/text/normalize/normalizer.hpp"

namespace attend {
namespace {

class Lowercase : public Normalizer {
 public:
  void apply(const AlignedText& source, size_t begin, size_t end, AlignedText& target) const override {
    const std::string_view text = source.view(0, end);
    Rewriter out(source, target, begin, end);
    for (size_t i = begin; i < end;) {
      const CodePoint c = code_point_at(text, i);
      if (c.value == 0x130) {  // İ is the one character whose lower case is two
        out.put(U'i', 0);
        out.put(char32_t{0x307}, 1);
      } else if (const char32_t lower = to_lower(c.value); c.valid && lower != c.value) {
        out.put(lower, 0);
      } else {
        out.keep(c.length);
      }
      i += c.length;
    }
  }
};

}  // namespace

std::unique_ptr<Normalizer> make_lowercase(const json::Json&) { return std::make_unique<Lowercase>(); }

}  // namespace attend
