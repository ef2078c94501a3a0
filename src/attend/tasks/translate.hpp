// Translation: text in, text out, with the scores, tokens and alignment behind it.
//
// What the model reads: the token of the language asked for (">>ko<<"), if it has such tokens, the sentence's tokens
// and </s>. The decoder starts from the configuration's start token.
#pragma once

#include <attend/generate/options.hpp>
#include <attend/models/transformer.hpp>
#include <attend/text/tokenizer.hpp>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace attend {

struct TranslateOptions {
  /// "ko", "en", …; empty: the only language the model has, or en for a text with Hangul and ko for others.
  std::string to;
  /// With neither max_new_tokens nor max_length an answer ends at the latest after two to four times the tokens of its
  /// sentence, and 16 more.
  GenerationOptions generation;
  bool split_sentences = true;   ///< false: each text is one sentence, and too long a one an error
  bool alignment = false;        ///< fill Translation::alignment (one more pass through the model)
  int64_t alignment_layer = -1;  ///< of the decoder, from 0; -1 = the last
  int64_t batch_tokens = 4096;   ///< source tokens × beams computed together; results do not depend on it

  /// The options that people set, under the names of flags; those of `generation` keep their text.
  static void fields(auto& self, auto&& f) {
    f("to", self.to,
      Doc{.en = "language to translate into; empty: by the text", .ko = "번역할 언어, 비우면 글을 보고 정함"});
    GenerationOptions::fields(self.generation, [&](std::string_view name, auto& member, const Doc& doc) {
      if (const std::string_view flag = flag_of_generation(name); !flag.empty()) f(flag, member, doc);
    });
    f("split_sentences", self.split_sentences,
      Doc{.en = "translate long text sentence by sentence", .ko = "긴 글을 문장별로 번역"});
    f("alignment", self.alignment, Doc{.en = "cross-attention of every token", .ko = "토큰마다 교차 어텐션"});
    f("alignment_layer", self.alignment_layer,
      Doc{.en = "decoder layer of the alignment, -1 = last", .ko = "정렬을 볼 디코더 층, -1이면 마지막", .min = -1});
    f("batch_tokens", self.batch_tokens,
      Doc{.en = "tokens computed together", .ko = "한 번에 계산할 토큰 수", .min = 1, .max = 1 << 24});
  }

  /// The flag of a member of GenerationOptions; empty: people do not set it for translation.
  static constexpr std::string_view flag_of_generation(std::string_view name) {
    constexpr std::pair<std::string_view, std::string_view> flags[] = {
        {"num_beams", "beam"},
        {"num_return_sequences", "n_best"},
        {"length_penalty", "length_penalty"},
        {"early_stopping", "early_stopping"},
        {"max_new_tokens", "max_new_tokens"},
        {"min_new_tokens", "min_new_tokens"},
        {"repetition_penalty", "repetition_penalty"},
        {"no_repeat_ngram_size", "no_repeat_ngram"},
        {"encoder_no_repeat_ngram_size", "no_repeat_source_ngram"},
        {"do_sample", "sample"},
        {"temperature", "temperature"},
        {"top_k", "top_k"},
        {"top_p", "top_p"},
        {"min_p", "min_p"},
        {"seed", "seed"},
    };
    for (const auto& [member, flag] : flags)
      if (member == name) return flag;
    return {};
  }
};

/// A piece of text as the model sees it. A character that several tokens share shows as U+FFFD in each.
struct TextToken {
  int32_t id = 0;
  std::string text;
};

/// One answer. The columns of all its sentences follow each other.
struct Translation {
  std::string text;
  float score = 0;                       ///< Generated::score; of several sentences their mean
  std::string language;                  ///< translated into; empty for a model without language tokens
  std::vector<TextToken> tokens;         ///< what the model wrote, </s> included
  std::vector<float> logprobs;           ///< of each token under the model
  std::vector<TextToken> source_tokens;  ///< what it read, language token and </s> included
  /// f32 [tokens, source_tokens]: cross-attention of the step that wrote the token, mean over the heads; each row sums
  /// to 1, between different sentences it is 0. Undefined unless asked for, or without tokens.
  Tensor alignment;
};

