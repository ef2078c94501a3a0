// Stage 4 of a tokenizer: add special tokens and join texts ("post_processor" of tokenizer.json).
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "attend/text/encoding.hpp"
#include "attend/text/json.hpp"

namespace attend {

class PostProcessor {
 public:
  virtual ~PostProcessor() = default;
  /// How many special tokens process() adds.
  virtual int32_t added_tokens(bool pair) const = 0;
  /// Changes the parts of the final encoding, first one or two texts; they are joined afterwards.
  virtual void process(std::vector<Encoding>& parts, bool add_special_tokens) const = 0;
};

/// Builds the post-processor of a component object; null gives none. Throws FormatError, or Unsupported naming the
/// type.
std::unique_ptr<PostProcessor> make_post_processor(const json::Json& config);

bool knows_post_processor(std::string_view type);

// The types, one file each.
std::unique_ptr<PostProcessor> make_byte_level_finish(const json::Json& config);
std::unique_ptr<PostProcessor> make_template(const json::Json& config);

}  // namespace attend
