#include <attend/generate/logits.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_set>

namespace attend {
namespace {

constexpr float forbidden = -std::numeric_limits<float>::infinity();

void forbid(Scores scores, int32_t token) {
  if (token >= 0 && static_cast<size_t>(token) < scores.size()) scores[static_cast<size_t>(token)] = forbidden;
}

/// The k-th largest score, 1 ≤ k ≤ vocab.
float kth_largest(Scores scores, int64_t k) {
  std::vector<float> copy(scores.begin(), scores.end());
  auto kth = copy.begin() + (k - 1);
  std::nth_element(copy.begin(), kth, copy.end(), std::greater<>());
  return *kth;
}

/// softmax(scores) in double precision.
std::vector<double> probabilities(Scores scores) {
  std::vector<double> p(scores.size());
  const float max = *std::max_element(scores.begin(), scores.end());
  if (max == forbidden) return p;
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) sum += p[i] = std::exp(static_cast<double>(scores[i]) - max);
  for (double& x : p) x /= sum;
  return p;
}

/// -Σ p log p over the possible tokens.
double entropy(const std::vector<double>& p) {
  double sum = 0;
  for (double x : p)
    if (x > 0) sum -= x * std::log(x);
  return sum;
}

/// Forbids tokens below a probability, but none of the best `keep`.
void forbid_below(Scores scores, const std::vector<double>& p, double least, int64_t keep) {
  const float protect = kth_largest(scores, std::clamp<int64_t>(keep, 1, static_cast<int64_t>(scores.size())));
  for (size_t i = 0; i < scores.size(); ++i)
    if (p[i] < least && scores[i] < protect) scores[i] = forbidden;
}

}  // namespace

void apply_temperature(Scores scores, float temperature) {
  for (float& score : scores) score /= temperature;
}

void keep_top_k(Scores scores, int64_t k, int64_t min_tokens_to_keep) {
  k = std::max({k, min_tokens_to_keep, int64_t{1}});
  if (k >= static_cast<int64_t>(scores.size())) return;
  const float least = kth_largest(scores, k);
  for (float& score : scores)
    if (score < least) score = forbidden;
}

void keep_top_p(Scores scores, float p, int64_t min_tokens_to_keep) {
  if (scores.empty()) return;
  const auto probability = probabilities(scores);
  std::vector<int32_t> heap;  // only possible tokens, so that a top-k before this makes it cheap
  for (size_t i = 0; i < scores.size(); ++i)
    if (scores[i] > forbidden) heap.push_back(static_cast<int32_t>(i));
  const auto worse = [&](int32_t a, int32_t b) {
    const float x = scores[static_cast<size_t>(a)], y = scores[static_cast<size_t>(b)];
    return x != y ? x < y : a > b;
  };
  std::make_heap(heap.begin(), heap.end(), worse);
  // A token goes if it and all less probable ones hold no more than 1 - p; compared in single precision.
  const float rest = static_cast<float>(1.0 - static_cast<double>(p));
  double before = 0;
  auto end = heap.end();
  for (int64_t kept = 0; end != heap.begin(); ++kept) {
    if (kept >= min_tokens_to_keep && static_cast<float>(1.0 - before) <= rest) break;
    std::pop_heap(heap.begin(), end--, worse);
    before += probability[static_cast<size_t>(*end)];
  }
  for (auto i = heap.begin(); i != end; ++i) scores[static_cast<size_t>(*i)] = forbidden;
}

void keep_min_p(Scores scores, float min_p, int64_t min_tokens_to_keep) {
  if (scores.empty()) return;
  const auto p = probabilities(scores);
  forbid_below(scores, p, static_cast<double>(min_p) * *std::max_element(p.begin(), p.end()), min_tokens_to_keep);
}

void keep_typical(Scores scores, float mass, int64_t min_tokens_to_keep) {
  if (scores.empty()) return;
  const auto p = probabilities(scores);
  const double expected = entropy(p);
  struct Token {
    float distance;
    int32_t id;
  };
  std::vector<Token> tokens;
  for (size_t i = 0; i < p.size(); ++i)
    if (p[i] > 0) tokens.push_back({static_cast<float>(std::abs(-std::log(p[i]) - expected)), static_cast<int32_t>(i)});
  if (tokens.empty()) return;
  std::stable_sort(tokens.begin(), tokens.end(), [](Token a, Token b) { return a.distance < b.distance; });
  double sum = 0;
  size_t last = 0;
  for (; last + 1 < tokens.size(); ++last) {
    sum += p[static_cast<size_t>(tokens[last].id)];
    if (static_cast<float>(sum) >= mass) break;
  }
  const float most = tokens[last].distance;
  for (size_t i = static_cast<size_t>(std::max<int64_t>(min_tokens_to_keep, 0)); i < tokens.size(); ++i)
    if (tokens[i].distance > most) scores[static_cast<size_t>(tokens[i].id)] = forbidden;
}

void keep_epsilon(Scores scores, float epsilon, int64_t min_tokens_to_keep) {
  if (scores.empty()) return;
  forbid_below(scores, probabilities(scores), epsilon, min_tokens_to_keep);
}

