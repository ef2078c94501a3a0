#include <attend/base/error.hpp>
#include <attend/base/file.hpp>
#include <attend/tasks/translate.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/scratch.hpp"
#include "tasks/toy_translator.hpp"

using namespace attend;
using attend::testing::ScratchFolder;
using attend::testing::toy_tokenizer;
using attend::testing::toy_transformer;

namespace {

Translate toy(GenerationOptions defaults = {}) {
  Tokenizer tokenizer = toy_tokenizer();
  auto model = std::make_shared<const Transformer>(toy_transformer(tokenizer.vocab_size()));
  return {std::move(model), std::move(tokenizer), std::move(defaults)};
}

/// What the tokens are together: a character may be spread over several.
std::string joined(const Translate& translate, const std::vector<TextToken>& tokens, bool skip_special = false) {
  std::vector<int32_t> ids;
  for (const TextToken& token : tokens) ids.push_back(token.id);
  return translate.tokenizer().decode(ids, skip_special);
}

void check_same(const Translation& a, const Translation& b) {
  CHECK(a.text == b.text);
  CHECK(a.score == b.score);
  CHECK(a.logprobs == b.logprobs);
  REQUIRE(a.tokens.size() == b.tokens.size());
  for (size_t i = 0; i < a.tokens.size(); ++i) CHECK(a.tokens[i].id == b.tokens[i].id);
  REQUIRE(a.alignment.defined() == b.alignment.defined());
  if (a.alignment) CHECK(std::ranges::equal(a.alignment.values<float>(), b.alignment.values<float>()));
}

const std::vector<std::string> texts{"What is your name?",
                                     "이름이 뭐예요?",
                                     "",
                                     "Nice.",
                                     "The weather is nice today, and my name is Minsu, and nice to meet you.",
                                     "  오늘은 날씨가 좋아요.  My name is Minsu!\n",
                                     "Nice."};

}  // namespace

TEST_CASE("the model reads language token, text and end, in the direction that fits") {
  const Translate translate = toy();
  CHECK(translate.languages() == std::vector<std::string>{"ko", "en"});
  const auto answers = translate.translate(texts, translate.defaults());
  REQUIRE(answers.size() == texts.size());
  CHECK(joined(translate, answers[0][0].source_tokens) == ">>ko<<What is your name?</s>");
  CHECK(answers[0][0].language == "ko");
  CHECK(joined(translate, answers[1][0].source_tokens) == ">>en<<이름이 뭐예요?</s>");
  CHECK(joined(translate, answers[5][0].source_tokens) == ">>en<<오늘은 날씨가 좋아요.</s>>>en<<My name is Minsu!</s>");
  for (const auto& token : answers[0][0].source_tokens)
    CHECK(translate.tokenizer().decode(std::vector{token.id}, false) == token.text);

  TranslateOptions options = translate.defaults();
  options.to = "en";
  CHECK(joined(translate, translate.translate({&texts[0], 1}, options)[0][0].source_tokens) ==
        ">>en<<What is your name?</s>");
  options.to = "fr";
  CHECK_THROWS_WITH_AS(translate.translate(texts, options),
                       "translate: the model does not translate into \"fr\", only into ko, en", ConfigError);
}

TEST_CASE("columns belong together") {
  const Translate translate = toy();
  TranslateOptions options = translate.defaults();
  options.alignment = true;
  for (const auto& answers : translate.translate(texts, options))
    for (const Translation& answer : answers) {
      CHECK(answer.tokens.size() == answer.logprobs.size());
      for (const float logprob : answer.logprobs) CHECK(logprob < 0);
      for (const TextToken& token : answer.tokens) CHECK(token.id != translate.model().config().pad);
      REQUIRE(answer.alignment.defined() == !answer.tokens.empty());
      if (answer.tokens.empty()) continue;
      REQUIRE(answer.alignment.shape() == Shape{std::ssize(answer.tokens), std::ssize(answer.source_tokens)});
      for (int64_t row = 0; row < answer.alignment.size(0); ++row) {
        const auto weights = answer.alignment.rows(row, row + 1).values<float>();
        CHECK(std::accumulate(weights.begin(), weights.end(), 0.0) == doctest::Approx(1).epsilon(1e-5));
      }
    }
}

