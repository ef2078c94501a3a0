// Stage 5 of a tokenizer: tokens back to text ("decoder" of tokenizer.json).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "attend/text/json.hpp"

namespace attend {

class Decoder {
 public:
  virtual ~Decoder() = default;
  /// Rewrites the tokens so that joining them gives the text (or what the next decoder of a sequence wants).
  virtual void decode(std::vector<std::string>& tokens) const = 0;
};

/// Builds the decoder of a component object; null gives none. Throws FormatError, or Unsupported naming the type.
std::unique_ptr<Decoder> make_decoder(const json::Json& config);

bool knows_decoder(std::string_view type);

// The types, one file each.
std::unique_ptr<Decoder> make_byte_level_decoder(const json::Json& config);

}  // namespace attend
