#include <attend/base/error.hpp>
#include <attend/base/hash.hpp>
#include <attend/base/unicode.hpp>
#include <attend/generate/generate.hpp>
#include <attend/generate/transformer_decoder.hpp>
#include <attend/models/family.hpp>
#include <attend/tasks/translate.hpp>
#include <attend/tensor/tape.hpp>
#include <attend/text/sentences.hpp>

#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <numeric>

namespace attend {
namespace {

/// "ko" of ">>ko<<"; empty: not a language token.
std::string_view language_in(std::string_view token) {
  if (token.size() < 5 || !token.starts_with(">>") || !token.ends_with("<<")) return {};
  return token.substr(2, token.size() - 4);
}

bool has_hangul(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = code_point_at(text, at);
    const char32_t v = c.value;
    if ((v >= 0x1100 && v <= 0x11FF) || (v >= 0x3130 && v <= 0x318F) || (v >= 0xA960 && v <= 0xA97F) ||
        (v >= 0xAC00 && v <= 0xD7FF))
      return true;
    at += static_cast<size_t>(c.length);
  }
  return false;
}

std::string_view without_outer_space(std::string_view text) {
  while (!text.empty() && is_white_space(code_point_at(text, 0).value))
    text.remove_prefix(static_cast<size_t>(code_point_at(text, 0).length));
  while (!text.empty()) {
    const size_t last = previous_code_point(text, text.size());
    if (!is_white_space(code_point_at(text, last).value)) break;
    text = text.substr(0, last);
  }
  return text;
}

/// New tokens after which an answer ends where nobody says otherwise. A function of the sentence alone, so that a model
/// that does not find its end costs no more than that and a neighbour in the batch changes nothing.
int64_t automatic_limit(size_t source_tokens) { return static_cast<int64_t>(2 * std::bit_ceil(source_tokens) + 16); }

}  // namespace

struct Translate::Sentence {
  size_t text;  // which of the texts
  SentenceSpan span;
  int language;
  std::vector<int32_t> source;
  std::vector<Generated> answers;
};

/// Which answer of each sentence of a text is taken.
struct Translate::Answer {
  std::vector<uint32_t> choices;
  float score = 0;  // Σ of the sentences' scores

  /// The answers of a text out of those of its sentences, best first: for beams the best sums, for samples the first
  /// with the first and so on.
  static std::vector<Answer> of(std::span<const Sentence> sentences, const GenerationOptions& options) {
    std::vector<Answer> answers(1);
    const auto wanted = static_cast<size_t>(options.num_return_sequences);
    const bool in_order = options.num_beams == 1;
    for (const Sentence& sentence : sentences) {
      const bool first = &sentence == sentences.data();
      std::vector<Answer> longer;
      for (size_t a = 0; a < answers.size(); ++a)
        for (size_t b = 0; b < sentence.answers.size(); ++b) {
          if (in_order && !first && a != b) continue;
          Answer answer = answers[a];
          answer.choices.push_back(static_cast<uint32_t>(b));
          answer.score += sentence.answers[b].score;
          longer.push_back(std::move(answer));
        }
      if (!in_order)
        std::stable_sort(longer.begin(), longer.end(),
                         [](const Answer& a, const Answer& b) { return a.score > b.score; });
      if (longer.size() > wanted) longer.resize(wanted);
      answers = std::move(longer);
    }
    return answers;
  }
};

Translate Translate::load(const std::filesystem::path& folder) {
  auto model = std::make_shared<const Transformer>(load_model(folder));
  return {std::move(model), Tokenizer::load(folder), GenerationOptions::load(folder)};
}

Translate::Translate(const Transformer& model, Tokenizer tokenizer, GenerationOptions defaults)
    : Translate(std::shared_ptr<const Transformer>(std::shared_ptr<void>(), &model), std::move(tokenizer),
                std::move(defaults)) {}

