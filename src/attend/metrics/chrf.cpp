#include "attend/metrics/chrf.hpp"

#include <fmt/format.h>

#include <cctype>
#include <string_view>

#include "attend/base/error.hpp"
#include "attend/base/unicode.hpp"
#include "attend/metrics/corpus.hpp"
#include "attend/metrics/words.hpp"

namespace attend {
namespace {

// n-grams of one order.
struct Counts {
  int64_t hypothesis = 0, reference = 0, matches = 0;
};

bool is_ascii_punctuation(char c) { return c > ' ' && c < 0x7f && !std::isalnum(static_cast<unsigned char>(c)); }

// Words with an ASCII punctuation mark at their end, or else at their start, set apart.
std::vector<std::string_view> words_and_marks(std::string_view line) {
  std::vector<std::string_view> parts;
  for (const std::string_view word : split_words(line)) {
    const size_t size = word.size();
    if (static_cast<size_t>(code_point_at(word, 0).length) == size) {
      parts.push_back(word);
    } else if (is_ascii_punctuation(word.back())) {
      parts.insert(parts.end(), {word.substr(0, size - 1), word.substr(size - 1)});
    } else if (is_ascii_punctuation(word.front())) {
      parts.insert(parts.end(), {word.substr(0, 1), word.substr(1)});
    } else {
      parts.push_back(word);
    }
  }
  return parts;
}

std::vector<uint32_t> characters(std::string_view line, bool whitespace) {
  std::vector<uint32_t> result;
  for (const char32_t c : characters_of(line))
    if (whitespace || !is_separator(c)) result.push_back(c);
  return result;
}

// F of the counts of all orders, in percent.
double f_score(std::span<const Counts> counts, const Chrf::Options& options) {
  constexpr double epsilon = 1e-16;
  const double factor = options.beta * options.beta;
  double sum_of_f = 0, precision_sum = 0, recall_sum = 0;
  int orders = 0;
  for (const Counts& order : counts) {
    const auto matches = static_cast<double>(order.matches);
    const double precision = order.hypothesis > 0 ? matches / static_cast<double>(order.hypothesis) : epsilon;
    const double recall = order.reference > 0 ? matches / static_cast<double>(order.reference) : epsilon;
    const double denominator = factor * precision + recall;
    sum_of_f += denominator > 0 ? (1 + factor) * precision * recall / denominator : epsilon;
    if (order.hypothesis > 0 && order.reference > 0) {
      precision_sum += precision;
      recall_sum += recall;
      ++orders;
    }
  }
  if (options.eps_smoothing) return 100 * sum_of_f / static_cast<double>(counts.size());
  if (orders == 0 || precision_sum + recall_sum == 0) return 0;
  const double precision = precision_sum / orders, recall = recall_sum / orders;
  return 100 * ((1 + factor) * precision * recall / (factor * precision + recall));
}

using Ngrams = std::vector<std::vector<uint32_t>>;

// An order that the reference is too short for counts for neither side.
void add_counts(std::vector<Counts>& counts, const Ngrams& hypothesis, const Ngrams& reference, size_t numbers) {
  std::vector<int64_t> left(numbers);
  for (size_t n = 0; n < hypothesis.size(); ++n) {
    Counts order;
    if (!reference[n].empty()) order.hypothesis = static_cast<int64_t>(hypothesis[n].size());
    order.reference = static_cast<int64_t>(reference[n].size());
    for (const uint32_t ngram : reference[n]) ++left[ngram];
    for (const uint32_t ngram : hypothesis[n])
      if (left[ngram] > 0) {
        --left[ngram];
        ++order.matches;
      }
    counts.push_back(order);
  }
}

// The counts against the reference with the best score, the first of equals.
std::vector<Counts> count_sentence(const std::string& hypothesis, std::span<const std::string* const> references,
                                   const Chrf::Options& options) {
  std::vector<std::string> lines{hypothesis};
  for (const std::string* reference : references) lines.push_back(*reference);
  if (options.lowercase)
    for (std::string& line : lines) line = lower_case(line);

  WordIndex words;
  NgramIndex character_ngrams, word_ngrams;
  std::vector<Ngrams> of_characters, of_words;
  for (const std::string& line : lines) {
    of_characters.push_back(character_ngrams.numbers(characters(line, options.whitespace), options.char_order));
    if (options.word_order > 0)
      of_words.push_back(word_ngrams.numbers(words.numbers(words_and_marks(line)), options.word_order));
  }
  std::vector<Counts> best;
  double best_score = -1;
  for (size_t r = 1; r < lines.size(); ++r) {
    std::vector<Counts> counts;
    add_counts(counts, of_characters[0], of_characters[r], character_ngrams.size());
    if (options.word_order > 0) add_counts(counts, of_words[0], of_words[r], word_ngrams.size());
    const double score = f_score(counts, options);
    if (score > best_score) {
      best_score = score;
      best = std::move(counts);
    }
  }
  return best;
}

}  // namespace

Chrf::Score corpus_chrf(std::span<const std::string> hypotheses, std::span<const std::vector<std::string>> references,
                        const Chrf::Options& options) {
  require_same_lines("corpus_chrf", hypotheses, references);
  if (options.char_order < 1 || options.word_order < 0 || !(options.beta >= 0))
    fail<ConfigError>("corpus_chrf: char_order {}, word_order {} and beta {} must be at least 1, 0 and 0",
                      options.char_order, options.word_order, options.beta);
  std::vector<Counts> sum(static_cast<size_t>(options.char_order + options.word_order));
  for (size_t i = 0; i < hypotheses.size(); ++i) {
    const auto counts = count_sentence(hypotheses[i], references_of(i, references), options);
    for (size_t n = 0; n < sum.size(); ++n) {
      sum[n].hypothesis += counts[n].hypothesis;
      sum[n].reference += counts[n].reference;
      sum[n].matches += counts[n].matches;
    }
  }
  return {f_score(sum, options), references.size(), options};
}

Chrf::Score sentence_chrf(const std::string& hypothesis, std::span<const std::string> references,
                          const Chrf::Options& options) {
  std::vector<std::vector<std::string>> columns;
  for (const std::string& reference : references) columns.push_back({reference});
  return corpus_chrf({&hypothesis, 1}, columns, options);
}

std::string Chrf::Score::name() const { return fmt::format("chrF{}{:+>{}}", options.beta, "", options.word_order); }

std::string Chrf::Score::signature() const {
  return fmt::format("nrefs:{}|case:{}|eff:{}|nc:{}|nw:{}|space:{}|version:{}", references,
                     options.lowercase ? "lc" : "mixed", options.eps_smoothing ? "no" : "yes", options.char_order,
                     options.word_order, options.whitespace ? "yes" : "no", sacrebleu_version);
}

std::string Chrf::Score::text() const { return fmt::format("{} = {:.2f}", name(), score); }

}  // namespace attend
