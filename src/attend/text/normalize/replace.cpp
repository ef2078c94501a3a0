#include "attend/text/normalize/normalizer.hpp"
#include "attend/text/pattern.hpp"

namespace attend {
namespace {

class Replace : public Normalizer {
 public:
  explicit Replace(const json::Json& config)
      : pattern_(read_pattern(config, "normalizer Replace")),
        content_(json::string_member(config, "content", "normalizer Replace")) {}

  void apply(const AlignedText& source, size_t begin, size_t end, AlignedText& target) const override {
    size_t done = begin;
    pattern_.for_each(source.view(begin, end), [&](size_t match_begin, size_t match_end) {
      target.append(source, done, begin + match_begin);
      target.append(content_, source.origin(begin + match_end - 1));
      done = begin + match_end;
    });
    target.append(source, done, end);
  }

 private:
  Regex pattern_;
  std::string content_;
};

}  // namespace

std::unique_ptr<Normalizer> make_replace_normalizer(const json::Json& config) {
  return std::make_unique<Replace>(config);
}

}  // namespace attend
