// attend evaluate: how well a model translates a file of pairs.
#include <attend/base/error.hpp>
#include <attend/data/pairs.hpp>
#include <attend/metrics/bleu.hpp>
#include <attend/metrics/chrf.hpp>
#include <attend/tasks/translate.hpp>
#include <attend/tensor/precision.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "commands.hpp"
#include "model_folder.hpp"

namespace attend::cli {
namespace {

struct EvaluateFlags {
  std::string model = "en-ko", data;
  Precision precision = Precision::f32;
  std::string source = "1", target = "2";
  bool header = false, json = false;
  BleuTokenizer tokenize = BleuTokenizer::mteval_13a;
  TranslateOptions translate;

  static void fields(auto& self, auto&& f) {
    f("model", self.model, Doc{.en = "folder or name of the model", .ko = "모델 폴더나 이름"});
    f("data", self.data,
      Doc{.en = "pairs: TSV or JSON lines, plain or compressed", .ko = "문장 쌍: TSV나 JSON 줄, 압축 가능"});
    f("source", self.source, Doc{.en = "column or key to translate", .ko = "번역할 열이나 키"});
    f("target", self.target, Doc{.en = "column or key of the references", .ko = "모범 번역의 열이나 키"});
    f("header", self.header, Doc{.en = "the first line names the columns", .ko = "첫 줄은 열 이름"});
    f("tokenize", self.tokenize, Doc{.en = "tokenizer of BLEU", .ko = "BLEU 토크나이저"});
    f("json", self.json, Doc{.en = "one JSON object", .ko = "JSON 한 줄"});
    f("precision", self.precision, kPrecisionDoc);
    TranslateOptions::fields(self.translate, f);
  }
};

struct Pairs {
  std::vector<std::string> sources, references;
  PairCounts counts;
};

Pairs read_pairs(const EvaluateFlags& flags) {
  Pairs pairs;
  PairReader reader(flags.data, {.source = flags.source, .target = flags.target, .header = flags.header});
  for (PairReader::Pair pair; reader.next(pair);) {
    pairs.sources.emplace_back(pair.source);
    pairs.references.emplace_back(pair.target);
  }
  pairs.counts = reader.counts();
  if (pairs.sources.empty()) fail<FormatError>("{}: no pairs", flags.data);
  return pairs;
}

/// The columns of a file are easily taken the wrong way round, and every score of such a run would be nonsense.
void check_direction(const EvaluateFlags& flags, const Translate& translate, const Pairs& pairs) {
  const std::string& to = flags.translate.to;
  const auto already = std::ranges::count_if(pairs.sources, [&](const std::string& text) {
    const std::string into = translate.language_by_text(text);
    return !into.empty() && into != to;
  });
  if (!to.empty() && 2 * already > std::ssize(pairs.sources))
    fail<ConfigError>("evaluate: the sources (--source {}) are {} already; perhaps --source {} --target {}",
                      flags.source, to, flags.target, flags.source);
}

void run(EvaluateFlags& flags, Call& call) {
  if (flags.data.empty()) throw UsageError("evaluate: --data FILE is missing");
  const Pairs pairs = read_pairs(flags);
  const ProductPrecision products(flags.precision);
  const Translate translate = Translate::load(find_model(flags.model));
  flags.translate = translate.defaults();
  call.apply(options_of(flags));
  flags.translate.generation.num_return_sequences = 1;
  check_direction(flags, translate, pairs);

  const TranslationLoss loss = translate.loss(pairs.sources, pairs.references, flags.translate);
  std::vector<std::string> hypotheses;
  for (auto& answers : translate.translate(pairs.sources, flags.translate))
    hypotheses.push_back(std::move(answers.at(0).text));
  const std::vector<std::vector<std::string>> references{pairs.references};
  const Bleu::Score bleu = corpus_bleu(hypotheses, references, {.tokenize = flags.tokenize});
  const Chrf::Score chrf = corpus_chrf(hypotheses, references);

  if (flags.json) {
    const nlohmann::ordered_json json{{"pairs", pairs.counts.pairs}, {"empty", pairs.counts.empty},
                                      {"loss", loss.mean()},         {"perplexity", std::exp(loss.mean())},
                                      {"tokens", loss.tokens},       {"too_long", loss.too_long},
                                      {"bleu", bleu.score},          {"bleu_signature", bleu.signature()},
                                      {"chrf", chrf.score},          {"chrf_signature", chrf.signature()}};
    return call.out.line(json.dump());
  }
  call.out.line(fmt::format("pairs  {}{}", pairs.counts.pairs,
                            pairs.counts.empty ? fmt::format(" ({} empty ones left out)", pairs.counts.empty) : ""));
  call.out.line(fmt::format("loss   {:.4f} nats a token, perplexity {:.2f}{}", loss.mean(), std::exp(loss.mean()),
                            loss.too_long ? fmt::format(" (without {} too long pairs)", loss.too_long) : ""));
  call.out.line(fmt::format("{}\n       {}", bleu.text(), bleu.signature()));
  call.out.line(fmt::format("{}\n       {}", chrf.text(), chrf.signature()));
}

}  // namespace

Command evaluate_command() {
  return make_command<EvaluateFlags>("evaluate", "",
                                     {"Translate a file of pairs and print loss, BLEU and chrF with their signatures.",
                                      "문장 쌍 파일을 번역해 손실, BLEU, chrF를 서명과 함께 보여 줍니다."},
                                     "attend evaluate --data valid.tsv --to ko", run);
}

}  // namespace attend::cli
