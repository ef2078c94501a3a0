#include "attend/metrics/bleu.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "attend/base/error.hpp"
#include "attend/metrics/corpus.hpp"
#include "attend/metrics/words.hpp"

namespace attend {
namespace {

struct Statistics {
  int64_t sys_len = 0, ref_len = 0;
  std::vector<int64_t> matches, totals;
};

std::string prepared(const std::string& line, const Bleu::Options& options) {
  if (options.lowercase) return tokenize_for_bleu(options.tokenize, strip_end(lower_case(line)));
  return tokenize_for_bleu(options.tokenize, strip_end(line));
}

void add_sentence(Statistics& statistics, const std::string& hypothesis, std::span<const std::string* const> references,
                  const Bleu::Options& options) {
  std::vector<std::string> lines;  // the words in the index point into them
  for (const std::string* reference : references) lines.push_back(prepared(*reference, options));
  lines.push_back(prepared(hypothesis, options));

  WordIndex words;
  NgramIndex ngrams;
  const auto ngrams_of = [&](const std::string& line, int64_t& length) {
    const auto tokens = words.numbers(split_words(line));
    length = static_cast<int64_t>(tokens.size());
    return ngrams.numbers(tokens, options.max_ngram_order);
  };
  int64_t sys_len = 0;
  const auto of_hypothesis = ngrams_of(lines.back(), sys_len);

  // Each n-gram may match as often as the reference that has it most often; the nearest length counts.
  std::vector<int64_t> allowed;
  std::optional<int64_t> ref_len;
  for (size_t r = 0; r < references.size(); ++r) {
    int64_t length = 0;
    const auto of_reference = ngrams_of(lines[r], length);
    std::vector<int64_t> counts(ngrams.size());
    for (const auto& order : of_reference)
      for (const uint32_t ngram : order) ++counts[ngram];
    allowed.resize(ngrams.size());
    for (size_t i = 0; i < allowed.size(); ++i) allowed[i] = std::max(allowed[i], counts[i]);
    const auto distance = [&](int64_t l) { return std::pair(std::abs(l - sys_len), l); };
    if (!ref_len || distance(length) < distance(*ref_len)) ref_len = length;
  }
  statistics.sys_len += sys_len;
  statistics.ref_len += *ref_len;
  for (size_t n = 0; n < of_hypothesis.size(); ++n) {
    statistics.totals[n] += static_cast<int64_t>(of_hypothesis[n].size());
    for (const uint32_t ngram : of_hypothesis[n])
      if (allowed[ngram] > 0) {
        --allowed[ngram];
        ++statistics.matches[n];
      }
  }
}

Bleu::Score score_of(const Statistics& statistics, size_t references, const Bleu::Options& options) {
  const auto orders = static_cast<size_t>(options.max_ngram_order);
  Bleu::Score score;
  score.options = options;
  score.references = references;
  score.sys_len = statistics.sys_len;
  score.ref_len = statistics.ref_len;
  score.counts.assign(statistics.matches.begin(), statistics.matches.end());
  score.totals.assign(statistics.totals.begin(), statistics.totals.end());
  score.precisions.assign(orders, 0.0);
  const double ratio = static_cast<double>(score.ref_len) / static_cast<double>(score.sys_len);
  score.bp = score.sys_len >= score.ref_len ? 1 : score.sys_len > 0 ? std::exp(1 - ratio) : 0;
  if (std::ranges::none_of(statistics.matches, [](int64_t count) { return count > 0; })) return score;

  const bool add_k = options.smooth_method == BleuSmoothing::add_k;
  const double value = options.smooth_value.value_or(add_k ? 1.0 : 0.1);
  double halving = 1;
  size_t used = orders;
  for (size_t n = 0; n < orders; ++n) {
    if (add_k && n > 0) {
      score.counts[n] += value;
      score.totals[n] += value;
    }
    if (score.totals[n] == 0) break;
    if (options.effective_order) used = n + 1;
    if (score.counts[n] > 0) {
      score.precisions[n] = 100 * score.counts[n] / score.totals[n];
    } else if (options.smooth_method == BleuSmoothing::exp) {
      halving *= 2;
      score.precisions[n] = 100 / (halving * score.totals[n]);
    } else if (options.smooth_method == BleuSmoothing::floor) {
      score.precisions[n] = 100 * value / score.totals[n];
    }
  }
  constexpr double log_of_zero = -9999999999;  // its exponential is zero, but a sum with it stays finite
  double sum = 0;
  for (size_t n = 0; n < used; ++n) sum += score.precisions[n] == 0 ? log_of_zero : std::log(score.precisions[n]);
  score.score = score.bp * std::exp(sum / static_cast<double>(used));
  return score;
}

}  // namespace

Bleu::Score corpus_bleu(std::span<const std::string> hypotheses, std::span<const std::vector<std::string>> references,
                        const Bleu::Options& options) {
  require_same_lines("corpus_bleu", hypotheses, references);
  if (options.max_ngram_order < 1)
    fail<ConfigError>("corpus_bleu: max_ngram_order is {}, it must be at least 1", options.max_ngram_order);
  const auto orders = static_cast<size_t>(options.max_ngram_order);
  Statistics statistics{.matches = std::vector<int64_t>(orders), .totals = std::vector<int64_t>(orders)};
  for (size_t i = 0; i < hypotheses.size(); ++i)
    add_sentence(statistics, hypotheses[i], references_of(i, references), options);
  return score_of(statistics, references.size(), options);
}

Bleu::Score sentence_bleu(const std::string& hypothesis, std::span<const std::string> references,
                          const Bleu::Options& options) {
  std::vector<std::vector<std::string>> columns;
  for (const std::string& reference : references) columns.push_back({reference});
  return corpus_bleu({&hypothesis, 1}, columns, options);
}

std::string Bleu::Score::signature() const {
  const auto name = [](auto value) {
    for (const auto& entry : enum_names(value))
      if (entry.value == value) return entry.name;
    return std::string_view();
  };
  std::string smooth(name(options.smooth_method));
  if (options.smooth_method == BleuSmoothing::floor)
    smooth += fmt::format("[{:.2f}]", options.smooth_value.value_or(0.1));
  if (options.smooth_method == BleuSmoothing::add_k)
    smooth += fmt::format("[{:.2f}]", options.smooth_value.value_or(1));
  return fmt::format("nrefs:{}|case:{}|eff:{}|tok:{}|smooth:{}|version:{}", references,
                     options.lowercase ? "lc" : "mixed", options.effective_order ? "yes" : "no", name(options.tokenize),
                     smooth, sacrebleu_version);
}

std::string Bleu::Score::text() const {
  std::string percents;
  for (const double precision : precisions) percents += fmt::format("{}{:.1f}", percents.empty() ? "" : "/", precision);
  const double ratio = ref_len > 0 ? static_cast<double>(sys_len) / static_cast<double>(ref_len) : 0;
  return fmt::format("BLEU = {:.2f} {} (BP = {:.3f} ratio = {:.3f} hyp_len = {} ref_len = {})", score, percents, bp,
                     ratio, sys_len, ref_len);
}

}  // namespace attend
