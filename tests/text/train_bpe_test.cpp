#include "attend/text/train_bpe.hpp"

#include <doctest/doctest.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <new>
#include <nlohmann/json.hpp>

#include "attend/base/error.hpp"
#include "attend/text/word_counts.hpp"

using namespace attend;
using Json = nlohmann::json;

namespace {

// Live bytes of operator new, and the most there were since the last reset.
std::atomic<int64_t> live_bytes{0}, peak_bytes{0};

[[maybe_unused]] void count_block(void* block, int sign) {
  const int64_t now = live_bytes += sign * static_cast<int64_t>(malloc_usable_size(block));
  for (int64_t peak = peak_bytes; now > peak && !peak_bytes.compare_exchange_weak(peak, now);) continue;
}

}  // namespace

#ifndef __SANITIZE_ADDRESS__  // which has its own operator new
// Not inlined: the compiler must not see malloc behind a new.
[[gnu::noinline]] void* operator new(size_t size) {
  void* block = std::malloc(size ? size : 1);
  if (!block) throw std::bad_alloc();
  count_block(block, 1);
  return block;
}

[[gnu::noinline]] void operator delete(void* block) noexcept {
  if (block) count_block(block, -1);
  std::free(block);
}

[[gnu::noinline]] void operator delete(void* block, size_t) noexcept { operator delete(block); }
#endif

namespace {

constexpr std::string_view corpus[] = {"the cat sat on the mat", "the cat ate the rat", "고양이가 매트 위에 앉았다",
                                       "the rat ran", "it's the cat's mat, isn't it?"};

Tokenizer train(BpeTrainerOptions options, BpeTrainer::Report* report = nullptr) {
  BpeTrainer trainer(std::move(options));
  for (const std::string_view line : corpus) trainer.add(line);
  Tokenizer tokenizer = trainer.train();
  if (report) *report = trainer.report();
  return tokenizer;
}

std::string numbered_word(uint64_t number) {
  std::string word = " ";
  for (uint64_t left = number * 2654435761u + 12345; left > 0; left /= 26) word += static_cast<char>('a' + left % 26);
  return word;
}

}  // namespace

TEST_CASE("merges are the ones that counting by hand gives") {
  // "aa" occurs twice a word at first, but both in "aaa" overlap: a a a → aa a.
  BpeTrainer trainer({.vocab_size = 256 + 3, .min_frequency = 1});
  trainer.add("ab ab ab aaa");
  const Tokenizer tokenizer = trainer.train();
  // Pairs: (a,b) 3, (Ġ,a) 3, (a,a) 2. "a" < "Ġ" by id, so (a,b) is first; then (Ġ,ab) 2 and (a,a) 2, (a,a) first.
  CHECK(tokenizer.id_to_token(256) == "ab");
  CHECK(tokenizer.id_to_token(257) == "aa");
  CHECK(tokenizer.id_to_token(258) == "Ġab");
  CHECK(trainer.report().merges == 3);
}

TEST_CASE("a translator's tokens stand where Marian folders need them") {
  const Tokenizer tokenizer = train(translator_bpe_options(300, {">>ko<<", ">>en<<"}));
  CHECK(tokenizer.vocab_size() <= 300);
  CHECK(tokenizer.token_to_id("</s>") == 0);
  CHECK(tokenizer.token_to_id("<unk>") == 1);
  CHECK(tokenizer.token_to_id(">>ko<<") == 2);
  CHECK(tokenizer.token_to_id(">>en<<") == 3);
  CHECK(tokenizer.token_to_id("<pad>") == tokenizer.vocab_size() - 1);
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) CHECK(tokenizer.id_to_token(id).has_value());

  const auto plain = tokenizer.encode_ids("the cat", false);
  std::vector<int32_t> expected = {2};
  expected.insert(expected.end(), plain.begin(), plain.end());
  expected.push_back(0);
  CHECK(tokenizer.encode_ids(">>ko<< the cat") == expected);
  CHECK(tokenizer.encode_ids(">>ko<<the cat") == expected);
  CHECK(tokenizer.decode(expected) == "the cat");
  // Decomposed Hangul is the same text.
  CHECK(tokenizer.encode_ids("\u1100\u1169\u110B\u1163\u11BC\u110B\u1175") == tokenizer.encode_ids("고양이"));
}

TEST_CASE("any bytes survive, trained on or not") {
  const Tokenizer tokenizer = train(translator_bpe_options(400, {}));
  for (const std::string text : {"the cat", "never seen 漢字 😀", "\t\n\r  spaces \u3000", "고양이가"})
    CHECK(tokenizer.decode(tokenizer.encode_ids(text)) == text);
  CHECK(tokenizer.decode(tokenizer.encode_ids("a\xFF\x80z")) == "a\uFFFD\uFFFDz");
}

TEST_CASE("saving and reading gives the same tokenizer") {
  const Tokenizer tokenizer = train(translator_bpe_options(350, {">>ko<<"}));
  const Tokenizer again = Tokenizer::from_json(tokenizer.to_json());
  CHECK(again.to_json() == tokenizer.to_json());
  for (const std::string_view line : corpus) CHECK(again.encode_ids(line) == tokenizer.encode_ids(line));
}

