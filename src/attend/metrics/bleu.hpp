// BLEU (Papineni et al. 2002), equal to sacreBLEU 2.6 (Post 2018), signature included:
//
//   BLEU = BP · exp(Σₙ log pₙ / N),  BP = min(1, exp(1 − ref_len / sys_len))
//
// pₙ is the share of the hypotheses' n-grams that the references contain, each at most as often as there.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "attend/metrics/bleu_tokenizers.hpp"

namespace attend {

/// What stands for a pₙ without a match (Chen and Cherry 2014).
enum class BleuSmoothing { none, floor, add_k, exp };

constexpr auto enum_names(BleuSmoothing) {
  return std::to_array<EnumName<BleuSmoothing>>({{BleuSmoothing::none, "none"},
                                                 {BleuSmoothing::floor, "floor"},
                                                 {BleuSmoothing::add_k, "add-k"},
                                                 {BleuSmoothing::exp, "exp"}});
}

struct Bleu {
  struct Options {
    BleuTokenizer tokenize = BleuTokenizer::mteval_13a;
    BleuSmoothing smooth_method = BleuSmoothing::exp;
    std::optional<double> smooth_value = {};  ///< for floor (0.1) and add-k (1)
    bool lowercase = false;
    bool effective_order = false;  ///< leave out orders that no hypothesis is long enough for
    int max_ngram_order = 4;

    static void fields(auto& self, auto&& f) {
      f("tokenize", self.tokenize, Doc{.en = "tokenizer", .ko = "토크나이저"});
      f("smooth_method", self.smooth_method, Doc{.en = "smoothing", .ko = "평활 방법"});
      f("smooth_value", self.smooth_value, Doc{.en = "value of floor and add-k", .ko = "floor와 add-k의 값", .min = 0});
      f("lowercase", self.lowercase, Doc{.en = "ignore case", .ko = "대소문자 무시"});
      f("effective_order", self.effective_order, Doc{.en = "only orders that occur", .ko = "나타나는 차수만 사용"});
      f("max_ngram_order", self.max_ngram_order, Doc{.en = "longest n-gram", .ko = "최대 n-gram", .min = 1, .max = 16});
    }
  };

  struct Score {
    double score = 0;                ///< 0 to 100
    std::vector<double> precisions;  ///< pₙ in percent, smoothed
    double bp = 0;
    int64_t sys_len = 0, ref_len = 0;    ///< tokens
    std::vector<double> counts, totals;  ///< matching and all n-grams by order; add-k is added from n = 2 on
    size_t references = 1;
    Options options;

    /// "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"
    std::string signature() const;
    /// "BLEU = 58.53 90.9/71.4/57.3/47.5 (BP = 0.903 ratio = 0.907 hyp_len = 605 ref_len = 667)"
    std::string text() const;
  };
};

/// references[r][i] is the r-th translation of what hypotheses[i] translates. Lists of other lengths, or none at all,
/// throw ShapeError, options out of range ConfigError.
Bleu::Score corpus_bleu(std::span<const std::string> hypotheses, std::span<const std::vector<std::string>> references,
                        const Bleu::Options& options = {});

/// One sentence against its translations.
Bleu::Score sentence_bleu(const std::string& hypothesis, std::span<const std::string> references,
                          const Bleu::Options& options = {.effective_order = true});

}  // namespace attend
