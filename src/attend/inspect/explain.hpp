// One word's attention inside the encoder of a translation model: Q, K, V, scores, weights and output of one head, as
// the engine computed them, checked against the formula, and read word by word.
#pragma once

#include <attend/inspect/words.hpp>
#include <attend/tasks/translate.hpp>

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace attend {

struct ExplainOptions {
  std::string query;                   ///< a word of the text; "WORD:2" is its second occurrence
  std::optional<int64_t> layer, head;  ///< of the encoder, from 0; what is left open gets chosen
  std::string to;                      ///< as in TranslateOptions
  /// Words to which the query is expected to give much and little of its attention: both or neither. Neither: nothing
  /// is expected, but in the study notes' sentence what the notes expect.
  std::vector<std::string> high, low;
  bool best_head = false;  ///< choose the head nearest to the expectation
};

struct HeadPlace {
  int64_t layer = 0, head = 0;
};

/// How the head shown came to be chosen among those that the options leave open.
enum class HeadChoice {
  given,    ///< it was named
  spread,   ///< the query's attention is spread most over other words of the text: Σ -w·ln w of their weights
  nearest,  ///< the expectation's margin is largest
};

/// How a head meets an expectation.
struct ExpectationFit {
  double high = 0, low = 0;  ///< mean weight of the words in each list
  bool holds = false;        ///< each word expected high gets more than each expected low

  double margin() const noexcept { return high - low; }
};

struct ExplainedPiece {
  int32_t id = 0;
  std::string token;  ///< in the vocabulary
  std::string text;   ///< what it stands for; a part of a character as the character and the part's number: "귄(1)"
  Span span;          ///< code points of the text; {0, 0} for special tokens
  bool special = false;
};

struct Explanation {
  static constexpr double tolerance = 1e-5;

  std::string text;      ///< without white space around it
  std::string language;  ///< translated into; empty for a model without language tokens
  std::vector<ExplainedPiece> pieces;
  std::vector<WordPieces> words;
  size_t query = 0;  ///< index in words
  int64_t occurrence = 1, occurrences = 1;

  int64_t layers = 0, heads = 0;  ///< of the encoder
  HeadPlace place;
  HeadChoice choice = HeadChoice::given;

  // One head, f32, as the engine computed it.
  Tensor q, k, v;  ///< [pieces, dₖ]
  Tensor weights;  ///< [pieces, pieces]
  Tensor out;      ///< [pieces, dₖ]: weights·V, before W_O
  /// The same again, from q, k and v in double precision.
  AttentionSteps steps;
  double weights_difference = 0, out_difference = 0;  ///< largest absolute ones between the two

  Matrix word_weights;  ///< [words, words]

  std::vector<size_t> high, low;  ///< indices in words
  std::optional<ExpectationFit> fit;
  // Of all layers × heads:
  int64_t heads_that_fit = 0;                  ///< those in which the expectation holds
  std::optional<HeadPlace> nearest_that_fits;  ///< that of them with the largest margin

  /// The engine's weights and output (for |V| beyond 1 relative to it) are within the tolerance of the formula's.
  bool agrees() const;
};

/// Reads `text` as one sentence of at most 512 tokens. Throws FormatError for text that is not UTF-8, ShapeError for
/// too long a one, and ConfigError for a text without words, for words, layers, heads or languages that are not there,
/// and for best_head without an expectation.
Explanation explain(const Translate& translate, std::string_view text, const ExplainOptions& options);

/// Everything as one object; numbers keep their bits.
///   text, language (or null), query {word, index, occurrence, occurrences}, layers, heads, layer, head,
///   chosen "given" | "spread" | "nearest", d_k,
///   pieces [{id, token, text, begin, end, special}], words [{text, begin, end, pieces [begin, end), special}],
///   q, k, v, output [pieces][d_k], weights [pieces][pieces], word_weights [words][words]: the engine's,
///   products, scores [pieces][pieces]: QKᵀ and QKᵀ/√dₖ in double precision,
///   check {weights, output, tolerance, agrees},
///   expectation null | {high [word index], low, mean_high, mean_low, margin, holds, heads_that_fit,
///   nearest_that_fits null | {layer, head}}.
nlohmann::ordered_json explanation_json(const Explanation& explanation);

/// Rows as lists.
nlohmann::ordered_json matrix_json(const Matrix& matrix);

}  // namespace attend