TEST_CASE("the alignment of two sentences is that of each, and another layer's differs") {
  const Translate translate = toy();
  TranslateOptions options = translate.defaults();
  options.alignment = true;
  const std::vector<std::string> parts{"What is your name?", "Nice to meet you!"};
  const std::vector<std::string> whole{parts[0] + " " + parts[1]};
  const auto apart = translate.translate(parts, options);
  const Translation both = translate.translate(whole, options)[0][0];
  CHECK(both.text == apart[0][0].text + " " + apart[1][0].text);
  CHECK(both.score == doctest::Approx((apart[0][0].score + apart[1][0].score) / 2));
  const Tensor &a = apart[0][0].alignment, &b = apart[1][0].alignment;
  REQUIRE(both.alignment.shape() == Shape{a.size(0) + b.size(0), a.size(1) + b.size(1)});
  for (int64_t i = 0; i < both.alignment.size(0); ++i)
    for (int64_t j = 0; j < both.alignment.size(1); ++j) {
      const bool first_row = i < a.size(0), first_column = j < a.size(1);
      const float expected = first_row != first_column ? 0
                             : first_row               ? a.data<float>()[i * a.size(1) + j]
                                                       : b.data<float>()[(i - a.size(0)) * b.size(1) + j - a.size(1)];
      CHECK(both.alignment.data<float>()[i * both.alignment.size(1) + j] == expected);
    }

  options.alignment_layer = 1;
  check_same(translate.translate(whole, options)[0][0], both);  // the last of two
  options.alignment_layer = 0;
  CHECK(!std::ranges::equal(translate.translate(whole, options)[0][0].alignment.values<float>(),
                            both.alignment.values<float>()));
  options.alignment_layer = 2;
  CHECK_THROWS_WITH_AS(translate.translate(whole, options),
                       "translate: alignment_layer is 2, the decoder's layers are 0 to 1", ConfigError);
}

TEST_CASE("neighbours and batch sizes change nothing") {
  const Translate translate = toy();
  for (const auto& [beams, samples, sample] : {std::tuple{1, 1, false}, {4, 4, false}, {1, 3, true}, {4, 2, true}}) {
    CAPTURE(beams);
    CAPTURE(sample);
    TranslateOptions options = translate.defaults();
    options.alignment = true;
    options.generation.num_beams = beams;
    options.generation.num_return_sequences = samples;
    options.generation.do_sample = sample;
    options.generation.seed = 5;
    const auto together = translate.translate(texts, options);
    std::vector<std::string> reversed(texts.rbegin(), texts.rend());
    const auto backwards = translate.translate(reversed, options);
    options.batch_tokens = 1;  // every sentence by itself
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto alone = translate.translate({&texts[i], 1}, options);
      REQUIRE(together[i].size() == alone[0].size());
      for (size_t n = 0; n < alone[0].size(); ++n) {
        check_same(together[i][n], alone[0][n]);
        check_same(backwards[texts.size() - 1 - i][n], alone[0][n]);
      }
    }
  }
}

TEST_CASE("empty text and white space stay as they are") {
  const Translate translate = toy();
  for (const std::string text : {"", " ", "\n\n", "\t　\r\n"}) {
    const auto answers = translate.translate({&text, 1}, translate.defaults());
    REQUIRE(answers[0].size() == 1);
    CHECK(answers[0][0].text == text);
    CHECK(answers[0][0].tokens.empty());
    CHECK(translate(text) == text);
  }
  CHECK(translate.translate({}, translate.defaults()).empty());
  const std::string around = "\n  Nice.\n\nNice.  ";
  const std::string nice = translate("Nice.");
  REQUIRE(!nice.empty());
  CHECK(translate(around) == "\n  " + nice + "\n\n" + nice + "  ");
}

