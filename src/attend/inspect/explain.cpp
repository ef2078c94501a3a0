#include <attend/base/error.hpp>
#include <attend/base/unicode.hpp>
#include <attend/inspect/explain.hpp>
#include <attend/tensor/tape.hpp>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>

namespace attend {
namespace {

constexpr int64_t most_tokens = 512;  // all weights of all heads are kept: 1 MiB a head at this length

/// The study notes' illustration of attention.
constexpr std::string_view notes_sentence = "펭귄은 날지 못하지만 빠르게 수영할 수 있다", notes_query = "수영할";
const std::vector<std::string> notes_high{"펭귄은", "빠르게"}, notes_low{"날지", "못하지만"};

[[noreturn]] void fail_unknown_word(std::string_view word, const std::vector<WordPieces>& words) {
  std::vector<std::string_view> names;
  for (const WordPieces& entry : words) names.push_back(entry.text);
  fail<ConfigError>("explain: no word \"{}\" in the text, only: {}", word, fmt::join(names, " "));
}

/// Fills query, occurrence and occurrences.
void find_query(Explanation& e, std::string_view query) {
  std::vector<size_t> found = find_word(e.words, query);
  if (const size_t colon = query.rfind(':'); found.empty() && colon != query.npos) {  // WORD:2
    const char* end = query.data() + query.size();
    const auto [stop, error] = std::from_chars(query.data() + colon + 1, end, e.occurrence);
    if (error != std::errc() || stop != end) fail_unknown_word(query, e.words);
    query = query.substr(0, colon);
    found = find_word(e.words, query);
  }
  if (found.empty()) fail_unknown_word(query, e.words);
  e.occurrences = std::ssize(found);
  if (e.occurrence < 1 || e.occurrence > e.occurrences)
    fail<ConfigError>("explain: \"{}\" occurs {} time{}, there is no occurrence {}", query, e.occurrences,
                      e.occurrences == 1 ? "" : "s", e.occurrence);
  e.query = found[static_cast<size_t>(e.occurrence - 1)];
}

std::vector<size_t> find_all(const std::vector<WordPieces>& words, const std::vector<std::string>& names) {
  std::vector<size_t> all;
  for (const std::string& name : names) {
    const std::vector<size_t> found = find_word(words, name);
    if (found.empty()) fail_unknown_word(name, words);
    for (const size_t word : found)
      if (std::find(all.begin(), all.end(), word) == all.end()) all.push_back(word);
  }
  return all;
}

void find_expectation(Explanation& e, const ExplainOptions& options) {
  if (options.high.empty() != options.low.empty())
    fail<ConfigError>("explain: an expectation needs words expected high and words expected low");
  const bool notes = options.high.empty() && e.text == notes_sentence && e.words[e.query].text == notes_query;
  e.high = find_all(e.words, notes ? notes_high : options.high);
  e.low = find_all(e.words, notes ? notes_low : options.low);
  if (options.best_head && e.high.empty())
    fail<ConfigError>("explain: the best head is sought for an expectation: name words expected high and low");
}

ExpectationFit fit_of(const Explanation& e, const Matrix& weights) {
  const auto row = static_cast<int64_t>(e.query);
  ExpectationFit fit{0, 0, true};
  for (const size_t high : e.high) {
    fit.high += weights(row, static_cast<int64_t>(high)) / static_cast<double>(e.high.size());
    for (const size_t low : e.low)
      fit.holds &= weights(row, static_cast<int64_t>(high)) > weights(row, static_cast<int64_t>(low));
  }
  for (const size_t low : e.low) fit.low += weights(row, static_cast<int64_t>(low)) / static_cast<double>(e.low.size());
  return fit;
}

/// How much the query's attention is spread over other words of the text: their part of its entropy.
double spread(const Explanation& e, const Matrix& weights) {
  double sum = 0;
  for (size_t word = 0; word < e.words.size(); ++word)
    if (const double weight = weights(static_cast<int64_t>(e.query), static_cast<int64_t>(word));
        word != e.query && !e.words[word].special && weight != 0)
      sum -= weight * std::log(weight);
  return sum;
}

std::string site(int64_t layer, const char* name) { return fmt::format("encoder.blocks.{}.attention.{}", layer, name); }

std::span<const float> weights_of(const Probe& probe, HeadPlace place) {
  const Tensor& all = probe[site(place.layer, "weights")];  // [heads, pieces, pieces]
  const int64_t size = all.size(1) * all.size(2);
  return {all.data<float>() + place.head * size, static_cast<size_t>(size)};
}

/// Chooses the head among those left open and counts those that fit.
void choose_head(Explanation& e, const Probe& probe, const ExplainOptions& options) {
  const auto check = [](const char* what, std::optional<int64_t> value, int64_t count) {
    if (value && (*value < 0 || *value >= count))
      fail<ConfigError>("explain: {0} is {1}, the encoder's {0}s are 0 to {2}", what, *value, count - 1);
  };
  check("layer", options.layer, e.layers);
  check("head", options.head, e.heads);
  e.choice = options.layer && options.head ? HeadChoice::given
             : options.best_head           ? HeadChoice::nearest
                                           : HeadChoice::spread;
  std::optional<double> best, best_that_fits;
  for (int64_t layer = 0; layer < e.layers; ++layer)
    for (int64_t head = 0; head < e.heads; ++head) {
      const Matrix weights = word_weights(weights_of(probe, {layer, head}), e.words);
      const ExpectationFit fit = fit_of(e, weights);
      if (!e.high.empty() && fit.holds) {
        ++e.heads_that_fit;
        if (!best_that_fits || fit.margin() > *best_that_fits) {
          best_that_fits = fit.margin();
          e.nearest_that_fits = {layer, head};
        }
      }
      if (layer != options.layer.value_or(layer) || head != options.head.value_or(head)) continue;
      const double score = options.best_head ? fit.margin() : spread(e, weights);
      if (best && !(score > *best)) continue;
      best = score;
      e.place = {layer, head};
      e.word_weights = weights;
      if (!e.high.empty()) e.fit = fit;
    }
}

/// Columns [head·dₖ, …) of [pieces, width].
Tensor head_of(const Tensor& all, int64_t head, int64_t width) {
  Tensor result({all.size(0), width});
  for (int64_t i = 0; i < all.size(0); ++i)
    std::copy_n(all.data<float>() + i * all.size(1) + head * width, width, result.data<float>() + i * width);
  return result;
}

Matrix in_double(const Tensor& tensor) {
  const auto values = tensor.values<float>();
  return {tensor.size(0), tensor.size(1), {values.begin(), values.end()}};
}

double largest_difference(const Tensor& a, const Matrix& b) {
  double largest = 0;
  for (size_t i = 0; i < b.values.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a.values<float>()[i]) - b.values[i]);
    if (!(difference <= largest)) largest = difference;  // NaN stays
  }
  return largest;
}