void keep_eta(Scores scores, float epsilon, int64_t min_tokens_to_keep) {
  if (scores.empty()) return;
  const auto p = probabilities(scores);
  const double eta = std::min<double>(epsilon, std::sqrt(static_cast<double>(epsilon)) * std::exp(-entropy(p)));
  forbid_below(scores, p, eta, min_tokens_to_keep);
}

void penalize_repetition(Scores scores, TokenIds context, float penalty) {
  std::unordered_set<int32_t> seen;
  for (int32_t token : context) {
    if (token < 0 || static_cast<size_t>(token) >= scores.size() || !seen.insert(token).second) continue;
    float& score = scores[static_cast<size_t>(token)];
    score = score < 0 ? score * penalty : score / penalty;
  }
}

void forbid_repeated_ngrams(Scores scores, TokenIds context, TokenIds text, int64_t n) {
  if (n < 1) return;
  const size_t prefix = static_cast<size_t>(n - 1);
  if (context.size() < prefix || text.size() <= prefix) return;
  const auto start = context.last(prefix);
  for (size_t i = 0; i + prefix < text.size(); ++i)
    if (std::equal(start.begin(), start.end(), text.begin() + static_cast<ptrdiff_t>(i)))
      forbid(scores, text[i + prefix]);
}

void forbid_words(Scores scores, TokenIds context, std::span<const std::vector<int32_t>> words) {
  for (const auto& word : words) {
    if (word.empty() || (word.size() > 1 && word.size() > context.size())) continue;
    const auto end = context.last(word.size() - 1);
    if (std::equal(end.begin(), end.end(), word.begin())) forbid(scores, word.back());
  }
}

void forbid_tokens(Scores scores, TokenIds tokens) {
  for (int32_t token : tokens) forbid(scores, token);
}

void force_tokens(Scores scores, TokenIds tokens) {
  std::fill(scores.begin(), scores.end(), forbidden);
  for (int32_t token : tokens)
    if (token >= 0 && static_cast<size_t>(token) < scores.size()) scores[static_cast<size_t>(token)] = 0;
}

LogitsProcessors::LogitsProcessors(const GenerationOptions& options, int64_t prompt_length, int64_t max_length,
                                   TokenIds source)
    : options_(&options),
      max_length_(max_length),
      min_length_(std::max(options.min_length, options.min_new_tokens ? prompt_length + options.min_new_tokens : 0)),
      // A beam needs a token to go on with besides those that end it.
      min_tokens_to_keep_(
          options.num_beams > 1 ? std::max<int64_t>(2, static_cast<int64_t>(options.eos_token_id.size()) + 1) : 1),
      source_(source) {
  for (const auto& word : options.bad_words_ids)
    if (word.size() != 1 || !options.ends_with(word[0])) bad_words_.push_back(word);
  any_ = options.repetition_penalty != 1 || options.no_repeat_ngram_size > 0 ||
         options.encoder_no_repeat_ngram_size > 0 || !bad_words_.empty() ||
         (min_length_ > 0 && !options.eos_token_id.empty()) || options.forced_bos_token_id ||
         !options.forced_eos_token_id.empty() || !options.suppress_tokens.empty() || options.do_sample;
}

void LogitsProcessors::operator()(TokenIds context, Scores scores) const {
  if (!any_) return;
  constrain(context, scores);
  if (options_->do_sample) sharpen(scores);
}

bool LogitsProcessors::rewrites(int64_t length) const noexcept {
  return options_->do_sample || options_->repetition_penalty != 1 || forces_first(length) || forces_last(length);
}

void LogitsProcessors::constrain(TokenIds context, Scores scores) const {
  const auto& options = *options_;
  const auto length = static_cast<int64_t>(context.size());
  if (options.repetition_penalty != 1) penalize_repetition(scores, context, options.repetition_penalty);
  if (options.no_repeat_ngram_size > 0) forbid_repeated_ngrams(scores, context, context, options.no_repeat_ngram_size);
  if (options.encoder_no_repeat_ngram_size > 0)
    forbid_repeated_ngrams(scores, context, source_, options.encoder_no_repeat_ngram_size);
  forbid_words(scores, context, bad_words_);
  if (length < min_length_) forbid_tokens(scores, options.eos_token_id);
  if (forces_first(length)) force_tokens(scores, {&*options.forced_bos_token_id, 1});
  if (forces_last(length)) force_tokens(scores, options.forced_eos_token_id);
  forbid_tokens(scores, options.suppress_tokens);
}

void LogitsProcessors::sharpen(Scores scores) const {
  const auto& options = *options_;
  if (options.temperature != 1) apply_temperature(scores, options.temperature);
  if (options.top_k > 0) keep_top_k(scores, options.top_k, min_tokens_to_keep_);
  if (options.top_p < 1) keep_top_p(scores, options.top_p, min_tokens_to_keep_);
  if (options.min_p > 0) keep_min_p(scores, options.min_p, min_tokens_to_keep_);
  if (options.typical_p < 1) keep_typical(scores, options.typical_p, min_tokens_to_keep_);
  if (options.epsilon_cutoff > 0) keep_epsilon(scores, options.epsilon_cutoff, min_tokens_to_keep_);
  if (options.eta_cutoff > 0) keep_eta(scores, options.eta_cutoff, min_tokens_to_keep_);
}

}  // namespace attend
