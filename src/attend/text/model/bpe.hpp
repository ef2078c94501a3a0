// Byte-pair encoding (Sennrich, Haddow, Birch 2016, "Neural Machine Translation of Rare Words with Subword Units").
#pragma once

#include <optional>
#include <string>

#include "attend/text/model/model.hpp"

namespace attend {

struct BpeOptions {
  std::optional<std::string> unk_token;
  std::string continuing_subword_prefix;  ///< before every symbol but a piece's first
  std::string end_of_word_suffix;         ///< behind a piece's last symbol
  bool fuse_unk = false;                  ///< unknown characters in a row become one unk_token
  bool byte_fallback = false;             ///< unknown characters become <0x00> … <0xFF> tokens where those exist
  bool ignore_merges = false;             ///< a piece that is itself a token is that token
};

/// Starts from characters (bytes when byte_level) and merges the adjacent pair of lowest rank, leftmost first, until
/// none is left. O(n log n) in the piece's length.
class Bpe : public Model {
 public:
  using TokenPair = std::pair<std::string, std::string>;

  /// Throws FormatError when a merge or its result is not in the vocabulary.
  Bpe(std::unique_ptr<Vocabulary> vocabulary, const std::vector<TokenPair>& merges, BpeOptions options);

  std::unique_ptr<Scratch> make_scratch() const override;
  void tokenize(std::string_view piece, bool byte_level, Scratch& scratch, ModelTokens& out) const override;
  const Vocabulary& vocabulary() const noexcept override { return *vocabulary_; }
  std::vector<TokenMerge> merges() const override;
  json::Json config() const override;

 private:
  struct State;

  void add_symbols(std::string_view piece, bool byte_level, State& state) const;
  void merge(State& state) const;
  void merge_short(State& state) const;

  std::unique_ptr<Vocabulary> vocabulary_;
  PairTable merges_;
  BpeOptions options_;
  int32_t unk_id_ = -1;
  int32_t byte_ids_[256];      // of the byte-level characters, -1 where missing
  int32_t fallback_ids_[256];  // of <0xXX>, -1 where missing
  std::string byte_characters_[256];
};

}  // namespace attend
