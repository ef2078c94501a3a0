// The stages of one tokenizer, joined. Tokenizer is the face that others see.
#pragma once

#include <memory>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

#include "attend/text/added_tokens.hpp"
#include "attend/text/decode/decoder.hpp"
#include "attend/text/encoding.hpp"
#include "attend/text/finish/post_processor.hpp"
#include "attend/text/model/model.hpp"
#include "attend/text/model/word_cache.hpp"
#include "attend/text/normalize/normalizer.hpp"
#include "attend/text/split/pre_tokenizer.hpp"

namespace attend {

/// Components as in tokenizer.json; null where there is none.
struct PipelineParts {
  json::Json normalizer, pre_tokenizer, post_processor, decoder;
  std::vector<AddedToken> added_tokens;
  std::unique_ptr<Model> model;
};

class Pipeline {
 public:
  explicit Pipeline(PipelineParts parts);

  /// One text, without special tokens.
  Encoding encode(std::string_view text, int32_t sequence, bool ids_only) const;

  int32_t special_tokens_added(bool pair) const { return finish_ ? finish_->added_tokens(pair) : 0; }
  Encoding finish(std::vector<Encoding> texts, bool add_special_tokens) const;
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens) const;

  int32_t token_to_id(std::string_view token) const noexcept;  // -1: none
  const std::string* token(int32_t id) const noexcept;         // nullptr: none
  bool is_special(int32_t id) const noexcept { return special_ids_.contains(id); }
  int32_t vocab_size() const noexcept { return vocab_size_; }

  const PipelineParts& parts() const noexcept { return parts_; }

 private:
  // What one call works with; as many exist as calls ran at once.
  struct Workspace {
    WordCache cache;
    std::unique_ptr<Model::Scratch> scratch;
    ModelTokens tokens;
  };
  class Lease;

  Pieces pieces_of(std::string_view text, bool aligned) const;
  void tokenize(std::string_view piece, bool byte_level, Workspace& work) const;

  PipelineParts parts_;
  std::unique_ptr<Normalizer> normalizer_;
  std::unique_ptr<PreTokenizer> pre_tokenizer_;
  std::unique_ptr<PostProcessor> finish_;
  std::unique_ptr<Decoder> decoder_;
  AddedTokenMatcher raw_tokens_;                         // looked for in the text as it comes
  AddedTokenMatcher normalized_tokens_;                  // looked for in the normalised text
  std::unordered_map<int32_t, std::string> added_text_;  // by id; normalised where the token is, as the reference does
  std::unordered_map<std::string_view, int32_t> added_by_content_;
  std::unordered_set<int32_t> special_ids_;
  int32_t vocab_size_ = 0;

  mutable std::mutex mutex_;  // guards idle_
  mutable std::vector<std::unique_ptr<Workspace>> idle_;
};

/// Reads a tokenizer.json (tokenizer_json.cpp).
struct TokenizerFile {
  PipelineParts parts;
  std::optional<Truncation> truncation;
  std::optional<Padding> padding;
};
TokenizerFile read_tokenizer_json(std::string_view bytes);
std::string write_tokenizer_json(const PipelineParts& parts, const std::optional<Truncation>& truncation,
                                 const std::optional<Padding>& padding);

}  // namespace attend