void fill_head(Explanation& e, const Probe& probe) {
  const auto [layer, head] = e.place;
  const auto pieces = std::ssize(e.pieces);
  const auto part = [&](const char* name) {
    const Tensor& all = probe[site(layer, name)];
    return head_of(all, head, all.size(1) / e.heads);
  };
  e.q = part("query");
  e.k = part("key");
  e.v = part("value");
  e.out = part("mixed");
  e.weights = Tensor::from<float>({pieces, pieces}, weights_of(probe, e.place));
  e.steps = attention_steps(in_double(e.q), in_double(e.k), in_double(e.v));
  e.weights_difference = largest_difference(e.weights, e.steps.weights);
  e.out_difference = largest_difference(e.out, e.steps.out);
}

/// The code points [span.begin, span.end) of a text.
std::string_view slice(std::string_view text, Span span) {
  size_t begin = 0, end = 0;
  for (uint32_t place = 0; end < text.size() && place < span.end; ++place) {
    if (place == span.begin) begin = end;
    end += static_cast<size_t>(code_point_at(text, end).length);
  }
  return span.begin < span.end ? text.substr(begin, end - begin) : std::string_view();
}

std::vector<ExplainedPiece> pieces_of(const Tokenizer& tokenizer, std::string_view text, const Encoding& encoding) {
  std::vector<ExplainedPiece> pieces;
  int part = 0;  // of a character
  for (size_t i = 0; i < encoding.size(); ++i) {
    ExplainedPiece piece{encoding.ids[i], encoding.tokens[i], tokenizer.decode({&encoding.ids[i], 1}, false),
                         encoding.offsets[i], encoding.special_mask[i] != 0};
    const bool incomplete = !piece.special && piece.text.find("\uFFFD") != std::string::npos;
    part = !incomplete ? 0 : part > 0 && pieces.back().span == piece.span ? part + 1 : 1;
    if (incomplete) piece.text = fmt::format("{}({})", slice(text, piece.span), part);
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

/// `text` from its first word to its last.
std::string_view without_outer_space(std::string_view text) {
  const std::vector<Word> words = split_into_words(text);
  return words.empty() ? std::string_view() : slice(text, {words.front().span.begin, words.back().span.end});
}

}  // namespace

bool Explanation::agrees() const {
  double magnitude = 1;
  for (const double value : steps.v.values) magnitude = std::max(magnitude, std::abs(value));
  return weights_difference <= tolerance && out_difference <= tolerance * magnitude;
}

Explanation explain(const Translate& translate, std::string_view text, const ExplainOptions& options) {
  require_utf8(text, "explain: text");
  Explanation e;
  e.text = without_outer_space(text);
  if (e.text.empty()) fail<ConfigError>("explain: the text has no words");
  const Encoding encoding = translate.source(e.text, options.to);
  if (std::ssize(encoding.ids) > most_tokens)
    fail<ShapeError>("explain: the text has {} tokens, more than {}: give a sentence", encoding.size(), most_tokens);
  for (const std::string& language : translate.languages())
    if (encoding.tokens.front() == fmt::format(">>{}<<", language)) e.language = language;
  e.pieces = pieces_of(translate.tokenizer(), e.text, encoding);
  e.words = words_of(e.text, encoding);
  find_query(e, options.query);
  find_expectation(e, options);

  const TransformerConfig& config = translate.model().config();
  e.layers = config.encoder.layers;
  e.heads = config.encoder.block.heads;
  Probe probe;
  for (int64_t layer = 0; layer < e.layers; ++layer)
    for (const char* name : {"query", "key", "value", "weights", "mixed"}) probe.read(site(layer, name));
  NoTape no_tape;
  Pass pass;
  pass.probe = &probe;
  translate.model().encode(pass, Tokens::of({encoding.ids}));
  choose_head(e, probe, options);
  fill_head(e, probe);
  return e;
}

}  // namespace attend