Translate::Translate(std::shared_ptr<const Transformer> model, Tokenizer tokenizer, GenerationOptions defaults)
    : model_(std::move(model)), tokenizer_(std::move(tokenizer)) {
  const TransformerConfig& config = model_->config();
  if (config.encoder.layers == 0 || config.decoder.layers == 0)
    fail<Unsupported>("translate: a {} model has no {}: translation needs an encoder and a decoder", config.model_type,
                      config.encoder.layers ? "decoder" : "encoder");
  if (tokenizer_.vocab_size() > std::min(config.source_vocab, config.vocab))
    fail<ConfigError>("translate: the tokenizer has {} tokens and the model's vocabulary {}", tokenizer_.vocab_size(),
                      std::min(config.source_vocab, config.vocab));
  tokenizer_.set_truncation(std::nullopt);  // nothing of a text may be lost
  tokenizer_.set_padding(std::nullopt);

  if (defaults.eos_token_id.empty()) defaults.eos_token_id = config.eos;
  if (defaults.eos_token_id.empty()) fail<ConfigError>("translate: the model names no token that ends a sentence");
  eos_ = defaults.eos_token_id.front();
  start_ = defaults.decoder_start_token_id.value_or(config.decoder_start >= 0 ? config.decoder_start : config.bos);
  if (start_ < 0 || start_ >= config.vocab)
    fail<ConfigError>("translate: the decoder's start token is {}, not a token of the vocabulary of {}", start_,
                      config.vocab);
  const int32_t pad = defaults.pad_token_id.value_or(config.pad);
  if (pad >= 0 && !defaults.ends_with(pad)) defaults.suppress_tokens.push_back(pad);
  defaults.check(config.vocab);
  defaults_.generation = std::move(defaults);

  for (int32_t id = 0; id < tokenizer_.vocab_size(); ++id) {
    const auto token = tokenizer_.id_to_token(id);
    if (!token || language_in(*token).empty()) continue;
    languages_.emplace_back(language_in(*token));
    language_ids_.push_back(id);
  }
}

std::string Translate::language_by_text(std::string_view text) const {
  const auto has = [&](const char* language) { return std::ranges::find(languages_, language) != languages_.end(); };
  if (!has("en") || !has("ko")) return {};
  return has_hangul(text) ? "en" : "ko";
}

int Translate::language_of(std::string_view text, const std::string& to) const {
  const auto index_of = [&](std::string_view language) {
    const auto found = std::find(languages_.begin(), languages_.end(), language);
    return found == languages_.end() ? -1 : static_cast<int>(found - languages_.begin());
  };
  if (!to.empty()) {
    const int language = index_of(to);
    if (language < 0 && languages_.empty())
      fail<ConfigError>("translate: the model has one direction only, no language \"{}\" to choose", to);
    if (language < 0)
      fail<ConfigError>("translate: the model does not translate into \"{}\", only into {}", to,
                        fmt::join(languages_, ", "));
    return language;
  }
  if (languages_.size() < 2) return static_cast<int>(languages_.size()) - 1;
  const std::string guess = language_by_text(text);
  if (guess.empty())
    fail<ConfigError>("translate: say which language to translate into: {}", fmt::join(languages_, ", "));
  return index_of(guess);
}

Encoding Translate::source_of(std::string_view sentence, int language, EncodeOptions options) const {
  Encoding source;
  source.ids_only = options.ids_only;
  const auto add_special = [&](int32_t id) {
    source.add(id, tokenizer_.id_to_token(id).value_or(""), {}, -1, 0, -1, true);
  };
  if (language >= 0) add_special(language_ids_[static_cast<size_t>(language)]);
  source.append(tokenizer_.encode(sentence, options));
  if (source.ids.empty() || source.ids.back() != eos_) add_special(eos_);
  return source;
}

Encoding Translate::source(std::string_view text, const std::string& to) const {
  return source_of(text, language_of(text, to), {});
}

size_t Translate::longest_sentence(int language) const {
  constexpr int64_t unlimited = 1024;  // of a model without limit: sentences stay sentences
  const int64_t limit = model_->config().max_length > 0 ? model_->config().max_length : unlimited;
  const auto special = static_cast<int64_t>(source_ids("", language).size());
  return static_cast<size_t>(std::max<int64_t>(1, limit - special));
}

std::vector<Translate::Sentence> Translate::sentences_of(size_t text, std::string_view bytes,
                                                         const TranslateOptions& options) const {
  require_utf8(bytes, fmt::format("translate: text {}", text + 1));
  const int language = language_of(bytes, options.to);
  const size_t longest = longest_sentence(language);
  const auto length = [&](std::string_view part) { return tokenizer_.encode_ids(part, false).size(); };
  std::vector<SentenceSpan> spans;
  if (options.split_sentences) {
    spans = split_sentences(bytes, longest, length);
  } else if (const std::string_view whole = without_outer_space(bytes); !whole.empty()) {
    const auto begin = static_cast<size_t>(whole.data() - bytes.data());
    spans.push_back({begin, begin + whole.size()});
  }
  std::vector<Sentence> sentences;
  for (const SentenceSpan& span : spans) {
    Sentence sentence{text, span, language, source_ids(bytes.substr(span.begin, span.end - span.begin), language), {}};
    const int64_t limit = model_->config().max_length;
    if (limit > 0 && std::ssize(sentence.source) > limit)
      fail<ShapeError>("translate: text {} has {} tokens, more than the model's {}", text + 1, sentence.source.size(),
                       limit);
    sentences.push_back(std::move(sentence));
  }
  return sentences;
}

