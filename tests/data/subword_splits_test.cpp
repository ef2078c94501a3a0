#include <attend/base/error.hpp>
#include <attend/data/subword_splits.hpp>
#include <attend/text/train_bpe.hpp>

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <set>

using namespace attend;
using nlohmann::json;
using Ids = std::vector<int32_t>;

namespace {

constexpr int64_t any_length = int64_t{1} << 40;
constexpr std::string_view corpus[] = {"the cat sat on the mat", "the cat ate the rat", "고양이가 매트 위에 앉았다",
                                       "고양이가 쥐를 먹었다", "it's the cat's mat, isn't it?"};

Tokenizer trained() {
  BpeTrainerOptions options = translator_bpe_options(340, {">>ko<<"});
  options.min_frequency = 1;
  BpeTrainer trainer(std::move(options));
  for (const std::string_view line : corpus) trainer.add(line);
  return trainer.train();
}

// The tokens get their places as ids.
Tokenizer bpe(const std::vector<std::string>& tokens, const std::vector<std::string>& merges,
              const std::vector<std::string>& added = {}, const std::string& prefix = "") {
  json file = {{"version", "1.0"},
               {"added_tokens", json::array()},
               {"model", {{"type", "BPE"}, {"vocab", json::object()}, {"merges", merges}}}};
  if (!prefix.empty()) file["model"]["continuing_subword_prefix"] = prefix;
  for (size_t id = 0; id < tokens.size(); ++id) {
    file["model"]["vocab"][tokens[id]] = id;
    if (std::find(added.begin(), added.end(), tokens[id]) != added.end())
      file["added_tokens"].push_back({{"id", id}, {"content", tokens[id]}, {"special", true}});
  }
  return Tokenizer::from_json(file.dump());
}

Ids split(const Tokenizer& tokenizer, double probability, const Ids& ids, uint64_t key = 1) {
  return SubwordSplits(tokenizer, probability).split(ids, key, any_length);
}

}  // namespace

TEST_CASE("split tokens say the same text") {
  const Tokenizer tokenizer = trained();
  std::set<Ids> segmentations;
  for (const double probability : {0.0, 0.1, 0.5, 0.9, 1.0}) {
    const SubwordSplits splits(tokenizer, probability);
    for (const std::string_view text : corpus) {
      const Ids whole = tokenizer.encode_ids(text, false);
      for (uint64_t key = 0; key < 20; ++key) {
        const Ids ids = splits.split(whole, key, any_length);
        CHECK(tokenizer.decode(ids) == text);
        if (probability == 0) CHECK(ids == whole);
        if (probability == 1) {
          CHECK(ids.size() == text.size());  // bytes
          CHECK(std::none_of(ids.begin(), ids.end(), [&](int32_t id) { return splits.splittable(id); }));
        }
        if (probability == 0.5 && text == corpus[0]) segmentations.insert(ids);
      }
    }
  }
  CHECK(segmentations.size() >= 19);  // another one for each key
}

TEST_CASE("each token is split with the probability, and its parts again") {
  const Tokenizer tokenizer = bpe({"a", "b", "ab", "abab"}, {"a b", "ab ab"});
  constexpr int count = 40000;
  const Ids whole(count, 3);
  for (const double probability : {0.1, 0.5, 0.9}) {
    const Ids ids = split(tokenizer, probability, whole);
    const auto share = [&](int32_t id) { return static_cast<double>(std::count(ids.begin(), ids.end(), id)) / count; };
    CHECK(share(3) == doctest::Approx(1 - probability).epsilon(0.03));
    CHECK(share(2) == doctest::Approx(2 * probability * (1 - probability)).epsilon(0.05));
    CHECK(share(0) == doctest::Approx(2 * probability * probability).epsilon(0.05));
    CHECK(share(0) == share(1));
  }
}

TEST_CASE("a split is a function of ids, probability and key") {
  const Tokenizer tokenizer = trained();
  const Ids whole = tokenizer.encode_ids(corpus[4], false);
  CHECK(split(tokenizer, 0.5, whole, 7) == split(trained(), 0.5, whole, 7));
  CHECK(split(tokenizer, 0.5, whole, 7) != split(tokenizer, 0.5, whole, 8));
}

TEST_CASE("what would become too long stays whole") {
  const Tokenizer tokenizer = trained();
  const SubwordSplits splits(tokenizer, 1);
  const Ids whole = tokenizer.encode_ids(corpus[2], false);
  const auto bytes = static_cast<int64_t>(corpus[2].size());
  CHECK(std::ssize(splits.split(whole, 1, bytes)) == bytes);
  for (const int64_t most : {bytes - 1, std::ssize(whole), int64_t{0}, int64_t{-5}})
    CHECK(splits.split(whole, 1, most) == whole);
  CHECK(splits.split({}, 1, 10) == Ids{});
}

TEST_CASE("added tokens are neither split nor the result of a split") {
  const std::vector<std::string> tokens{"a", "b", "c", "ab", "abc"}, merges{"a b", "ab c"};
  const Ids all{0, 1, 2, 3, 4};
  CHECK(split(bpe(tokens, merges), 1, all) == Ids{0, 1, 2, 0, 1, 0, 1, 2});
  CHECK(split(bpe(tokens, merges, {"abc"}), 1, all) == Ids{0, 1, 2, 0, 1, 4});
  CHECK(split(bpe(tokens, merges, {"ab"}), 1, all) == all);
  CHECK(split(bpe(tokens, merges, {"c"}), 1, all) == Ids{0, 1, 2, 0, 1, 4});
  const Tokenizer translator = trained();
  const Ids ids = translator.encode_ids(">>ko<< the cat");
  const Ids bytes = split(translator, 1, ids);
  CHECK(bytes.size() == 1 + 7 + 1);
  CHECK(bytes.front() == translator.token_to_id(">>ko<<"));
  CHECK(bytes.back() == translator.token_to_id("</s>"));
  CHECK(split(translator, 1, {-1, 1 << 30}) == Ids{-1, 1 << 30});  // no token's ids
}

TEST_CASE("a token of several merges splits as the first of them says, and circles are left alone") {
  CHECK(split(bpe({"a", "b", "c", "ab", "bc", "abc"}, {"b c", "a b", "a bc", "ab c"}), 1, {5}) == Ids{0, 1, 2});
  const SubwordSplits first(bpe({"a", "b", "c", "ab", "bc", "abc"}, {"b c", "a b", "a bc", "ab c"}), 0.5);
  std::set<Ids> seen;
  for (uint64_t key = 0; key < 100; ++key) seen.insert(first.split(Ids{5}, key, any_length));
  CHECK(seen == std::set<Ids>{{5}, {0, 4}, {0, 1, 2}});
  // "##b" is made of "###b", which is made of "##b".
  const Tokenizer circle = bpe({"#", "###", "##b", "###b", "b", "#b"}, {"# ###b", "### ##b", "# ##b"}, {}, "##");
  CHECK(circle.merges().size() == 3);
  CHECK(split(circle, 1, {2, 3, 5}) == Ids{2, 3, 5});
}

TEST_CASE("a tokenizer without merges and impossible probabilities are refused") {
  CHECK_THROWS_WITH_AS(SubwordSplits(bpe({"a", "b"}, {}), 0.1),
                       "subword dropout: the tokenizer has no merges to undo; use a BPE, or 0", ConfigError);
  for (const double probability : {-0.1, 1.1, std::nan("")})
    CHECK_THROWS_WITH_AS(SubwordSplits(trained(), probability), doctest::Contains("not from 0 to 1"), ConfigError);
}
