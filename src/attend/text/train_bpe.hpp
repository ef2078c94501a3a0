// Training of byte-level BPE tokenizers.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attend/text/tokenizer.hpp"

namespace attend {

struct BpeTrainerOptions {
  int32_t vocab_size = 8000;  ///< tokens in all, special ones included; fewer when the corpus has no more pairs
  int64_t min_frequency = 2;  ///< a pair that occurs less often is not merged
  bool all_bytes =
      true;  ///< every byte gets a token; false: only bytes that occur, others become unk_token or are lost

  std::vector<AddedToken> special_tokens;  ///< the first ids, in this order; their `id` is ignored
  std::vector<AddedToken> last_tokens;     ///< the last ids, in this order
  std::optional<std::string> unk_token;    ///< one of the special tokens

  /// What is added around a text, "$A" being the text: "$A </s>". Empty: nothing.
  std::string layout;

  /// Components as in tokenizer.json; the pre-tokenizer must end with ByteLevel.
  std::string normalizer = "null";
  std::string pre_tokenizer = R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true})";

  int64_t memory_limit = 2'000'000'000;  ///< bytes, whatever the corpus (see BpeTrainer)
};

/// The layout that our translators use (and that Marian folders need): </s> = 0, <unk> = 1, the language tokens next,
/// <pad> last, "$A </s>", text in NFC. Language tokens swallow the white space behind them, so that ">>ko<< Hello" and
/// ">>ko<<Hello" are the same.
BpeTrainerOptions translator_bpe_options(int32_t vocab_size, const std::vector<std::string>& language_tokens);

/// Learns merges from text. The algorithm and its ties are those of Hugging Face's BpeTrainer (the most frequent pair
/// first, then the smaller pair of ids), so that the same text gives the same vocabulary.
///
/// Memory: words are kept with their counts, not the text. A distinct word is accounted with 32 bytes for each of its
/// bytes and 64 more, the most that counting and merging ever hold for it; when memory_limit is reached the rarest
/// words are dropped by the law of WordCounts (word_counts.hpp). Below the limit the result is exact. On top of the
/// limit come the vocabulary, the pair table and the text given to one call of add().
class BpeTrainer {
 public:
  /// Throws ConfigError when the options contradict each other, FormatError for a broken component.
  explicit BpeTrainer(BpeTrainerOptions options);
  ~BpeTrainer();
  BpeTrainer(BpeTrainer&&) noexcept;
  BpeTrainer& operator=(BpeTrainer&&) noexcept;

  /// Counts the words of one text (a line, a document), `count` times over. How a corpus is cut into texts matters only
  /// for words at the cuts.
  void add(std::string_view text, int64_t count = 1);

  /// Learns the merges from everything added so far; the words are used up.
  Tokenizer train();

  struct Report {
    int64_t texts = 0;
    int64_t bytes = 0;
    int64_t distinct_words = 0;       ///< at the time of train()
    int64_t dropped_words = 0;        ///< 0: the result is exact
    int64_t dropped_occurrences = 0;  ///< of the dropped words
    int64_t largest_loss = 0;         ///< no word's count is too low by more than this
    int64_t merges = 0;
  };
  const Report& report() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace attend