/// Negative log-likelihood of given translations.
struct TranslationLoss {
  double sum = 0;        ///< nats
  int64_t tokens = 0;    ///< </s> included
  int64_t too_long = 0;  ///< pairs left out because a side is beyond the model's length
  double mean() const { return tokens ? sum / static_cast<double>(tokens) : 0; }
};

/// Not for several threads at once; another object with the same model is.
class Translate {
 public:
  /// From a model folder: config.json, *.safetensors, tokenizer.json and, optionally, generation_config.json. Throws
  /// what load_model() and Tokenizer::load() throw.
  static Translate load(const std::filesystem::path& folder);

  /// Throws Unsupported for a model that is no encoder–decoder and ConfigError where tokenizer, model and options do
  /// not fit each other. Special tokens that `defaults` lacks come from the model; <pad> is never written.
  Translate(std::shared_ptr<const Transformer> model, Tokenizer tokenizer, GenerationOptions defaults = {});
  /// A model that somebody else owns, and may go on training between calls; it must outlive this object.
  Translate(const Transformer& model, Tokenizer tokenizer, GenerationOptions defaults = {});

  /// The languages of its language tokens, by their ids; empty: it translates one way.
  const std::vector<std::string>& languages() const noexcept { return languages_; }
  /// What a text is translated into where nobody says: en with Hangul in it, else ko; empty for other models.
  std::string language_by_text(std::string_view text) const;
  /// The model's own options, to be changed for translate().
  const TranslateOptions& defaults() const noexcept { return defaults_; }
  const Tokenizer& tokenizer() const noexcept { return tokenizer_; }
  const Transformer& model() const noexcept { return *model_; }

  /// The best translation with the model's own options.
  std::string operator()(std::string_view text) const;

  /// For each text its answers, best first (samples in their own order): generation.num_return_sequences of them, or
  /// fewer where the search found no more. White space around and between sentences stays as it was; a text of nothing
  /// else is its own translation. Each text's answers are the same whatever else is in the list, also when sampling.
  /// Throws FormatError for text that is not UTF-8, ConfigError for a language or options the model does not have.
  std::vector<std::vector<Translation>> translate(std::span<const std::string> texts,
                                                  const TranslateOptions& options) const;

  /// What the model reads for a text taken as one sentence: its tokens between a language token, if the model has such,
  /// and </s>, both marked as special. `to` as in TranslateOptions. Throws ConfigError for a language it does not have.
  Encoding source(std::string_view text, const std::string& to = {}) const;

  /// How well the model foresees references[i] as the translation of sources[i], each taken as one sentence. Uses
  /// options.to and batch_tokens. Throws ShapeError for lists of different lengths.
  TranslationLoss loss(std::span<const std::string> sources, std::span<const std::string> references,
                       const TranslateOptions& options) const;

 private:
  struct Sentence;
  struct Answer;

  /// Index in languages_ of what `text` goes into; -1: the model has none.
  int language_of(std::string_view text, const std::string& to) const;
  Encoding source_of(std::string_view sentence, int language, EncodeOptions options) const;
  std::vector<int32_t> source_ids(std::string_view sentence, int language) const {
    return source_of(sentence, language, {.ids_only = true}).ids;
  }
  /// Text tokens that fit into one source.
  size_t longest_sentence(int language) const;
  std::vector<Sentence> sentences_of(size_t text, std::string_view bytes, const TranslateOptions& options) const;
  void generate_all(std::vector<Sentence>& sentences, const TranslateOptions& options) const;
  Translation assemble(std::string_view text, std::span<const Sentence> sentences, const Answer& answer,
                       const TranslateOptions& options) const;
  TextToken text_token(int32_t id) const;
  /// Adds the weights of one sentence to alignment [rows, columns] at (row, column).
  void add_alignment(const Sentence& sentence, std::span<const int32_t> ids, const TranslateOptions& options,
                     Tensor& alignment, int64_t row, int64_t column) const;

  std::shared_ptr<const Transformer> model_;
  Tokenizer tokenizer_;
  TranslateOptions defaults_;
  std::vector<std::string> languages_;
  std::vector<int32_t> language_ids_;
  int32_t start_ = 0, eos_ = 0;
};

}  // namespace attend
