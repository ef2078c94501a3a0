#include "attend/text/train_bpe.hpp"

#include <algorithm>
#include <sstream>

#include "attend/base/error.hpp"
#include "attend/base/unicode.hpp"
#include "attend/text/bpe_merges.hpp"
#include "attend/text/byte_level.hpp"
#include "attend/text/model/bpe.hpp"
#include "attend/text/pipeline.hpp"
#include "attend/text/word_counts.hpp"

namespace attend {
namespace {

using json::Json;

constexpr int64_t cost_per_byte = 32;
constexpr int64_t cost_per_word = 64;

/// TemplateProcessing for "$A </s>"; a second text gets the same layout behind the first.
Json make_layout(const std::string& layout, const std::vector<std::string>& tokens) {
  if (layout.empty())
    return {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", false}, {"use_regex", true}};
  Json single = Json::array(), second = Json::array(), special = Json::object();
  bool has_text = false;
  std::istringstream words(layout);
  for (std::string word; words >> word;) {
    if (word == "$A") {
      if (std::exchange(has_text, true)) fail<ConfigError>("tokenizer training: layout \"{}\" has two $A", layout);
      single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
      second.push_back({{"Sequence", {{"id", "B"}, {"type_id", 0}}}});
      continue;
    }
    const auto found = std::find(tokens.begin(), tokens.end(), word);
    if (found == tokens.end())
      fail<ConfigError>("tokenizer training: layout \"{}\": {} is no special token", layout, word);
    const Json entry = {{"SpecialToken", {{"id", word}, {"type_id", 0}}}};
    single.push_back(entry);
    second.push_back(entry);
    special[word] = {{"id", word}, {"ids", Json::array({found - tokens.begin()})}, {"tokens", Json::array({word})}};
  }
  if (!has_text) fail<ConfigError>("tokenizer training: layout \"{}\" lacks $A", layout);
  Json pair = single;
  for (const Json& part : second) pair.push_back(part);
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", special}};
}

}  // namespace

BpeTrainerOptions translator_bpe_options(int32_t vocab_size, const std::vector<std::string>& language_tokens) {
  BpeTrainerOptions options;
  options.vocab_size = vocab_size;
  options.special_tokens = {{.content = "</s>", .special = true}, {.content = "<unk>", .special = true}};
  for (const std::string& token : language_tokens)
    options.special_tokens.push_back({.content = token, .rstrip = true, .special = true});
  options.last_tokens = {{.content = "<pad>", .special = true}};
  options.unk_token = "<unk>";
  options.layout = "$A </s>";
  options.normalizer = R"({"type":"NFC"})";
  return options;
}

struct BpeTrainer::State {
  BpeTrainerOptions options;
  Json normalizer_config, pre_tokenizer_config;
  std::unique_ptr<Normalizer> normalizer;
  std::unique_ptr<PreTokenizer> pre_tokenizer;
  WordCounts words;
  Report report;

  explicit State(BpeTrainerOptions given)
      : options(std::move(given)),
        normalizer_config(json::parse(options.normalizer, "tokenizer training: normalizer")),
        pre_tokenizer_config(json::parse(options.pre_tokenizer, "tokenizer training: pre_tokenizer")),
        normalizer(make_normalizer(normalizer_config)),
        pre_tokenizer(make_pre_tokenizer(pre_tokenizer_config)),
        words({options.memory_limit, cost_per_byte, cost_per_word}) {
    if (options.memory_limit < 1'000'000)
      fail<ConfigError>("tokenizer training: memory_limit {} is less than a megabyte", options.memory_limit);
    const size_t fixed = options.special_tokens.size() + options.last_tokens.size() + (options.all_bytes ? 256 : 0);
    if (options.vocab_size < 1 || static_cast<size_t>(options.vocab_size) < fixed)
      fail<ConfigError>("tokenizer training: vocab_size {} is less than the {} special tokens and bytes",
                        options.vocab_size, fixed);
    std::vector<std::string> names;
    for (const auto* list : {&options.special_tokens, &options.last_tokens})
      for (const AddedToken& token : *list) {
        if (token.content.empty()) fail<ConfigError>("tokenizer training: a special token is empty");
        require_utf8(token.content, "tokenizer training: special token");
        if (std::find(names.begin(), names.end(), token.content) != names.end())
          fail<ConfigError>("tokenizer training: special token {} is there twice", token.content);
        names.push_back(token.content);
      }
    if (options.unk_token && std::find(names.begin(), names.end(), *options.unk_token) == names.end())
      fail<ConfigError>("tokenizer training: unk_token {} is no special token", *options.unk_token);
    make_layout(options.layout, names);
    Pieces probe(false);
    if (pre_tokenizer) pre_tokenizer->split(probe);
    if (!probe.byte_level) fail<ConfigError>("tokenizer training: the pre_tokenizer must end with ByteLevel");
  }

