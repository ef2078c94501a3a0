#include <attend/base/error.hpp>
#include <attend/base/file.hpp>
#include <attend/base/hash.hpp>
#include <attend/data/pairs.hpp>
#include <attend/text/train_bpe.hpp>
#include <attend/train/translation_data.hpp>
#include <attend/train/translator_folder.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace attend {
namespace {

namespace fs = std::filesystem;

PairOptions pair_options(const PairFile& file, const DataOptions& data) {
  return {.source = file.source,
          .target = file.target,
          .header = file.header,
          .only = file.only,
          .on_bad = data.skip_bad_lines ? OnBad::skip : OnBad::error};
}

// The files that count: optional ones only where they exist.
std::vector<PairFile> present(const std::vector<PairFile>& files) {
  std::vector<PairFile> result;
  for (const PairFile& file : files)
    if (std::error_code error; !file.optional || fs::exists(file.path, error)) result.push_back(file);
  return result;
}

std::string language_token(const std::string& language) { return ">>" + language + "<<"; }

// The directions that a file teaches, of those that the recipe learns.
std::vector<Direction> directions_of(const PairFile& file, const std::vector<Direction>& all) {
  std::vector<Direction> result;
  for (const Direction& direction : all)
    if (file.directions == Directions::both || (file.directions == Directions::backward) == direction.reversed)
      result.push_back(direction);
  return result;
}

// How often each pair of a file counts for the vocabulary: as often as training draws it, in units of the pair that is
// drawn most rarely. A small file of great weight would else find its words cut to pieces.
std::vector<int64_t> draws_per_pair(const std::vector<PairFile>& files, const DataOptions& data) {
  std::vector<double> rates;
  double rarest = std::numeric_limits<double>::infinity();
  for (const PairFile& file : files) {
    int64_t pairs = 0;
    PairReader reader(file.path, pair_options(file, data));
    for (PairReader::Pair pair; reader.next(pair);) ++pairs;
    rates.push_back(pairs == 0 ? 0 : file.weight / static_cast<double>(pairs));
    if (rates.back() > 0) rarest = std::min(rarest, rates.back());
  }
  constexpr double kMost = 1000;  // keeps the counts of words far from their limit
  std::vector<int64_t> draws;
  for (const double rate : rates) draws.push_back(std::llround(std::min(rate / rarest, kMost)));
  return draws;
}

Tokenizer open_tokenizer(const TrainOptions& options, const std::vector<PairFile>& files, const fs::path& folder,
                         bool goes_on, const std::function<void(const std::string&)>& report) {
  const fs::path kept = folder / "tokenizer.json";
  if (goes_on && fs::exists(kept)) return Tokenizer::load(kept);
  if (!options.from.empty() && !options.tokenizer.file.empty())
    fail<ConfigError>("train: from brings its own tokenizer; tokenizer.file cannot be given too");
  if (const std::string& given = options.from.empty() ? options.tokenizer.file : options.from; !given.empty()) {
    Tokenizer tokenizer = Tokenizer::load(given);
    tokenizer.save(kept);
    return tokenizer;
  }
  std::vector<std::string> languages;
  if (options.data.two_way)
    languages = {language_token(options.data.source_language), language_token(options.data.target_language)};
  BpeTrainerOptions settings = translator_bpe_options(options.tokenizer.vocab_size, languages);
  settings.min_frequency = options.tokenizer.min_frequency;
  BpeTrainer trainer(std::move(settings));
  const std::vector<int64_t> draws = draws_per_pair(files, options.data);
  for (size_t i = 0; i < files.size(); ++i) {
    if (draws[i] == 0) continue;
    PairReader reader(files[i].path, pair_options(files[i], options.data));
    for (PairReader::Pair pair; reader.next(pair);) {
      trainer.add(pair.source, draws[i]);
      trainer.add(pair.target, draws[i]);
    }
  }
  Tokenizer tokenizer = trainer.train();
  report(fmt::format("tokenizer: {} tokens from {} texts", tokenizer.vocab_size(), trainer.report().texts));
  tokenizer.save(kept);
  return tokenizer;
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

// Leaves out what the model cannot read: `most` tokens of text.
void shorten(ValidationPairs& pairs, const Tokenizer& tokenizer, size_t most) {
  ValidationPairs fitting{pairs.name, {}, {}};
  for (size_t i = 0; i < pairs.source.size(); ++i) {
    if (tokenizer.encode_ids(pairs.source[i], false).size() > most ||
        tokenizer.encode_ids(pairs.target[i], false).size() > most)
      continue;
    fitting.source.push_back(std::move(pairs.source[i]));
    fitting.target.push_back(std::move(pairs.target[i]));
  }
  if (fitting.source.empty()) fail<ConfigError>("train: {} has no pair of at most {} tokens a side", pairs.name, most);
  pairs = std::move(fitting);
}

}  // namespace

TranslationData open_translation_data(const TrainOptions& options, const fs::path& folder, bool goes_on,
                                      const std::function<void(const std::string&)>& report) {
  const int64_t around = options.data.two_way ? 2 : 1;  // a source has </s> and a language token around its text
  if (options.data.max_tokens + around > options.model.max_length)
    fail<ConfigError>("train: data.max_tokens {} makes sequences of {}, more than model.max_length {}",
                      options.data.max_tokens, options.data.max_tokens + around, options.model.max_length);
  const std::vector<PairFile> files = present(options.data.files);
  if (files.empty()) fail<ConfigError>("train: the recipe names no training file that exists");
  if (std::all_of(files.begin(), files.end(), [](const PairFile& file) { return file.weight == 0; }))
    fail<ConfigError>("train: every one of data.files has the weight 0");
  // All files are looked at before the long work begins.
  for (const PairFile& file : files) {
    if (file.directions == Directions::backward && !options.data.two_way)
      fail<ConfigError>("train: {} is backward, which data.two_way = false does not learn", file.path);
    open_for_reading(file.path);
  }
  std::vector<ValidationPairs> validation;
  for (const PairFile& file : present(options.validation.files)) validation.push_back(read_validation(file, options));

  TranslationData data{
      open_tokenizer(options, files, folder, goes_on, report), {}, {}, std::move(validation), {}, {}, {}, {}};
  const Tokenizer& tokenizer = data.tokenizer;
  if (options.data.subword_dropout > 0)
    data.splits = std::make_shared<const SubwordSplits>(tokenizer, options.data.subword_dropout);
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
    report(
        fmt::format("{}: {} pairs, {} + {} tokens ({} too long, {} of odd ratio, {} empty, {} bad, {} not asked for)",
                    file.path, opened->size(), counts.source_tokens, counts.target_tokens, counts.too_long,
                    counts.ratio, counts.lines.empty, counts.lines.bad, counts.lines.others));
    if (file.weight == 0) continue;
    data.sources.push_back({opened, file.weight, directions_of(file, data.directions)});
    data.names.push_back(fs::path(file.path).filename().string());
  }
  for (ValidationPairs& pairs : data.validation) {
    const size_t before = pairs.source.size();
    shorten(pairs, tokenizer, static_cast<size_t>(options.model.max_length - around));
    if (const size_t left = before - pairs.source.size())
      report(fmt::format("{}: {} pairs of {} are too long for the model", pairs.name, left, before));
  }
  return data;
}

}  // namespace attend
