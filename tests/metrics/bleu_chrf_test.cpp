#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "attend/base/error.hpp"
#include "attend/metrics/bleu.hpp"
#include "attend/metrics/chrf.hpp"
#include "attend/metrics/words.hpp"

using namespace attend;

namespace {

using Lines = std::vector<std::string>;
using References = std::vector<Lines>;

double bleu(const Lines& hypotheses, const References& references, const Bleu::Options& options = {}) {
  return corpus_bleu(hypotheses, references, options).score;
}

}  // namespace

TEST_CASE("BLEU of a corpus worked out by hand") {
  // "the cat sat on a mat" against "the cat sat on the mat": 5/6, 3/5, 2/4, 1/3.
  const auto score = corpus_bleu(Lines{"the cat sat on a mat"}, References{{"the cat sat on the mat"}});
  CHECK(score.counts == std::vector<double>{5, 3, 2, 1});
  CHECK(score.totals == std::vector<double>{6, 5, 4, 3});
  CHECK(score.bp == 1);
  CHECK(score.score == doctest::Approx(100 * std::pow(5. / 6 * 3 / 5 * 2 / 4 * 1 / 3, 0.25)).epsilon(1e-12));
  CHECK(score.text() == "BLEU = 53.73 83.3/60.0/50.0/33.3 (BP = 1.000 ratio = 1.000 hyp_len = 6 ref_len = 6)");
  CHECK(score.signature() == "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0");
}

TEST_CASE("BLEU clips a repeated word at the reference that has it most often and takes the nearest length") {
  const auto score = corpus_bleu(Lines{"the the the"}, References{{"the cat"}, {"the the cat sat"}});
  CHECK(score.counts[0] == 2);
  CHECK(score.ref_len == 2);  // 2 and 4 are equally near to 3: the shorter
  CHECK(score.references == 2);
  CHECK(score.signature().starts_with("nrefs:2|"));
}

TEST_CASE("BLEU of empty and one-sided lines") {
  CHECK(bleu({""}, {{""}}) == 0);
  CHECK(bleu({""}, {{"a"}}) == 0);
  CHECK(bleu({"a"}, {{""}}) == 0);
  CHECK(bleu({" \t\n"}, {{"\u3000"}}) == 0);
  CHECK(bleu({"?!."}, {{"?!."}}, {.effective_order = true}) == doctest::Approx(100));
  CHECK(bleu({"...,,"}, {{"()"}}) == 0);
  const auto empty = corpus_bleu(Lines{""}, References{{"a b"}});
  CHECK(empty.bp == 0);
  CHECK(empty.text() == "BLEU = 0.00 0.0/0.0/0.0/0.0 (BP = 0.000 ratio = 0.000 hyp_len = 0 ref_len = 2)");
}

TEST_CASE("BLEU options change what they say") {
  const Lines hypothesis{"The Cat sat"};
  const References reference{{"the cat sat"}};
  CHECK(bleu(hypothesis, reference, {.lowercase = true, .effective_order = true}) == doctest::Approx(100));
  CHECK(bleu(hypothesis, reference, {.effective_order = true}) < 50);
  CHECK(bleu(hypothesis, reference, {.smooth_method = BleuSmoothing::none}) == 0);
  const auto added = corpus_bleu(hypothesis, reference, {.smooth_method = BleuSmoothing::add_k, .smooth_value = 0.5});
  CHECK(added.counts == std::vector<double>{1, 0.5, 0.5, 0.5});
  CHECK(added.signature() == "nrefs:1|case:mixed|eff:no|tok:13a|smooth:add-k[0.50]|version:2.6.0");
  CHECK(corpus_bleu(hypothesis, reference, {.max_ngram_order = 2}).precisions.size() == 2);
  CHECK(sentence_bleu("a b", Lines{"a b"}).score == doctest::Approx(100));  // effective order by default
}

TEST_CASE("lists that do not fit are errors") {
  CHECK_THROWS_WITH_AS(corpus_bleu(Lines{"a", "b"}, References{{"a", "b"}, {"a"}}),
                       "corpus_bleu: 2 hypotheses do not fit 1 lines of reference 2", ShapeError);
  CHECK_THROWS_WITH_AS(corpus_bleu(Lines{}, References{{}}), "corpus_bleu: no hypotheses", ShapeError);
  CHECK_THROWS_WITH_AS(corpus_chrf(Lines{"a"}, References{}), "corpus_chrf: no references", ShapeError);
  CHECK_THROWS_AS(sentence_bleu("a", Lines{}), ShapeError);
  CHECK_THROWS_AS(sentence_chrf("a", Lines{}), ShapeError);
  CHECK_THROWS_AS(corpus_bleu(Lines{"a"}, References{{"a"}}, {.max_ngram_order = 0}), ConfigError);
  CHECK_THROWS_AS(corpus_chrf(Lines{"a"}, References{{"a"}}, {.char_order = 0}), ConfigError);
  CHECK_THROWS_AS(corpus_chrf(Lines{"a"}, References{{"a"}}, {.word_order = -1}), ConfigError);
}

TEST_CASE("chrF worked out by hand") {
  // "ab" against "ac": unigrams 1 of 2, bigrams 0 of 1, longer ones on neither side.
  const auto score = sentence_chrf("ab", Lines{"ac"});
  CHECK(score.score == doctest::Approx(25).epsilon(1e-12));
  CHECK(score.text() == "chrF2 = 25.00");
  CHECK(score.signature() == "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0");
  CHECK(sentence_chrf("ab", Lines{"ac"}, {.word_order = 2}).text() == "chrF2++ = 16.67");
  CHECK(sentence_chrf("a b", Lines{"ab"}).score == 100);
  CHECK(sentence_chrf("a b", Lines{"ab"}, {.whitespace = true}).score < 100);
  CHECK(sentence_chrf("AB", Lines{"xx", "ab"}, {.lowercase = true}).score == 100);
}

TEST_CASE("chrF of empty lines and of marks alone") {
  CHECK(sentence_chrf("", Lines{""}).score == 0);
  CHECK(sentence_chrf("", Lines{"a"}).score == 0);
  CHECK(sentence_chrf("a", Lines{""}).score == 0);
  CHECK(sentence_chrf("?!", Lines{"?!"}, {.word_order = 2}).score == 100);
}

TEST_CASE("words and lower case are Python's") {
  CHECK(split_words(" a\u2003b\x1c"
                    "c\u00a0")
            .size() == 3);
  CHECK(strip("\u3000 x y\t\u2028") == "x y");
  CHECK(strip_end("\u3000 ").empty());
  CHECK(lower_case("ÀÉ가ΑΣ ΣΑΣ. Σ İ ẞ Ǆ") == "àé가ας σας. σ i\u0307 ß ǆ");
  CHECK(lower_case("ΑΣ'Α ΑΣ' ⅣΣ ΑΣⅣ") == "ασ'α ας' ⅳς ασⅳ");
}

TEST_CASE("the Chinese tokenizer sets general punctuation apart as sacreBLEU does") {
  CHECK(tokenize_for_bleu(BleuTokenizer::chinese, "a“b”漢字c") == "a “ b ” 漢 字 c");
}