  /// Special tokens and bytes: the ids that exist before the first merge.
  std::vector<std::string> first_tokens() const {
    std::vector<std::string> tokens;
    for (const AddedToken& token : options.special_tokens) tokens.push_back(token.content);
    bool seen[256];
    std::fill(std::begin(seen), std::end(seen), options.all_bytes);
    words.for_each([&](std::string_view word, int64_t) {
      for (const char byte : word) seen[static_cast<unsigned char>(byte)] = true;
    });
    std::vector<char16_t> characters;
    for (int byte = 0; byte < 256; ++byte)
      if (seen[byte]) characters.push_back(byte_level_characters[byte]);
    std::sort(characters.begin(), characters.end());
    for (const char16_t character : characters) {
      std::string text;
      append_utf8(text, character);
      if (std::find(tokens.begin(), tokens.end(), text) == tokens.end()) tokens.push_back(std::move(text));
    }
    return tokens;
  }

  BpeCorpus corpus(const std::vector<std::string>& tokens) const {
    int32_t byte_ids[256] = {};
    for (int byte = 0; byte < 256; ++byte) {
      std::string text;
      append_utf8(text, byte_level_characters[byte]);
      byte_ids[byte] = static_cast<int32_t>(std::find(tokens.begin(), tokens.end(), text) - tokens.begin());
    }
    size_t symbols = 0;
    words.for_each([&](std::string_view word, int64_t) { symbols += word.size(); });
    BpeCorpus corpus;
    corpus.reserve(words.size(), symbols);
    words.for_each([&](std::string_view word, int64_t count) {
      corpus.add_word(count);
      for (const char byte : word) corpus.add_symbol(byte_ids[static_cast<unsigned char>(byte)]);
    });
    return corpus;
  }
};

BpeTrainer::BpeTrainer(BpeTrainerOptions options) : state_(std::make_unique<State>(std::move(options))) {}
BpeTrainer::~BpeTrainer() = default;
BpeTrainer::BpeTrainer(BpeTrainer&&) noexcept = default;
BpeTrainer& BpeTrainer::operator=(BpeTrainer&&) noexcept = default;

const BpeTrainer::Report& BpeTrainer::report() const noexcept { return state_->report; }

void BpeTrainer::add(std::string_view text, int64_t count) {
  State& state = *state_;
  if (count < 1) return;
  ++state.report.texts;
  state.report.bytes += static_cast<int64_t>(text.size());
  AlignedText whole(false);
  whole.append(text, {});
  Pieces pieces(false);
  if (state.normalizer)
    state.normalizer->apply(whole, 0, whole.size(), pieces.text);
  else
    pieces.text = std::move(whole);
  if (pieces.text.size() == 0) return;
  pieces.list.push_back({0, static_cast<uint32_t>(pieces.text.size())});
  state.pre_tokenizer->split(pieces);
  for (const Piece& piece : pieces.list) state.words.add(pieces.text.view(piece.begin, piece.end), count);
}

Tokenizer BpeTrainer::train() {
  State& state = *state_;
  const BpeTrainerOptions& options = state.options;
  Report& report = state.report;
  report.distinct_words = static_cast<int64_t>(state.words.size());
  report.dropped_words = state.words.dropped_words();
  report.dropped_occurrences = state.words.dropped_occurrences();
  report.largest_loss = state.words.largest_loss();

  std::vector<std::string> tokens = state.first_tokens();
  BpeCorpus corpus = state.corpus(tokens);
  state.words.clear();
  const auto last = static_cast<int32_t>(options.last_tokens.size());
  const auto pairs = learn_merges(std::move(corpus), tokens, options.vocab_size - last, options.min_frequency);
  report.merges = static_cast<int64_t>(pairs.size());

  PipelineParts parts;
  for (const AddedToken& token : options.last_tokens) {
    if (std::find(tokens.begin(), tokens.end(), token.content) != tokens.end())
      fail<ConfigError>("tokenizer training: last token {} is also a piece of the text", token.content);
    tokens.push_back(token.content);
  }
  auto vocabulary = std::make_unique<Vocabulary>();
  vocabulary->reserve(tokens.size());
  for (size_t id = 0; id < tokens.size(); ++id) vocabulary->add(tokens[id], static_cast<int64_t>(id));
  for (const auto* list : {&options.special_tokens, &options.last_tokens})
    for (AddedToken token : *list) {
      token.id = vocabulary->find(token.content);
      parts.added_tokens.push_back(std::move(token));
    }
  std::vector<Bpe::TokenPair> merges;
  merges.reserve(pairs.size());
  for (const auto& [left, right] : pairs) merges.emplace_back(tokens[left], tokens[right]);
  parts.model = std::make_unique<Bpe>(std::move(vocabulary), merges, BpeOptions{.unk_token = options.unk_token});
  parts.normalizer = state.normalizer_config;
  parts.pre_tokenizer = state.pre_tokenizer_config;
  parts.post_processor = make_layout(options.layout, tokens);
  parts.decoder = {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}};
  return Tokenizer(std::make_shared<const Pipeline>(std::move(parts)));
}

}  // namespace attend