TEST_CASE("text beyond the model's length is cut into parts that fit, or refused") {
  const Translate translate = toy();
  std::string text;
  for (int i = 0; i < 60; ++i) text += "오늘은 날씨가 nice ";
  TranslateOptions options = translate.defaults();
  options.generation.max_new_tokens = 2;
  const Translation answer = translate.translate({&text, 1}, options)[0][0];
  size_t length = 0, sentences = 0;
  for (const TextToken& token : answer.source_tokens) {
    ++length;
    if (token.text != "</s>") continue;
    CHECK(length <= 64);
    ++sentences;
    length = 0;
  }
  CHECK(sentences > 1);
  std::string read = joined(translate, answer.source_tokens, true), wanted = text;
  for (std::string* s : {&read, &wanted}) std::erase(*s, ' ');
  CHECK(read == wanted);  // nothing got lost

  options.split_sentences = false;
  CHECK_THROWS_AS(translate.translate({&text, 1}, options), ShapeError);
  const std::string two = "Nice. Nice.";
  CHECK(joined(translate, translate.translate({&two, 1}, options)[0][0].source_tokens) == ">>ko<<Nice. Nice.</s>");
}

TEST_CASE("n-best lists are sorted, distinct and combine sentences by their scores") {
  const Translate translate = toy();
  TranslateOptions options = translate.defaults();
  options.generation.num_beams = options.generation.num_return_sequences = 4;
  const std::vector<std::string> parts{"What is your name?", "Nice to meet you!"};
  const auto apart = translate.translate(parts, options);
  std::vector<float> sums;
  for (const auto& a : apart[0])
    for (const auto& b : apart[1]) sums.push_back((a.score + b.score) / 2);
  std::ranges::sort(sums, std::greater());
  const std::string whole = parts[0] + " " + parts[1];
  const auto answers = translate.translate({&whole, 1}, options)[0];
  REQUIRE(answers.size() == 4);
  for (size_t i = 0; i < answers.size(); ++i) {
    CHECK(answers[i].score == doctest::Approx(sums[i]));
    for (size_t j = 0; j < i; ++j)
      CHECK(!std::ranges::equal(answers[i].tokens, answers[j].tokens, {}, &TextToken::id, &TextToken::id));
  }
  options.generation.num_beams = 2;
  CHECK_THROWS_AS(translate.translate(parts, options), ConfigError);
}

TEST_CASE("samples repeat by seed") {
  const Translate translate = toy();
  TranslateOptions options = translate.defaults();
  options.generation.do_sample = true;
  options.generation.seed = 1;
  const std::string first = translate.translate(texts, options)[0][0].text;
  CHECK(translate.translate(texts, options)[0][0].text == first);
  options.generation.seed = 2;
  CHECK(translate.translate(texts, options)[0][0].text != first);
}

TEST_CASE("text that is not UTF-8 is refused by its number") {
  const Translate translate = toy();
  const std::vector<std::string> bad{"Nice.", "abc\xFF"};
  CHECK_THROWS_WITH_AS(translate.translate(bad, translate.defaults()),
                       "translate: text 2: invalid UTF-8 at byte 3 (0xFF)", FormatError);
}

TEST_CASE("saving and loading a folder gives the same translations") {
  const ScratchFolder scratch;
  attend::testing::write_toy_translator(scratch.path());
  const Translate loaded = Translate::load(scratch.path());
  const Translate made = toy();
  TranslateOptions options = made.defaults();
  options.generation.max_new_tokens = 12;
  const auto a = made.translate(texts, options), b = loaded.translate(texts, options);
  for (size_t i = 0; i < texts.size(); ++i) check_same(a[i][0], b[i][0]);
  CHECK(loaded.defaults().generation.forced_eos_token_id == std::vector<int32_t>{0});  // as Marian's config asks

  write_file(scratch / "generation_config.json", R"({"num_beams": 3, "max_length": 7})");
  const Translate configured = Translate::load(scratch.path());
  CHECK(configured.defaults().generation.num_beams == 3);
  CHECK(configured.translate(texts, configured.defaults())[0][0].tokens.size() <= 6);
}

