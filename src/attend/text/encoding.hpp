// What a tokenizer makes of a text, with truncation and padding (the rules of Hugging Face tokenizers).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "attend/text/aligned_text.hpp"

namespace attend {

enum class Side { left, right };

enum class TruncationStrategy { longest_first, only_first, only_second };

struct Truncation {
  int32_t max_length = 512;  ///< tokens, special ones included
  int32_t stride = 0;        ///< tokens that a window shares with the one before; < the room for the text
  TruncationStrategy strategy = TruncationStrategy::longest_first;
  Side direction = Side::right;  ///< the side that is cut off

  bool operator==(const Truncation&) const = default;
};

struct Padding {
  std::optional<int32_t> length;              ///< none: the longest of the batch
  std::optional<int32_t> pad_to_multiple_of;  ///< rounds the length up
  int32_t pad_id = 0;
  int32_t pad_type_id = 0;
  std::string pad_token = "[PAD]";
  Side direction = Side::right;  ///< the side that is filled

  bool operator==(const Padding&) const = default;
};

/// Parallel columns, one entry per token. With ids_only every column but `ids` is empty.
struct Encoding {
  bool ids_only = false;
  std::vector<int32_t> ids;
  std::vector<std::string> tokens;      ///< as in the vocabulary; an added token as it stood in the text
  std::vector<Span> offsets;            ///< code points of the original text; {0, 0} for special tokens and padding
  std::vector<int32_t> word_ids;        ///< piece of the text, counted from 0 in each sequence; -1: none
  std::vector<int32_t> type_ids;        ///< segment, usually 0 for the first text and 1 for the second
  std::vector<int32_t> sequence_ids;    ///< 0 or 1: the text a token comes from; -1: none
  std::vector<uint8_t> special_mask;    ///< 1: put there by the post-processor or by padding
  std::vector<uint8_t> attention_mask;  ///< 0: padding
  std::vector<Encoding> overflowing;    ///< what truncation cut off, in windows; their own `overflowing` is empty

  size_t size() const noexcept { return ids.size(); }

  /// Appends one token.
  void add(int32_t id, std::string token, Span offset, int32_t word, int32_t type, int32_t sequence, bool special,
           bool attended = true);

  /// Appends another encoding. Overflowing windows are combined: each of these with that and its windows, then this
  /// with the windows of that.
  void append(const Encoding& other);

  void set_type(int32_t type);
  void set_sequence(int32_t sequence);

  /// Keeps a window of max_length tokens; the others go to `overflowing`. Throws ConfigError unless stride <
  /// max_length.
  void truncate(int32_t max_length, int32_t stride, Side direction);

  /// Fills up to `length`, overflowing windows too.
  void pad(int32_t length, const Padding& padding);

 private:
  Encoding window(size_t begin, size_t end) const;
  void append_columns(const Encoding& other);
};

/// Cuts one encoding, or two together, to truncation.max_length tokens. Throws ConfigError when the strategy cannot.
void truncate(Encoding& first, Encoding* second, const Truncation& truncation);

/// Pads all to one length: padding.length or the longest, rounded up.
void pad_batch(std::vector<Encoding>& batch, const Padding& padding);

}  // namespace attend
