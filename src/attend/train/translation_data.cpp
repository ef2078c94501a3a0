#include <attend/base/error.hpp>
#include <attend/base/file.hpp>
#include <attend/base/hash.hpp>
#include <attend/data/pairs.hpp>
#include <attend/text/train_bpe.hpp>
#include <attend/train/translation_data.hpp>

namespace attend {
namespace {

namespace fs = std::filesystem;

PairOptions pair_options(const PairFile& file, const DataOptions& data) {
  return {.source = file.source,
          .target = file.target,
          .header = file.header,
          .on_bad = data.skip_bad_lines ? OnBad::skip : OnBad::error};
}

// The files that count: optional ones only where they exist.
std::vector<PairFile> present(const std::vector<PairFile>& files) {
  std::vector<PairFile> result;
  for (const PairFile& file : files)
    if (!file.optional || fs::exists(file.path)) result.push_back(file);
  return result;
}

std::string language_token(const std::string& language) { return ">>" + language + "<<"; }

Tokenizer open_tokenizer(const TrainOptions& options, const std::vector<PairFile>& files, const fs::path& folder,
                         const std::function<void(const std::string&)>& report) {
  const fs::path kept = folder / "tokenizer.json";
  if (fs::exists(kept)) return Tokenizer::load(kept);
  if (!options.tokenizer.file.empty()) {
    Tokenizer tokenizer = Tokenizer::load(options.tokenizer.file);
    tokenizer.save(kept);
    return tokenizer;
  }
  std::vector<std::string> languages;
  if (options.data.two_way)
    languages = {language_token(options.data.source_language), language_token(options.data.target_language)};
  BpeTrainerOptions settings = translator_bpe_options(options.tokenizer.vocab_size, languages);
  settings.min_frequency = options.tokenizer.min_frequency;
  BpeTrainer trainer(std::move(settings));
  for (const PairFile& file : files) {
    if (file.weight == 0) continue;
    PairReader reader(file.path, pair_options(file, options.data));
    for (PairReader::Pair pair; reader.next(pair);) {
      trainer.add(pair.source);
      trainer.add(pair.target);
    }
  }
  Tokenizer tokenizer = trainer.train();
  report(fmt::format("tokenizer: {} tokens from {} texts", tokenizer.vocab_size(), trainer.report().texts));
  tokenizer.save(kept);
  return tokenizer;
}

int32_t id_of(const Tokenizer& tokenizer, const std::string& token) {
  const auto id = tokenizer.token_to_id(token);
  if (!id) fail<ConfigError>("train: the tokenizer has no token {}", token);
  return *id;
}

ValidationPairs read_validation(const PairFile& file, const TrainOptions& options) {
  ValidationPairs pairs;
  pairs.name = fs::path(file.path).stem().string();
  PairReader reader(file.path, pair_options(file, options.data));
  for (PairReader::Pair pair;
       static_cast<int64_t>(pairs.source.size()) < options.validation.max_examples && reader.next(pair);) {
    pairs.source.emplace_back(pair.source);
    pairs.target.emplace_back(pair.target);
  }
  if (pairs.source.empty()) fail<ConfigError>("train: {} has no pairs", file.path);
  return pairs;
}

}  // namespace

TranslationData open_translation_data(const TrainOptions& options, const fs::path& folder,
                                      const std::function<void(const std::string&)>& report) {
  const std::vector<PairFile> files = present(options.data.files);
  if (files.empty()) fail<ConfigError>("train: the recipe names no training file that exists");
  TranslationData data{open_tokenizer(options, files, folder, report), {}, {}, {}, {}, {}, {}};
  const Tokenizer& tokenizer = data.tokenizer;
  data.layout.start = id_of(tokenizer, "<pad>");
  data.layout.eos = id_of(tokenizer, "</s>");

  const std::string &source = options.data.source_language, &target = options.data.target_language;
  data.directions.push_back({});
  data.targets.push_back(target);
  if (options.data.two_way) {
    data.directions[0].prefix = {id_of(tokenizer, language_token(target))};
    data.directions.push_back({.reversed = true, .prefix = {id_of(tokenizer, language_token(source))}});
    data.targets.push_back(source);
  }

  Hash64 fingerprint;
  fingerprint.add(tokenizer.to_json());
  const TextEncoder encoder{[tokenizer](std::string_view text, std::vector<int32_t>& ids) {
                              const std::vector<int32_t> encoded = tokenizer.encode_ids(text, false);
                              ids.insert(ids.end(), encoded.begin(), encoded.end());
                            },
                            fingerprint.text(), tokenizer.vocab_size()};
  for (const PairFile& file : files) {
    CorpusOptions corpus{.pairs = pair_options(file, options.data),
                         .max_tokens = options.data.max_tokens,
                         .max_ratio = options.data.max_ratio,
                         .cache_folder = folder / "cache"};
    auto opened = std::make_shared<const PairCorpus>(PairCorpus::open(file.path, encoder, corpus));
    const CorpusCounts& counts = opened->counts();
    report(fmt::format("{}: {} pairs, {} + {} tokens ({} too long, {} of odd ratio, {} empty, {} bad)", file.path,
                       opened->size(), counts.source_tokens, counts.target_tokens, counts.too_long, counts.ratio,
                       counts.lines.empty, counts.lines.bad));
    if (file.weight == 0) continue;
    data.sources.push_back({opened, file.weight, data.directions});
    data.names.push_back(fs::path(file.path).filename().string());
  }
  for (const PairFile& file : present(options.validation.files))
    data.validation.push_back(read_validation(file, options));
  return data;
}

}  // namespace attend