void Translate::generate_all(std::vector<Sentence>& sentences, const TranslateOptions& options) const {
  const GenerationOptions& generation = options.generation;
  const bool automatic = !generation.max_new_tokens && !generation.max_length;
  std::vector<size_t> order(sentences.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return sentences[a].source.size() < sentences[b].source.size(); });
  const auto rows = static_cast<size_t>(std::max(generation.num_beams, generation.num_return_sequences));
  TransformerDecoder decoder(*model_);
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin + 1;
    while (end < order.size()) {
      const size_t length = sentences[order[end]].source.size();
      if ((end + 1 - begin) * length * rows > static_cast<size_t>(options.batch_tokens)) break;
      ++end;
    }
    std::vector<std::vector<int32_t>> sources;
    for (size_t i = begin; i < end; ++i) sources.push_back(sentences[order[i]].source);
    const std::vector<int> slots = decoder.encode(sources);
    std::vector<GenerationRequest> requests;
    for (size_t i = 0; i < sources.size(); ++i) {
      Hash64 hash;  // a sentence's samples are its own, wherever it stands
      hash.add(sources[i].data(), sources[i].size() * sizeof(int32_t));
      std::optional<int64_t> limit;
      if (automatic) limit = automatic_limit(sources[i].size());
      requests.push_back({.slot = slots[i],
                          .prompt = {start_},
                          .source = std::move(sources[i]),
                          .max_new_tokens = limit,
                          .stream = hash.value()});
    }
    auto answers = generate(decoder, requests, generation);
    for (size_t i = begin; i < end; ++i) {
      if (answers[i - begin].empty()) fail<Error>("translate: the options leave a sentence without any answer");
      sentences[order[i]].answers = std::move(answers[i - begin]);
    }
    begin = end;
  }
}

TextToken Translate::text_token(int32_t id) const { return {id, tokenizer_.decode({&id, 1}, false)}; }

void Translate::add_alignment(const Sentence& sentence, std::span<const int32_t> ids, const TranslateOptions& options,
                              Tensor& alignment, int64_t row, int64_t column) const {
  const int64_t layers = model_->config().decoder.layers;
  const int64_t layer = options.alignment_layer < 0 ? layers - 1 : options.alignment_layer;
  const std::string name = fmt::format("decoder.blocks.{}.cross.weights", layer);
  Probe probe({name});
  Pass pass;
  const Tokens source = Tokens::of({sentence.source});
  const Tensor memory = model_->encode(pass, source);
  std::vector<int32_t> input{start_};
  input.insert(input.end(), ids.begin(), ids.end() - 1);
  pass.probe = &probe;
  model_->decode(pass, Tokens::of({input}), memory, source.sequences);
  const Tensor& weights = probe[name];  // [heads, written, read]
  const int64_t heads = weights.size(0), written = weights.size(1), read = weights.size(2);
  const float* weight = weights.data<float>();
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t i = 0; i < written; ++i) {
      float* to = alignment.data<float>() + (row + i) * alignment.size(1) + column;
      for (int64_t j = 0; j < read; ++j) to[j] += *weight++ / static_cast<float>(heads);
    }
}

