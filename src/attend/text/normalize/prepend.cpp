#include "attend/text/normalize/normalizer.hpp"

namespace attend {
namespace {

/// Puts a fixed string before any non-empty text.
class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}

  void apply(const AlignedText& source, size_t begin, size_t end, AlignedText& target) const override {
    if (begin == end) return;
    target.append(prefix_, source.origin(begin));
    target.append(source, begin, end);
  }

 private:
  std::string prefix_;
};

}  // namespace

std::unique_ptr<Normalizer> make_prepend(const json::Json& config) {
  return std::make_unique<Prepend>(json::string_member(config, "prepend", "normalizer Prepend"));
}

}  // namespace attend
