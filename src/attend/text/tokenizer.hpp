// Text to ids and back, from Hugging Face's tokenizer.json:
// normalize → split → model → finish, and decode for the way back; one folder of this room for each.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "attend/text/added_tokens.hpp"
#include "attend/text/encoding.hpp"
#include "attend/text/model/pair_table.hpp"

namespace attend {

class Pipeline;

struct EncodeOptions {
  bool add_special_tokens = true;
  bool ids_only = false;  ///< several times faster: Encoding::ids and nothing else
};

/// A value that is cheap to copy; copies share the vocabulary. Encoding and decoding are safe from several threads.
///
/// Text need not be valid UTF-8: byte-level tokenizers take bytes as they are (decode(encode(x)) gives U+FFFD for
/// invalid ones), the others treat each ill-formed sequence as one unknown character. Callers that want an error
/// instead use require_utf8 (base/unicode.hpp).
class Tokenizer {
 public:
  /// From the bytes of a tokenizer.json. Throws FormatError naming the broken field, or Unsupported naming a component
  /// type that this version does not have.
  static Tokenizer from_json(std::string_view bytes);

  /// From a tokenizer.json or from a folder with one; the errors name the file.
  static Tokenizer load(const std::filesystem::path& path);

  /// Component types in a tokenizer.json that this version does not have, as "stage Type"; empty: from_json will not
  /// fail for lack of one.
  static std::vector<std::string> missing_components(std::string_view bytes);

  /// A tokenizer.json that gives this tokenizer again, here and in Hugging Face tokenizers.
  std::string to_json() const;

  /// Writes to_json() to a file, as a whole or not at all; throws SystemError.
  void save(const std::filesystem::path& path) const;

  /// Truncation and padding apply when they are set.
  Encoding encode(std::string_view text, EncodeOptions options = {}) const;
  Encoding encode_pair(std::string_view first, std::string_view second, EncodeOptions options = {}) const;

  /// Like encode for each text, padded to the longest where padding says so.
  std::vector<Encoding> encode_batch(std::span<const std::string> texts, EncodeOptions options = {}) const;

  std::vector<int32_t> encode_ids(std::string_view text, bool add_special_tokens = true) const;

  /// Ids that no token has are left out, as the reference does. Bytes that are not UTF-8 become U+FFFD.
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens = true) const;

  std::optional<int32_t> token_to_id(std::string_view token) const;
  std::optional<std::string> id_to_token(int32_t id) const;

  /// One past the largest id: the rows an embedding needs.
  int32_t vocab_size() const noexcept;

  /// Added tokens by ascending id.
  const std::vector<AddedToken>& added_tokens() const noexcept;
  bool is_special(int32_t id) const noexcept;

  /// The merges of a BPE, first learned first; empty for other models.
  std::vector<TokenMerge> merges() const;

  const std::optional<Truncation>& truncation() const noexcept { return truncation_; }
  const std::optional<Padding>& padding() const noexcept { return padding_; }
  void set_truncation(std::optional<Truncation> truncation) { truncation_ = truncation; }
  void set_padding(std::optional<Padding> padding) { padding_ = std::move(padding); }

  explicit Tokenizer(std::shared_ptr<const Pipeline> pipeline) : pipeline_(std::move(pipeline)) {}

 private:
  Encoding finish(Encoding first, Encoding* second, EncodeOptions options) const;

  std::shared_ptr<const Pipeline> pipeline_;
  std::optional<Truncation> truncation_;
  std::optional<Padding> padding_;
};

/// Decodes ids as they come and gives out whole characters only.
class DecodeStream {
 public:
  explicit DecodeStream(Tokenizer tokenizer, bool skip_special_tokens = true)
      : tokenizer_(std::move(tokenizer)), skip_special_tokens_(skip_special_tokens) {}

  /// The text that became certain with this id; nothing while a character is incomplete.
  std::optional<std::string> step(int32_t id);

  /// What is still held back, U+FFFD for bytes that never became a character. The stream starts anew.
  std::string finish();

 private:
  Tokenizer tokenizer_;
  bool skip_special_tokens_;
  std::vector<int32_t> ids_;  // the last text given out and what came since
  std::string prefix_;        // decoded text of ids_[0, prefix_ids_), given out already
  size_t prefix_ids_ = 0;
};

/// Takes out the spaces that word tokenizers put before English punctuation and contractions, as transformers'
/// clean_up_tokenization_spaces does.
std::string clean_up_tokenization(std::string_view text);

}  // namespace attend
