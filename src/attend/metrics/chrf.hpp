// chrF (Popović 2015) and chrF++ (Popović 2017), equal to sacreBLEU 2.6, signature included:
//
//   chrFβ = (1 + β²) · P · R / (β² · P + R)
//
// P and R are the precision and the recall of character n-grams (chrF++: and word n-grams), averaged over the orders.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "attend/base/fields.hpp"

namespace attend {

struct Chrf {
  struct Options {
    int char_order = 6;
    int word_order = 0;  ///< 2 = chrF++
    double beta = 2;     ///< how much more recall weighs than precision
    bool lowercase = false;
    bool whitespace = false;     ///< keep white space in character n-grams
    bool eps_smoothing = false;  ///< average F over all orders, those without n-grams too, as chrF++.py does

    static void fields(auto& self, auto&& f) {
      f("char_order", self.char_order,
        Doc{.en = "longest character n-gram", .ko = "최대 글자 n-gram", .min = 1, .max = 32});
      f("word_order", self.word_order, Doc{.en = "longest word n-gram", .ko = "최대 단어 n-gram", .min = 0, .max = 16});
      f("beta", self.beta, Doc{.en = "weight of recall", .ko = "재현율의 비중", .min = 0});
      f("lowercase", self.lowercase, Doc{.en = "ignore case", .ko = "대소문자 무시"});
      f("whitespace", self.whitespace, Doc{.en = "keep white space", .ko = "공백 유지"});
      f("eps_smoothing", self.eps_smoothing, Doc{.en = "count orders without n-grams", .ko = "빈 차수도 포함"});
    }
  };

  struct Score {
    double score = 0;  ///< 0 to 100
    size_t references = 1;
    Options options;

    /// "chrF2", "chrF2++"
    std::string name() const;
    /// "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0"
    std::string signature() const;
    /// "chrF2 = 77.10"
    std::string text() const;
  };
};

/// references[r][i] is the r-th translation of what hypotheses[i] translates; the one with the best score counts. Lists
/// of other lengths, or none at all, throw ShapeError, options out of range ConfigError.
Chrf::Score corpus_chrf(std::span<const std::string> hypotheses, std::span<const std::vector<std::string>> references,
                        const Chrf::Options& options = {});

/// One sentence against its translations.
Chrf::Score sentence_chrf(const std::string& hypothesis, std::span<const std::string> references,
                          const Chrf::Options& options = {});

}  // namespace attend
