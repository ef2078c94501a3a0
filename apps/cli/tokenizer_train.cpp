// attend tokenizer train: a byte-level BPE from text or sentence pairs.
#include <attend/base/compression.hpp>
#include <attend/base/error.hpp>
#include <attend/text/train_bpe.hpp>

#include <fmt/format.h>

#include "commands.hpp"

namespace attend::cli {
namespace {

struct TokenizerTrainFlags {
  std::string output = "tokenizer.json";
  int32_t vocab_size = 8000;
  int64_t min_frequency = 2;
  std::vector<std::string> languages;
  int64_t memory_limit = 2'000'000'000;

  static void fields(auto& self, auto&& f) {
    f("output", self.output, Doc{.en = "where the tokenizer.json goes", .ko = "tokenizer.json을 쓸 곳"});
    f("vocab_size", self.vocab_size, Doc{.en = "tokens in all", .ko = "전체 토큰 수", .min = 300, .max = 1000000});
    f("min_frequency", self.min_frequency,
      Doc{.en = "rarer pairs are not merged", .ko = "이보다 드문 쌍은 병합하지 않음", .min = 1});
    f("languages", self.languages, Doc{.en = "language tokens, e.g. en,ko", .ko = "언어 토큰, 예: en,ko"});
    f("memory_limit", self.memory_limit,
      Doc{.en = "bytes for counting words", .ko = "단어를 세는 데 쓸 메모리(바이트)", .min = 1 << 20});
  }
};

void run(TokenizerTrainFlags& flags, Call& call) {
  if (call.arguments.empty()) throw UsageError("tokenizer train: FILE is missing");
  std::vector<std::string> languages;
  for (const std::string& language : flags.languages) languages.push_back(">>" + language + "<<");
  BpeTrainerOptions options = translator_bpe_options(flags.vocab_size, languages);
  options.min_frequency = flags.min_frequency;
  options.memory_limit = flags.memory_limit;
  BpeTrainer trainer(std::move(options));
  for (const std::string& file : call.arguments) {
    LineReader reader{std::filesystem::path(file)};
    for (std::string_view line; reader.next(line);) trainer.add(line);
  }
  const Tokenizer tokenizer = trainer.train();
  tokenizer.save(flags.output);
  const BpeTrainer::Report& report = trainer.report();
  call.out.line(fmt::format(
      "{}: {} tokens, {} merges from {} lines and {} distinct words{}", flags.output, tokenizer.vocab_size(),
      report.merges, report.texts, report.distinct_words,
      report.dropped_words ? fmt::format(" ({} rare ones were dropped to stay within the memory)", report.dropped_words)
                           : ""));
}

}  // namespace

Command tokenizer_train_command() {
  return make_command<TokenizerTrainFlags>("tokenizer train", "FILE…",
                                           {"Learn a byte-level BPE from the lines of text files, plain or compressed.",
                                            "글 파일(압축 가능)의 줄에서 바이트 BPE를 학습합니다."},
                                           "attend tokenizer train --vocab-size 8000 corpus.txt.xz", run);
}

}  // namespace attend::cli
