#include "attend/text/normalize/normalizer.hpp"

#include "attend/base/error.hpp"
#include "attend/text/registry.hpp"

namespace attend {
namespace {

class NormalizerSequence : public Normalizer {
 public:
  explicit NormalizerSequence(const json::Json& config) {
    for (const auto& part : json::array_member(config, "normalizers", "normalizer Sequence"))
      parts_.push_back(make_normalizer(part));
    std::erase(parts_, nullptr);
  }

  void apply(const AlignedText& source, size_t begin, size_t end, AlignedText& target) const override {
    if (parts_.empty()) return target.append(source, begin, end);
    AlignedText current(source.aligned()), next(source.aligned());
    current.append(source, begin, end);
    for (size_t i = 0; i + 1 < parts_.size(); ++i) {
      next.clear();
      parts_[i]->apply(current, 0, current.size(), next);
      std::swap(current, next);
    }
    parts_.back()->apply(current, 0, current.size(), target);
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> parts_;
};

std::unique_ptr<Normalizer> make_sequence(const json::Json& config) {
  return std::make_unique<NormalizerSequence>(config);
}

constexpr Registry<Normalizer, 8> normalizers{{{
    {"Sequence", make_sequence},
    {"NFC", make_nfc},
    {"NFD", make_nfd},
    {"NFKC", make_nfkc},
    {"NFKD", make_nfkd},
    {"Lowercase", make_lowercase},
    {"Prepend", make_prepend},
    {"Replace", make_replace_normalizer},
}}};

}  // namespace

std::unique_ptr<Normalizer> make_normalizer(const json::Json& config) { return normalizers.make(config, "normalizer"); }

bool knows_normalizer(std::string_view type) { return normalizers.find(type) != nullptr; }

}  // namespace attend
