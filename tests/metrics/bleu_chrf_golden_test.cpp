// BLEU and chrF against sacreBLEU's own scores.
#include <doctest/doctest.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>

#include "attend/base/file.hpp"
#include "attend/base/json.hpp"
#include "attend/metrics/bleu.hpp"
#include "attend/metrics/chrf.hpp"
#include "golden.hpp"

using namespace attend;
using nlohmann::json;

namespace {

constexpr double tolerance = 1e-9;

struct Corpus {
  std::vector<std::string> hypotheses;
  std::vector<std::vector<std::string>> references;

  std::vector<std::string> references_of(size_t i) const {
    std::vector<std::string> result;
    for (const auto& lines : references) result.push_back(lines[i]);
    return result;
  }
};

// Python writes NaN where JSON has no number; the sections read here have none.
std::string without_nan(std::string text) {
  for (size_t at = 0; (at = text.find(": NaN", at)) != text.npos; at += 6) text.replace(at, 5, ": null");
  return text;
}

const json& golden() {
  static const json file = [] {
    const auto path = attend::testing::golden_folder() / "metrics" / "metrics.json";
    return parse_json(without_nan(read_file(path, 64 << 20)), path.string());
  }();
  return file;
}

Corpus corpus(const json& record) {
  const json& set = golden().at("sets").at(record.at("set").get<std::string>());
  return {set.at("hyps"), set.at("refs")};
}

bool has_tokenizer(const std::string& name) {
  return std::ranges::any_of(enum_names(BleuTokenizer{}), [&](const auto& entry) { return entry.name == name; });
}

void not_yet(const std::string& name) {
  static std::set<std::string> told;
  if (told.insert(name).second) std::cout << "not yet: metrics " << name << '\n';
}

void check_near(double actual, double expected) {
  CHECK(actual - expected <= tolerance);
  CHECK(expected - actual <= tolerance);
}

void check_near(const std::vector<double>& actual, const json& expected) {
  REQUIRE(actual.size() == expected.size());
  for (size_t i = 0; i < actual.size(); ++i) check_near(actual[i], expected[i].get<double>());
}

}  // namespace

TEST_CASE("golden BLEU") {
  size_t checked = 0;
  for (const json& record : golden().at("bleu")) {
    INFO(record.at("set"), " ", record.at("params"));
    if (const std::string name = record.at("params").value("tokenize", "13a"); !has_tokenizer(name)) {
      not_yet("bleu tokenizer " + name);
      continue;
    }
    Bleu::Options options;
    apply_json(options_of(options), record.at("params"), "params");
    const Corpus lines = corpus(record);
    const Bleu::Score score = corpus_bleu(lines.hypotheses, lines.references, options);
    check_near(score.score, record.at("score").get<double>());
    check_near(score.precisions, record.at("precisions"));
    check_near(score.bp, record.at("bp").get<double>());
    CHECK(score.sys_len == record.at("sys_len"));
    CHECK(score.ref_len == record.at("ref_len"));
    check_near(score.counts, record.at("counts"));
    check_near(score.totals, record.at("totals"));
    CHECK(score.signature() == record.at("signature").get<std::string>());
    if (record.contains("sentence")) {
      std::vector<double> sentences;
      for (size_t i = 0; i < lines.hypotheses.size(); ++i)
        sentences.push_back(sentence_bleu(lines.hypotheses[i], lines.references_of(i), options).score);
      check_near(sentences, record.at("sentence"));
    }
    ++checked;
  }
  CHECK(checked > 0);
}

TEST_CASE("golden BLEU tokenizers") {
  for (const auto& [name, pairs] : golden().at("bleu_tokenizers").items()) {
    if (!has_tokenizer(name)) {
      not_yet("bleu tokenizer " + name);
      continue;
    }
    Bleu::Options options;
    apply_json(options_of(options), {{"tokenize", name}}, "tokenizer");
    for (const json& pair : pairs) {
      INFO(name, " ", pair[0]);
      CHECK(tokenize_for_bleu(options.tokenize, pair[0].get<std::string>()) == pair[1].get<std::string>());
    }
  }
}

TEST_CASE("golden chrF") {
  size_t checked = 0;
  for (const json& record : golden().at("chrf")) {
    INFO(record.at("set"), " ", record.at("params"));
    Chrf::Options options;
    apply_json(options_of(options), record.at("params"), "params");
    const Corpus lines = corpus(record);
    const Chrf::Score score = corpus_chrf(lines.hypotheses, lines.references, options);
    check_near(score.score, record.at("score").get<double>());
    CHECK(score.signature() == record.at("name").get<std::string>());
    std::vector<double> sentences;
    for (size_t i = 0; i < lines.hypotheses.size(); ++i)
      sentences.push_back(sentence_chrf(lines.hypotheses[i], lines.references_of(i), options).score);
    check_near(sentences, record.at("sentence"));
    ++checked;
  }
  CHECK(checked > 0);
}

TEST_CASE("golden sections without a metric are listed") {
  const std::set<std::string> built = {"bleu", "bleu_tokenizers", "chrf"}, data = {"sets", "versions"};
  for (const auto& [section, records] : golden().items())
    if (!built.contains(section) && !data.contains(section)) not_yet(section);
}
