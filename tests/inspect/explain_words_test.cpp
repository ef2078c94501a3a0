// Words and their pieces.
#include <attend/base/error.hpp>
#include <attend/inspect/words.hpp>
#include <attend/text/tokenizer.hpp>

#include <doctest/doctest.h>

#include "tasks/toy_translator.hpp"

using namespace attend;

namespace {

/// An encoding with these spans; {0, 0} is a special token.
Encoding spans(const std::vector<Span>& offsets) {
  Encoding encoding;
  for (const Span& span : offsets) encoding.add(5, "piece", span, 0, 0, 0, span == Span{});
  return encoding;
}

/// "word[begin,end) …"
std::string shown(const std::vector<WordPieces>& words) {
  std::string text;
  for (const WordPieces& word : words)
    text += fmt::format("{}{}[{},{})", text.empty() ? "" : " ", word.special ? "*" : word.text, word.begin, word.end);
  return text;
}

std::vector<std::string> texts_of(const std::vector<Word>& words) {
  std::vector<std::string> texts;
  for (const Word& word : words) texts.push_back(word.text);
  return texts;
}

}  // namespace

TEST_CASE("words are what stands between white space") {
  CHECK(split_into_words("").empty());
  CHECK(split_into_words(" \t\n　").empty());
  const auto words = split_into_words("  펭귄은,  can't\t수영🐧!　끝\n");
  CHECK(texts_of(words) == std::vector<std::string>{"펭귄은,", "can't", "수영🐧!", "끝"});
  CHECK(words[0].span == Span{2, 6});
  CHECK(words[1].span == Span{8, 13});
  CHECK(words[2].span == Span{14, 18});
  CHECK(words[3].span == Span{19, 20});
}

TEST_CASE("a piece belongs to the word it covers most of") {
  const std::string text = "가나 다라마  바";  // 가나 [0,2) 다라마 [3,6) 바 [8,9)
  CHECK(shown(words_of(text, spans({{0, 1}, {1, 2}, {2, 4}, {4, 6}, {6, 9}}))) == "가나[0,2) 다라마[2,4) 바[4,5)");
  CHECK(shown(words_of(text, spans({{}, {0, 2}, {2, 6}, {6, 9}, {}}))) ==
        "*[0,1) 가나[1,2) 다라마[2,3) 바[3,4) *[4,5)");
  // Across words: most of 다라마, and one character of each: the first.
  CHECK(shown(words_of(text, spans({{0, 1}, {1, 6}, {6, 9}}))) == "가나[0,1) 다라마[1,2) 바[2,3)");
  CHECK(shown(words_of(text, spans({{0, 1}, {1, 4}, {4, 9}}))) == "가나[0,2) 다라마[2,3)");
  // White space alone: the word behind; at the end the one before.
  CHECK(shown(words_of(text, spans({{0, 2}, {2, 3}, {3, 6}, {6, 7}, {7, 9}}))) == "가나[0,1) 다라마[1,3) 바[3,5)");
  CHECK(shown(words_of("가 ", spans({{0, 1}, {1, 2}}))) == "가[0,2)");
  // A word that the tokenizer dropped has no entry; special tokens in a row have one each.
  CHECK(shown(words_of(text, spans({{}, {}, {0, 2}, {8, 9}}))) == "*[0,1) *[1,2) 가나[2,3) 바[3,4)");
  CHECK(shown(words_of(" ", spans({{0, 1}}))) == "*[0,1)");
  CHECK(words_of("", Encoding{}).empty());
}

TEST_CASE("words of a byte-level tokenizer: Hangul, punctuation, several spaces, emoji") {
  const Tokenizer tokenizer = attend::testing::toy_tokenizer();
  for (const std::string text : {"이름이 뭐예요?", "펭귄은   날지, 못하지만!", "수영🐧할 👩‍👩‍👧 수",
                                 "  My name's  민수.  ", "뛟 é é", "한"}) {
    CAPTURE(text);
    const Encoding encoding = tokenizer.encode(text);
    const auto words = words_of(text, encoding);
    std::vector<std::string> plain;
    int64_t next = 0;
    for (const WordPieces& word : words) {  // every piece once, in order
      CHECK(word.begin == next);
      CHECK(word.end > word.begin);
      next = word.end;
      if (word.special) continue;
      plain.push_back(word.text);
      // Its pieces alone say the word and the space before it.
      const std::vector<int32_t> ids(encoding.ids.begin() + word.begin, encoding.ids.begin() + word.end);
      std::string said = tokenizer.decode(ids);
      said.erase(0, said.find_first_not_of(' '));
      if (&word == &words[words.size() - 2]) said.erase(said.find_last_not_of(' ') + 1);  // and those at the end
      CHECK(said == word.text);
    }
    CHECK(next == std::ssize(encoding.ids));
    CHECK(plain == texts_of(split_into_words(text)));
    CHECK(words.back().special);
    CHECK(words.back().text == "</s>");
  }
}

TEST_CASE("finding a word, as it stands or but for punctuation around it") {
  const auto words = words_of("나는 \"나는\" 나는, 그 ...", spans({{}, {0, 2}, {3, 7}, {8, 11}, {12, 13}, {14, 17}}));
  using Found = std::vector<size_t>;
  CHECK(find_word(words, "나는") == Found{1});
  CHECK(find_word(words, "나는,") == Found{3});
  CHECK(find_word(words, "나는!") == Found{1, 2, 3});
  CHECK(find_word(words, "그") == Found{4});
  CHECK(find_word(words, "...") == Found{5});
  CHECK(find_word(words, "piece") == Found{0});  // a special token by its name
  CHECK(find_word(words, "나").empty());
  CHECK(find_word(words, "!").empty());
  CHECK(find_word(words, "").empty());
}

TEST_CASE("weights between words: mean over queries of the sum over keys") {
  const std::vector<WordPieces> words{{"a", {0, 1}, false, 0, 1}, {"b", {2, 4}, false, 1, 3}};
  const std::vector<float> weights{0.5f, 0.25f, 0.25f, 0.125f, 0.5f, 0.375f, 0.625f, 0.25f, 0.125f};
  const Matrix between = word_weights(weights, words);
  CHECK(between(0, 0) == 0.5);
  CHECK(between(0, 1) == 0.5);
  CHECK(between(1, 0) == 0.375);
  CHECK(between(1, 1) == 0.625);
  CHECK_THROWS_WITH_AS(word_weights({weights.data(), 4}, words), "word_weights: 4 weights do not fit 3 pieces",
                       ShapeError);
}