TEST_CASE("one-way models and other languages") {
  Tokenizer plain = toy_tokenizer({});
  const Transformer model = toy_transformer(plain.vocab_size());
  const Translate one_way(model, plain);
  CHECK(one_way.languages().empty());
  TranslateOptions options = one_way.defaults();
  const Translation answer = one_way.translate({&texts[0], 1}, options)[0][0];
  CHECK(joined(one_way, answer.source_tokens) == "What is your name?</s>");
  CHECK(answer.language.empty());
  options.to = "ko";
  CHECK_THROWS_WITH_AS(one_way.translate(texts, options),
                       "translate: the model has one direction only, no language \"ko\" to choose", ConfigError);

  Tokenizer many = toy_tokenizer({">>de<<", ">>fr<<"});
  const Transformer other = toy_transformer(many.vocab_size());
  const Translate ambiguous(other, many);
  CHECK_THROWS_WITH_AS(ambiguous("Nice."), "translate: say which language to translate into: de, fr", ConfigError);
  options = ambiguous.defaults();
  options.to = "fr";
  CHECK(ambiguous.translate(texts, options)[0][0].language == "fr");
}

TEST_CASE("models that cannot translate are refused") {
  Tokenizer tokenizer = toy_tokenizer();
  const Transformer small = toy_transformer(100);
  CHECK_THROWS_AS(Translate(small, tokenizer), ConfigError);
  TransformerConfig config = small.config();
  config.encoder.layers = 0;
  config.decoder.block.cross = false;
  const Transformer decoder_only(config);
  CHECK_THROWS_AS(Translate(decoder_only, tokenizer), Unsupported);
  TransformerConfig endless = toy_transformer(tokenizer.vocab_size()).config();
  endless.eos.clear();
  const Transformer no_end(endless);
  CHECK_THROWS_WITH_AS(Translate(no_end, tokenizer), "translate: the model names no token that ends a sentence",
                       ConfigError);
}

TEST_CASE("the loss is that of the reference's tokens, and batches do not matter") {
  const Translate translate = toy();
  TranslateOptions options = translate.defaults();
  options.to = "ko";
  std::vector<std::string> sources, references;
  for (const char* source : {"Nice.", "What is your name?", "My name is Minsu."})
    for (const char* reference : {"이름", "제 이름은 민수예요.", ""}) {
      sources.emplace_back(source);
      references.emplace_back(reference);
    }
  double sum = 0;
  int64_t tokens = 0;
  const Transformer& model = translate.model();
  for (size_t i = 0; i < sources.size(); ++i) {
    const auto labels = translate.tokenizer().encode_ids(references[i]);  // with </s>
    std::vector<int32_t> input{model.config().decoder_start};
    input.insert(input.end(), labels.begin(), labels.end() - 1);
    Pass pass;
    const Tokens source = Tokens::of({translate.tokenizer().encode_ids(">>ko<<" + sources[i])});
    const Tensor memory = model.encode(pass, source);
    const Tensor logits = model.logits(model.decode(pass, Tokens::of({input}), memory, source.sequences));
    for (size_t t = 0; t < labels.size(); ++t) {
      double total = 0;
      const float* row = logits.data<float>() + static_cast<int64_t>(t) * logits.size(1);
      for (int64_t v = 0; v < logits.size(1); ++v) total += std::exp(static_cast<double>(row[v]));
      sum += std::log(total) - static_cast<double>(row[labels[t]]);
      ++tokens;
    }
  }
  for (const int64_t batch_tokens : {1, 30, 4096}) {
    options.batch_tokens = batch_tokens;
    const TranslationLoss loss = translate.loss(sources, references, options);
    CHECK(loss.tokens == tokens);
    CHECK(loss.sum == doctest::Approx(sum).epsilon(1e-5));
    CHECK(loss.mean() == doctest::Approx(sum / static_cast<double>(tokens)).epsilon(1e-5));
    CHECK(loss.too_long == 0);
  }
  const std::vector<std::string> source{"Nice."}, longer{std::string(300, 'x')};
  CHECK(translate.loss(source, longer, options).too_long == 1);
  CHECK(translate.loss(source, longer, options).mean() == 0);
  CHECK_THROWS_AS(translate.loss(source, references, options), ShapeError);
}
