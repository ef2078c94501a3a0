#include "attend/text/sentences.hpp"

#include <doctest/doctest.h>

#include <string>

#include "attend/base/error.hpp"
#include "attend/base/unicode.hpp"

using namespace attend;

namespace {

std::vector<std::string> texts(std::string_view text, const std::vector<SentenceSpan>& spans) {
  std::vector<std::string> result;
  for (const SentenceSpan& span : spans) result.emplace_back(text.substr(span.begin, span.end - span.begin));
  return result;
}

/// Spans are in order, trimmed, and only white space lies between them.
void check_cover(std::string_view text, const std::vector<SentenceSpan>& spans) {
  auto check_blank = [&](size_t begin, size_t end) {
    while (begin < end) {
      const CodePoint c = code_point_at(text, begin);
      REQUIRE(is_white_space(c.value));
      begin += c.length;
    }
  };
  size_t done = 0;
  for (const SentenceSpan& span : spans) {
    REQUIRE(span.begin >= done);
    REQUIRE(span.begin < span.end);
    check_blank(done, span.begin);
    REQUIRE_FALSE(is_white_space(code_point_at(text, span.begin).value));
    REQUIRE_FALSE(is_white_space(code_point_at(text, previous_code_point(text, span.end)).value));
    done = span.end;
  }
  check_blank(done, text.size());
}

size_t characters(std::string_view text) { return static_cast<size_t>(count_code_points(text)); }

}  // namespace

TEST_CASE("sentences end where a reader says they do") {
  using Strings = std::vector<std::string>;
  const std::pair<std::string, Strings> cases[] = {
      {"", {}},
      {" \n\t ", {}},
      {"One", {"One"}},
      {"It works. Really? Yes!", {"It works.", "Really?", "Yes!"}},
      {"Two  spaces.  Kept apart.\n", {"Two  spaces.", "Kept apart."}},
      {"A title\nand a line", {"A title", "and a line"}},
      {"Wait... what? No!!! Stop.", {"Wait... what?", "No!!!", "Stop."}},
      {"how are you? i am fine", {"how are you?", "i am fine"}},
      {"Mr. Smith met Dr. Lee. They talked.", {"Mr. Smith met Dr. Lee.", "They talked."}},
      {"Use a tool, e.g. Vim. It helps.", {"Use a tool, e.g. Vim.", "It helps."}},
      {"J. R. Tolkien wrote it. I read it.", {"J. R. Tolkien wrote it.", "I read it."}},
      {"It was I. Then he left.", {"It was I.", "Then he left."}},
      {"The U.S. Army came. It left.", {"The U.S. Army came.", "It left."}},
      {"See No. 5. Then go.", {"See No. 5.", "Then go."}},
      {"No. I will not.", {"No.", "I will not."}},
      {"Pi is 3.14. Open file.txt now.", {"Pi is 3.14.", "Open file.txt now."}},
      {"See https://a.example/b.c?d=e! Good.", {"See https://a.example/b.c?d=e!", "Good."}},
      {"1. First\n2. Second", {"1. First", "2. Second"}},
      {"He said \"Go.\" Then he left.", {"He said \"Go.\"", "Then he left."}},
      {"\"Really?\" he asked. (Yes.) Fine.", {"\"Really?\" he asked.", "(Yes.)", "Fine."}},
      {"안녕하세요. 저는 학생이에요. 반가워요!", {"안녕하세요.", "저는 학생이에요.", "반가워요!"}},
      {"\"어디 가요?\" 그가 물었다. 나는 웃었다…  그리고 떠났다.",
       {"\"어디 가요?\"", "그가 물었다.", "나는 웃었다…", "그리고 떠났다."}},
      {"2024. 1. 5. 회의가 열린다. 오세요.", {"2024. 1. 5. 회의가 열린다.", "오세요."}},
      {"버전 3.2가 나왔다. 좋다.", {"버전 3.2가 나왔다.", "좋다."}},
      {"今日は。元気？はい！", {"今日は。", "元気？", "はい！"}},
      {"「行く。」と言った。次。", {"「行く。」", "と言った。", "次。"}},
      {"bad \xFF byte. Next.", {"bad \xFF byte.", "Next."}},
  };
  for (const auto& [text, expected] : cases) {
    CAPTURE(text);
    const auto spans = split_sentences(text);
    CHECK(texts(text, spans) == expected);
    check_cover(text, spans);
  }
}

TEST_CASE("over-long sentences are cut at clauses, then spaces, then characters") {
  using Strings = std::vector<std::string>;
  auto cut = [](std::string_view text, size_t limit) {
    const auto spans = split_sentences(text, limit, characters);
    check_cover(text, spans);
    return texts(text, spans);
  };
  CHECK(cut("Short one. And two.", 20) == Strings{"Short one.", "And two."});
  CHECK(cut("When it rains, we stay inside today.", 24) == Strings{"When it rains,", "we stay inside today."});
  CHECK(cut("one two three four five six", 10) == Strings{"one two", "three four", "five six"});
  CHECK(cut("가나다라마바사", 3) == Strings{"가나다", "라마바", "사"});
  CHECK(cut("abc", 1) == Strings{"a", "b", "c"});
  CHECK_THROWS_AS(split_sentences("a", 0, characters), ConfigError);
}

TEST_CASE("every part of a cut text fits, and nothing is lost") {
  std::string text;
  for (int i = 0; i < 400; ++i) text += i % 7 == 0 ? "단어, " : i % 5 == 0 ? "word " : "긴낱말이여기에있다 ";
  for (const size_t limit : {1, 2, 7, 40, 300}) {
    CAPTURE(limit);
    const auto spans = split_sentences(text, limit, characters);
    check_cover(text, spans);
    for (const std::string& part : texts(text, spans)) CHECK(characters(part) <= limit);
  }
}

TEST_CASE("a sentence of a megabyte is measured in small parts") {
  const std::string text(1 << 20, 'x');
  size_t measured = 0;
  const auto spans = split_sentences(text, 100, [&](std::string_view part) {
    measured += part.size();
    return part.size();
  });
  CHECK(spans.size() == (text.size() + 99) / 100);
  CHECK(measured < text.size() * 30);
}
