// explain() on a tiny translator with random weights: its numbers are the engine's, and its words are right.
#include <attend/base/error.hpp>
#include <attend/inspect/explain.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tasks/toy_translator.hpp"

using namespace attend;
using Json = nlohmann::ordered_json;

namespace {

const std::string penguin = "펭귄은 날지 못하지만 빠르게 수영할 수 있다";

Translate toy() {
  Tokenizer tokenizer = attend::testing::toy_tokenizer();
  auto model = std::make_shared<const Transformer>(attend::testing::toy_transformer(tokenizer.vocab_size()));
  return {std::move(model), std::move(tokenizer)};
}

std::string error_of(const Translate& translate, const std::string& text, const ExplainOptions& options) {
  try {
    explain(translate, text, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

/// Rows of `json` are exactly the columns [from, …) of a tensor's rows.
void check_bits(const Json& json, const float* values, int64_t rows, int64_t stride, int64_t from, int64_t columns) {
  REQUIRE(std::ssize(json) == rows);
  for (int64_t i = 0; i < rows; ++i) {
    REQUIRE(std::ssize(json[i]) == columns);
    for (int64_t j = 0; j < columns; ++j) CHECK(json[i][j].get<float>() == values[i * stride + from + j]);
  }
}

}  // namespace

TEST_CASE("every head's JSON holds the probe's bits, and the formula gives them again") {
  const Translate translate = toy();
  const std::string text = "  " + penguin + " ";
  const std::vector<int32_t> ids = translate.source(penguin).ids;
  std::vector<std::string> names;
  for (const char* layer : {"0", "1"})
    for (const char* site : {"query", "key", "value", "weights", "mixed"})
      names.push_back(fmt::format("encoder.blocks.{}.attention.{}", layer, site));
  Probe probe(names);
  Pass pass;
  pass.probe = &probe;
  translate.model().encode(pass, Tokens::of({ids}));
  const auto tokens = std::ssize(ids);

  for (int64_t layer = 0; layer < 2; ++layer)
    for (int64_t head = 0; head < 4; ++head) {
      CAPTURE(layer);
      CAPTURE(head);
      const Explanation e = explain(translate, text, {.query = "수영할", .layer = layer, .head = head});
      const Json json = Json::parse(explanation_json(e).dump());
      const std::string site = fmt::format("encoder.blocks.{}.attention.", layer);
      check_bits(json["weights"], probe[site + "weights"].data<float>() + head * tokens * tokens, tokens, tokens, 0,
                 tokens);
      for (const auto& [name, from] : {std::pair{"q", "query"}, {"k", "key"}, {"v", "value"}, {"output", "mixed"}})
        check_bits(json[name], probe[site + from].data<float>(), tokens, 32, head * 8, 8);

      CHECK(json["check"]["agrees"] == true);
      CHECK(json["check"]["weights"] <= 1e-5);
      CHECK(json["check"]["output"] <= 1e-5);
      CHECK(json["text"] == penguin);
      CHECK(json["language"] == "en");
      CHECK(json["chosen"] == "given");
      CHECK(json["layer"] == layer);
      CHECK(json["head"] == head);
      CHECK(json["layers"] == 2);
      CHECK(json["heads"] == 4);
      CHECK(json["d_k"] == 8);
      CHECK(json["query"]["word"] == "수영할");
      CHECK(json["words"].size() == 9);  // seven words, >>en<< and </s>
      CHECK(json["words"][0]["text"] == ">>en<<");
      CHECK(json["words"][0]["special"] == true);
      CHECK(json["words"][size_t(json["query"]["index"])]["text"] == "수영할");
      REQUIRE(std::ssize(json["pieces"]) == tokens);
      for (int64_t i = 0; i < tokens; ++i) {
        CHECK(json["pieces"][i]["id"] == ids[static_cast<size_t>(i)]);
        double sum = 0;  // products, scores and weights belong together
        for (int64_t j = 0; j < tokens; ++j) {
          double product = 0;
          for (int64_t d = 0; d < 8; ++d) product += double(json["q"][i][d]) * double(json["k"][j][d]);
          CHECK(double(json["products"][i][j]) == doctest::Approx(product).epsilon(1e-12));
          CHECK(double(json["scores"][i][j]) == doctest::Approx(product / std::sqrt(8.0)).epsilon(1e-12));
          sum += double(json["weights"][i][j]);
        }
        CHECK(sum == doctest::Approx(1).epsilon(1e-5));
      }
      for (const Json& row : json["word_weights"]) {
        double sum = 0;
        for (const Json& weight : row) sum += double(weight);
        CHECK(sum == doctest::Approx(1).epsilon(1e-5));
      }
    }
}

TEST_CASE("a disagreement with the formula is seen") {
  const Translate translate = toy();
  Explanation e = explain(translate, penguin, {.query = "수영할"});
  REQUIRE(e.agrees());
  e.weights_difference = 2e-5;
  CHECK(!e.agrees());
  e.weights_difference = std::nan("");
  CHECK(!e.agrees());
  CHECK(explanation_json(e)["check"]["agrees"] == false);
}

TEST_CASE("the best head is the one with the largest margin, and what holds is counted") {
  const Translate translate = toy();
  ExplainOptions options{.query = "수영할"};
  options.best_head = true;  // with the notes' own expectation
  const Explanation best = explain(translate, penguin, options);
  REQUIRE(best.fit);
  CHECK(best.choice == HeadChoice::nearest);
  const auto names = [&](const std::vector<size_t>& words) {
    std::vector<std::string> result;
    for (const size_t word : words) result.push_back(best.words[word].text);
    return result;
  };
  CHECK(names(best.high) == std::vector<std::string>{"펭귄은", "빠르게"});
  CHECK(names(best.low) == std::vector<std::string>{"날지", "못하지만"});

  int64_t fitting = 0;
  double largest = -2, largest_that_fits = -2;
  HeadPlace nearest{-1, -1};
  for (int64_t layer = 0; layer < 2; ++layer)
    for (int64_t head = 0; head < 4; ++head) {
      const Explanation e = explain(translate, penguin, {.query = "수영할", .layer = layer, .head = head});
      REQUIRE(e.fit);
      const auto weight = [&](size_t word) {
        return e.word_weights(static_cast<int64_t>(e.query), static_cast<int64_t>(word));
      };
      const double high = (weight(e.high[0]) + weight(e.high[1])) / 2, low = (weight(e.low[0]) + weight(e.low[1])) / 2;
      CHECK(e.fit->margin() == doctest::Approx(high - low).epsilon(1e-12));
      const bool holds = std::min(weight(e.high[0]), weight(e.high[1])) > std::max(weight(e.low[0]), weight(e.low[1]));
      CHECK(e.fit->holds == holds);
      fitting += holds;
      if (holds && high - low > largest_that_fits) {
        largest_that_fits = high - low;
        nearest = {layer, head};
      }
      if (high - low > largest) {
        largest = high - low;
        CHECK((layer < best.place.layer || (layer == best.place.layer && head <= best.place.head)));
      }
    }
  CHECK(best.fit->margin() == largest);
  CHECK(best.heads_that_fit == fitting);
  REQUIRE(best.nearest_that_fits.has_value() == (fitting > 0));
  if (fitting > 0) {
    CHECK(best.nearest_that_fits->layer == nearest.layer);
    CHECK(best.nearest_that_fits->head == nearest.head);
  }
  // Of two words one gets more in each head.
  ExplainOptions one{.query = "수영할", .high = {"빠르게"}, .low = {"날지"}};
  ExplainOptions other{.query = "수영할", .high = {"날지"}, .low = {"빠르게"}};
  const Explanation a = explain(translate, penguin, one), b = explain(translate, penguin, other);
  CHECK(a.heads_that_fit + b.heads_that_fit == 8);
  CHECK(a.nearest_that_fits.has_value() == (a.heads_that_fit > 0));

  // The contrary expectation is nearest elsewhere; inside one layer only that layer is sought.
  options.high = {"날지", "못하지만"};
  options.low = {"펭귄은", "빠르게"};
  const Explanation contrary = explain(translate, penguin, options);
  CHECK((contrary.place.layer != best.place.layer || contrary.place.head != best.place.head));
  CHECK(contrary.fit->margin() > 0);
  options.layer = 1 - contrary.place.layer;
  CHECK(explain(translate, penguin, options).place.layer == *options.layer);
}

TEST_CASE("without a choice the head is shown in which attention spreads most over other words") {
  const Translate translate = toy();
  const auto spread = [](const Explanation& e) {
    double sum = 0;
    for (size_t word = 0; word < e.words.size(); ++word) {
      const double weight = e.word_weights(static_cast<int64_t>(e.query), static_cast<int64_t>(word));
      if (word != e.query && !e.words[word].special) sum -= weight * std::log(weight);
    }
    return sum;
  };
  const Explanation chosen = explain(translate, "나는 강아지를 좋아한다", {.query = "강아지를"});
  CHECK(chosen.choice == HeadChoice::spread);
  CHECK(!chosen.fit);
  CHECK(explanation_json(chosen)["expectation"].is_null());
  for (int64_t layer = 0; layer < 2; ++layer)
    for (int64_t head = 0; head < 4; ++head)
      CHECK(spread(explain(translate, "나는 강아지를 좋아한다", {.query = "강아지를", .layer = layer, .head = head})) <=
            spread(chosen));
}

TEST_CASE("queries: occurrences, punctuation, special tokens, a colon in the word") {
  const Translate translate = toy();
  const std::string text = "Nice, name is nice. Nice 10:2 to";
  const Explanation first = explain(translate, text, {.query = "is"});
  CHECK(first.language == "ko");
  CHECK(first.words[first.query].text == "is");
  CHECK(first.occurrences == 1);
  const Explanation nice = explain(translate, text, {.query = "Nice"});  // as it stands
  CHECK(nice.words[nice.query].span == Span{20, 24});
  const Explanation second = explain(translate, "가 나 가 다 가", {.query = "가:2"});
  CHECK(second.words[second.query].span == Span{4, 5});
  CHECK(second.occurrence == 2);
  CHECK(second.occurrences == 3);
  const Explanation colon = explain(translate, text, {.query = "10:2"});
  CHECK(colon.words[colon.query].text == "10:2");
  const Explanation end = explain(translate, text, {.query = "</s>"});
  CHECK(end.words[end.query].special);
  const Explanation to = explain(translate, "이름 Nice", {.query = "Nice", .to = "ko"});
  CHECK(to.words[0].text == ">>ko<<");
}

TEST_CASE("a part of a character shows the character and its number") {
  const Explanation e = explain(toy(), "뛟 🐧", {.query = "🐧"});
  std::vector<std::string> texts;
  for (const ExplainedPiece& piece : e.pieces)
    if (!piece.special) texts.push_back(piece.text);
  CHECK(texts == std::vector<std::string>{"뛟(1)", "뛟(2)", "뛟(3)", " ", "🐧(1)", "🐧(2)", "🐧(3)", "🐧(4)"});
  CHECK(e.words[e.query].size() == 5);  // with the space before it
}

TEST_CASE("what cannot be shown is one clear line") {
  const Translate translate = toy();
  const std::string text = "가 나, 가";
  CHECK(error_of(translate, text, {.query = "라"}) ==
        "explain: no word \"라\" in the text, only: >>en<< 가 나, 가 </s>");
  CHECK(error_of(translate, text, {.query = "라:x"}).starts_with("explain: no word \"라:x\" in the text"));
  CHECK(error_of(translate, text, {.query = "가:3"}) == "explain: \"가\" occurs 2 times, there is no occurrence 3");
  CHECK(error_of(translate, text, {.query = "나:0"}) == "explain: \"나\" occurs 1 time, there is no occurrence 0");
  CHECK(error_of(translate, text, {.query = "가", .layer = 2}) ==
        "explain: layer is 2, the encoder's layers are 0 to 1");
  CHECK(error_of(translate, text, {.query = "가", .head = -1}) ==
        "explain: head is -1, the encoder's heads are 0 to 3");
  CHECK(error_of(translate, text, {.query = "가", .to = "fr"}) ==
        "translate: the model does not translate into \"fr\", only into ko, en");
  CHECK(error_of(translate, text, {.query = "가", .high = {"나"}}) ==
        "explain: an expectation needs words expected high and words expected low");
  CHECK(error_of(translate, text, {.query = "가", .high = {"나"}, .low = {"다"}})
            .starts_with("explain: no word \"다\" in the text"));
  CHECK(error_of(translate, text, {.query = "가", .best_head = true}) ==
        "explain: the best head is sought for an expectation: name words expected high and low");
  CHECK(error_of(translate, " \n ", {.query = "가"}) == "explain: the text has no words");
  CHECK(error_of(translate, "가\xFF", {.query = "가"}) == "explain: text: invalid UTF-8 at byte 3 (0xFF)");
  std::string longer;
  for (int i = 0; i < 300; ++i) longer += "뛟 ";
  CHECK(error_of(translate, longer, {.query = "뛟"}) ==
        "explain: the text has 902 tokens, more than 512: give a sentence");
  CHECK(error_of(translate, longer.substr(0, 80 * 4), {.query = "뛟"}).find("beyond the model's 64") !=
        std::string::npos);
}
