// Stage 1 of a tokenizer: rewrite the text ("normalizer" of tokenizer.json).
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "attend/text/aligned_text.hpp"
#include "attend/text/json.hpp"

namespace attend {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  /// Appends the normalised [begin, end) of `source` to `target`.
  virtual void apply(const AlignedText& source, size_t begin, size_t end, AlignedText& target) const = 0;
};

/// Builds the normalizer of a component object; null gives none. Throws FormatError, or Unsupported naming the type.
std::unique_ptr<Normalizer> make_normalizer(const json::Json& config);

/// Types that make_normalizer knows.
bool knows_normalizer(std::string_view type);

// The types, one file each.
std::unique_ptr<Normalizer> make_nfc(const json::Json& config);
std::unique_ptr<Normalizer> make_nfd(const json::Json& config);
std::unique_ptr<Normalizer> make_nfkc(const json::Json& config);
std::unique_ptr<Normalizer> make_nfkd(const json::Json& config);
std::unique_ptr<Normalizer> make_lowercase(const json::Json& config);
std::unique_ptr<Normalizer> make_prepend(const json::Json& config);
std::unique_ptr<Normalizer> make_replace_normalizer(const json::Json& config);

}  // namespace attend
