// Stage 2 of a tokenizer: cut the text into pieces ("pre_tokenizer" of tokenizer.json).
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "attend/text/aligned_text.hpp"
#include "attend/text/json.hpp"

namespace attend {

/// A stretch of Pieces::text; token >= 0 marks an added token that no later stage touches.
struct Piece {
  uint32_t begin;
  uint32_t end;
  int32_t token = -1;
};

/// The pieces of a text, in order, none empty.
struct Pieces {
  explicit Pieces(bool aligned) : text(aligned) {}

  AlignedText text;
  std::vector<Piece> list;
  /// The model shall see every byte as its byte-level character (text/byte_level.hpp). The characters are written out
  /// only when another component follows, which hardly any tokenizer has.
  bool byte_level = false;

  /// Replaces each piece that is not an added token by what `cut(view, emit)` gives: emit(begin, end) relative to the
  /// piece; empty stretches are dropped.
  template <class Cut>
  void cut(Cut&& cut_piece) {
    write_out_byte_level();
    std::vector<Piece> result;
    result.reserve(list.size() * 4);
    for (const Piece& piece : list) {
      if (piece.token >= 0) {
        result.push_back(piece);
        continue;
      }
      cut_piece(text.view(piece.begin, piece.end), [&](size_t begin, size_t end) {
        if (begin < end)
          result.push_back({static_cast<uint32_t>(piece.begin + begin), static_cast<uint32_t>(piece.begin + end)});
      });
    }
    list = std::move(result);
  }

  /// Replaces the text of each piece that is not an added token: rewrite(begin, end, target) appends the new bytes.
  void rewrite(const std::function<void(size_t begin, size_t end, AlignedText& target)>& rewrite_piece);

  void write_out_byte_level();
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void split(Pieces& pieces) const = 0;
};

/// Builds the pre-tokenizer of a component object; null gives none. Throws FormatError, or Unsupported naming the type.
std::unique_ptr<PreTokenizer> make_pre_tokenizer(const json::Json& config);

bool knows_pre_tokenizer(std::string_view type);

// The types, one file each.
std::unique_ptr<PreTokenizer> make_byte_level_split(const json::Json& config);
std::unique_ptr<PreTokenizer> make_split(const json::Json& config);

}  // namespace attend