Translation Translate::assemble(std::string_view text, std::span<const Sentence> sentences, const Answer& answer,
                                const TranslateOptions& options) const {
  Translation translation;
  size_t copied = 0;  // of the text
  for (size_t s = 0; s < sentences.size(); ++s) {
    const Sentence& sentence = sentences[s];
    const Generated& generated = sentence.answers[answer.choices[s]];
    translation.text += text.substr(copied, sentence.span.begin - copied);
    translation.text += without_outer_space(tokenizer_.decode(generated.ids));
    copied = sentence.span.end;
    for (const int32_t id : generated.ids) translation.tokens.push_back(text_token(id));
    for (const int32_t id : sentence.source) translation.source_tokens.push_back(text_token(id));
    translation.logprobs.insert(translation.logprobs.end(), generated.token_logprobs.begin(),
                                generated.token_logprobs.end());
  }
  translation.text += text.substr(copied);
  if (sentences.empty()) return translation;
  translation.score = answer.score / static_cast<float>(sentences.size());
  if (const int language = sentences[0].language; language >= 0)
    translation.language = languages_[static_cast<size_t>(language)];
  if (!options.alignment) return translation;
  translation.alignment = Tensor::zeros({std::ssize(translation.tokens), std::ssize(translation.source_tokens)});
  int64_t row = 0, column = 0;
  for (size_t s = 0; s < sentences.size(); ++s) {
    const std::vector<int32_t>& ids = sentences[s].answers[answer.choices[s]].ids;
    add_alignment(sentences[s], ids, options, translation.alignment, row, column);
    row += std::ssize(ids);
    column += std::ssize(sentences[s].source);
  }
  return translation;
}

std::vector<std::vector<Translation>> Translate::translate(std::span<const std::string> texts,
                                                           const TranslateOptions& options) const {
  NoTape no_tape;
  options.generation.check(model_->config().vocab);
  if (options.batch_tokens < 1)
    fail<ConfigError>("translate: batch_tokens is {}, not at least 1", options.batch_tokens);
  if (const int64_t layers = model_->config().decoder.layers;
      options.alignment_layer < -1 || options.alignment_layer >= layers)
    fail<ConfigError>("translate: alignment_layer is {}, the decoder's layers are 0 to {}", options.alignment_layer,
                      layers - 1);
  if (!options.to.empty()) language_of({}, options.to);  // an unknown one is an error whatever the texts
  std::vector<Sentence> sentences;
  for (size_t text = 0; text < texts.size(); ++text)
    for (Sentence& sentence : sentences_of(text, texts[text], options)) sentences.push_back(std::move(sentence));
  generate_all(sentences, options);

  std::vector<std::vector<Translation>> translations(texts.size());
  size_t begin = 0;
  for (size_t text = 0; text < texts.size(); ++text) {
    size_t end = begin;
    while (end < sentences.size() && sentences[end].text == text) ++end;
    const auto own = std::span(sentences).subspan(begin, end - begin);
    for (const Answer& answer : Answer::of(own, options.generation))
      translations[text].push_back(assemble(texts[text], own, answer, options));
    begin = end;
  }
  return translations;
}

std::string Translate::operator()(std::string_view text) const {
  const std::string copy(text);
  return translate({&copy, 1}, defaults_).at(0).at(0).text;
}

TranslationLoss Translate::loss(std::span<const std::string> sources, std::span<const std::string> references,
                                const TranslateOptions& options) const {
  if (sources.size() != references.size())
    fail<ShapeError>("translate: {} sources do not fit {} references", sources.size(), references.size());
  NoTape no_tape;
  TranslationLoss result;
  std::vector<std::vector<int32_t>> from, to;
  std::vector<int32_t> labels;
  const auto add_batch = [&] {
    if (from.empty()) return;
    Pass pass;
    const Tensor targets = Tensor::from<int32_t>({std::ssize(labels)}, labels);
    result.sum += model_->loss(pass, Tokens::of(from), Tokens::of(to), targets, {.mean = false}).item();
    result.tokens += std::ssize(labels);
    from.clear();
    to.clear();
    labels.clear();
  };
  const int64_t limit = model_->config().max_length;
  int64_t tokens = 0;
  for (size_t i = 0; i < sources.size(); ++i) {
    require_utf8(sources[i], fmt::format("translate: source {}", i + 1));
    require_utf8(references[i], fmt::format("translate: reference {}", i + 1));
    auto source = source_ids(without_outer_space(sources[i]), language_of(sources[i], options.to));
    const auto reference = tokenizer_.encode_ids(without_outer_space(references[i]), false);
    const int64_t longest = std::max(std::ssize(source), std::ssize(reference) + 1);
    if (limit > 0 && longest > limit) {
      ++result.too_long;
      continue;
    }
    if (tokens + longest > options.batch_tokens) {
      add_batch();
      tokens = 0;
    }
    tokens += longest;
    from.push_back(std::move(source));
    to.push_back({start_});
    to.back().insert(to.back().end(), reference.begin(), reference.end());
    labels.insert(labels.end(), reference.begin(), reference.end());
    labels.push_back(eos_);
  }
  add_batch();
  return result;
}

}  // namespace attend