TEST_CASE("the order of texts does not matter below the limit, and counts multiply") {
  BpeTrainer forward({.vocab_size = 320, .min_frequency = 2}), backward({.vocab_size = 320, .min_frequency = 2});
  for (size_t i = 0; i < std::size(corpus); ++i) {
    forward.add(corpus[i], 3);
    for (int k = 0; k < 3; ++k) backward.add(corpus[std::size(corpus) - 1 - i]);
  }
  CHECK(forward.train().to_json() == backward.train().to_json());
}

TEST_CASE("min_frequency and vocab_size end the merging") {
  BpeTrainer::Report report;
  CHECK(train({.vocab_size = 100000, .min_frequency = 1000}, &report).vocab_size() == 256);
  CHECK(report.merges == 0);
  CHECK(report.texts == std::size(corpus));
  CHECK(train({.vocab_size = 270, .min_frequency = 1}).vocab_size() == 270);
  CHECK(train({.vocab_size = 100, .min_frequency = 1000, .all_bytes = false}).vocab_size() < 100);
}

TEST_CASE("options that contradict each other are refused") {
  CHECK_THROWS_AS(BpeTrainer({.vocab_size = 255}), ConfigError);
  CHECK_THROWS_AS(BpeTrainer({.layout = "$A </s>"}), ConfigError);
  CHECK_THROWS_AS(BpeTrainer({.special_tokens = {{.content = "</s>"}}, .layout = "</s>"}), ConfigError);
  CHECK_THROWS_AS(BpeTrainer({.special_tokens = {{.content = "x"}, {.content = "x"}}}), ConfigError);
  CHECK_THROWS_AS(BpeTrainer({.special_tokens = {{.content = "\xFF"}}}), FormatError);
  CHECK_THROWS_AS(BpeTrainer({.unk_token = "<unk>"}), ConfigError);
  CHECK_THROWS_AS(BpeTrainer({.pre_tokenizer = "null"}), ConfigError);
  CHECK_THROWS_AS(BpeTrainer({.pre_tokenizer = "{\"type\":"}), FormatError);
  CHECK_THROWS_AS(BpeTrainer({.memory_limit = 1000}), ConfigError);
}

TEST_CASE("words are counted exactly below the limit and by the stated law above it") {
  const WordCounts::Costs costs{.limit = 100'000, .cost_per_byte = 32, .cost_per_word = 64};
  std::map<std::string, int64_t> exact;
  WordCounts counts(costs);
  for (uint64_t i = 0; i < 20'000; ++i) {
    // A few frequent words among very many rare ones.
    const std::string word = numbered_word(i % 3 == 0 ? i % 30 : i);
    ++exact[word];
    counts.add(word, 1);
    REQUIRE(counts.cost() <= costs.limit);
  }
  CHECK(counts.dropped_words() > 0);
  CHECK(counts.largest_loss() > 0);
  int64_t kept = 0;
  counts.for_each([&](std::string_view word, int64_t count) {
    kept += count;
    const int64_t true_count = exact.at(std::string(word));
    CHECK(count <= true_count);
    CHECK(count >= true_count - counts.largest_loss());
  });
  CHECK(kept + counts.dropped_occurrences() == 20'000);
  for (uint64_t i = 0; i < 30; i += 3) {
    bool found = false;
    counts.for_each([&](std::string_view word, int64_t) { found = found || word == numbered_word(i); });
    CHECK(found);
  }

  WordCounts below(costs);
  for (int i = 0; i < 5000; ++i) below.add(numbered_word(i % 100), 1);
  CHECK(below.dropped_words() == 0);
  below.for_each([](std::string_view, int64_t count) { CHECK(count == 50); });

  WordCounts huge(costs);
  huge.add(std::string(10'000, 'x'), 7);
  CHECK(huge.size() == 0);
  CHECK(huge.dropped_occurrences() == 7);
}

TEST_CASE("memory stays below the limit whatever the corpus") {
  constexpr int64_t limit = 8'000'000;
  auto run = [](int64_t memory_limit, BpeTrainer::Report& report) {
    const int64_t before = live_bytes;
    peak_bytes = before;
    BpeTrainer trainer({.vocab_size = 400, .min_frequency = 1, .memory_limit = memory_limit});
    std::string line;
    for (uint64_t i = 0; i < 60'000; ++i) {
      line = numbered_word(i) + numbered_word(i + 1'000'000);
      trainer.add(line);
    }
    trainer.train();
    report = trainer.report();
    return peak_bytes - before;
  };
  BpeTrainer::Report bounded, free;
  const int64_t peak = run(limit, bounded);
  const int64_t unbounded_peak = run(2'000'000'000, free);
  CHECK(bounded.dropped_words > 0);
  CHECK(free.dropped_words == 0);
  CHECK(free.distinct_words > bounded.distinct_words * 2);
#ifndef __SANITIZE_ADDRESS__
  CHECK(peak < limit);
  CHECK(unbounded_peak > limit);  // the limit is what kept the memory small
#else
  (void)peak, (void)unbounded_peak;
#endif
}
