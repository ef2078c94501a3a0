// attend explain: attention with every number, first by hand, then in a model.
#include <attend/base/unicode.hpp>
#include <attend/inspect/explain.hpp>
#include <attend/inspect/explain_example.hpp>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "attention_map.hpp"
#include "commands.hpp"
#include "explain_text.hpp"
#include "input_lines.hpp"
#include "model_folder.hpp"

namespace attend::cli {
namespace {

using Json = nlohmann::ordered_json;

struct ExplainFlags {
  std::string model = "en-ko";
  ExplainOptions explain;
  bool pieces = false, full = false, json = false;
  ColorMode color = ColorMode::automatic;
  std::string x, wq, wk, wv;

  static void fields(auto& self, auto&& f) {
    f("query", self.explain.query,
      Doc{.en = "word whose attention to show; WORD:2 is its second occurrence",
          .ko = "어텐션을 볼 단어. 단어:2는 두 번째로 나온 것"});
    f("model", self.model, Doc{.en = "folder or name of a translation model", .ko = "번역 모델의 폴더나 이름"});
    f("layer", self.explain.layer,
      Doc{.en = "of the encoder, from 0; none: chosen", .ko = "인코더 층, 0부터. none이면 고름", .min = 0});
    f("head", self.explain.head, Doc{.en = "from 0; none: chosen", .ko = "헤드, 0부터. none이면 고름", .min = 0});
    f("best_head", self.explain.best_head,
      Doc{.en = "show the head with the largest margin: mean weight of the words expected high less that of those "
                "expected low",
          .ko = "높으리라 보는 단어와 낮으리라 보는 단어의 평균 가중치 차이가 가장 큰 헤드를 보임"});
    f("high", self.explain.high,
      Doc{.en = "words expected to get much attention: A,B", .ko = "가중치가 높으리라 보는 단어: 가,나"});
    f("low", self.explain.low, Doc{.en = "words expected to get little", .ko = "가중치가 낮으리라 보는 단어"});
    f("to", self.explain.to,
      Doc{.en = "language to translate into; empty: by the text", .ko = "번역할 언어, 비우면 글을 보고 정함"});
    f("pieces", self.pieces,
      Doc{.en = "the weights of all pieces, not only words", .ko = "단어만이 아니라 모든 조각의 가중치"});
    f("full", self.full, Doc{.en = "every number of each vector", .ko = "벡터의 모든 수"});
    f("json", self.json, Doc{.en = "everything as one JSON object", .ko = "모두 JSON 객체 하나로"});
    f("color", self.color, Doc{.en = "of bars and maps", .ko = "막대와 그림의 색"});
    f("x", self.x,
      Doc{.en = "without TEXT: your own vectors, \"1,2,3\", more after \";\"",
          .ko = "TEXT 없이: 직접 정한 벡터 \"1,2,3\", 여러 개는 \";\"로"});
    f("wq", self.wq, Doc{.en = "your own W_Q, \"1,2;3,4\"", .ko = "직접 정한 W_Q \"1,2;3,4\""});
    f("wk", self.wk, Doc{.en = "your own W_K", .ko = "직접 정한 W_K"});
    f("wv", self.wv, Doc{.en = "your own W_V", .ko = "직접 정한 W_V"});
  }

  bool own_numbers() const { return !(x.empty() && wq.empty() && wk.empty() && wv.empty()); }
};

// --- by hand ---------------------------------------------------------------------------------------------------------

Json attention_json(const AttentionSteps& steps) {
  return {{"q", matrix_json(steps.q)},           {"k", matrix_json(steps.k)},
          {"v", matrix_json(steps.v)},           {"products", matrix_json(steps.products)},
          {"scores", matrix_json(steps.scores)}, {"weights", matrix_json(steps.weights)},
          {"output", matrix_json(steps.out)}};
}

Json projection_json(const ProjectionExample& example) {
  const Matrix column = transposed(example.x);
  Json json{{"x", matrix_json(example.x)},
            {"w_q", matrix_json(example.w_q)},
            {"w_k", matrix_json(example.w_k)},
            {"w_v", matrix_json(example.w_v)},
            {"attention", attention_json(example.attention())}};
  for (const auto& [name, w] : {std::pair{"q", &example.w_q}, {"k", &example.w_k}, {"v", &example.w_v}})
    if (w->columns == column.rows)  // W·x: the other convention, where it exists
      json["column"][name] = matrix_json(transposed(multiply(*w, column)));
  return json;
}

void explain_numbers(const ExplainFlags& flags, Call& call) {
  const bool notes = !flags.own_numbers();
  ProjectionExample example = notes_example();
  for (const auto& [flag, text, matrix] : {std::tuple{"--x", &flags.x, &example.x},
                                           {"--wq", &flags.wq, &example.w_q},
                                           {"--wk", &flags.wk, &example.w_k},
                                           {"--wv", &flags.wv, &example.w_v}})
    if (!text->empty()) *matrix = parse_matrix(*text, flag);
  example.check();
  const SentenceExample sentence = sentence_example();
  if (flags.json) {
    Json json = projection_json(example);
    if (notes)
      json["sentence"] = {{"words", sentence.words},
                          {"attention", attention_json(attention_steps(sentence.q, sentence.k, sentence.v))}};
    return call.out.line(json.dump());
  }
  const Teller teller(call, colors_of_output(flags.color));
  teller.line("Attention(Q, K, V) = softmax(QKᵀ/√dₖ)·V\n");
  tell_projection(teller, example, notes);
  if (notes) {
    teller.say({"\n2. Three words look at each other: {}", "\n2. 세 단어가 서로를 봅니다: {}"},
               fmt::join(sentence.words, " "));
    teller.say({"  Small vectors made by hand (dₖ = {}); a trained model has learned its own, and longer ones.",
                "  손으로 만든 작은 벡터입니다(dₖ = {}). 학습된 모델은 더 긴 벡터를 스스로 배웁니다."},
               sentence.q.columns);
    tell_attention(teller, sentence.words, attention_steps(sentence.q, sentence.k, sentence.v));
    return teller.say({"\nNumbers are rounded to four digits for print only. In a trained model:\n  attend explain "
                       "\"{0}\" --query {1}",
                       "\n수는 보일 때만 소수 넷째 자리까지 반올림합니다. 학습된 모델의 수를 보려면:\n  attend explain "
                       "\"{0}\" --query {1}"},
                      fmt::join(sentence.words, " "), sentence.words[1]);
  }
  std::vector<std::string> names;
  for (int64_t i = 0; i < example.x.rows; ++i) names.push_back(example.x.rows == 1 ? "x" : fmt::format("x{}", i + 1));
  teller.say({"\n2. The vectors look at each other", "\n2. 벡터들이 서로를 봅니다"});
  tell_attention(teller, names, example.attention());
}

// --- in a model ------------------------------------------------------------------------------------------------------

std::string language_name(std::string_view code, std::string_view in) {
  if (code == "en") return in == "ko" ? "영어" : "English";
  if (code == "ko") return in == "ko" ? "한국어" : "Korean";
  return std::string(code);
}

class Story {
 public:
  Story(const Explanation& explanation, const ExplainFlags& flags, const Teller& teller)
      : e_(explanation), flags_(flags), teller_(teller), query_(e_.words[e_.query]) {
    for (const ExplainedPiece& piece : e_.pieces) labels_.push_back(label_of(piece));
    for (const WordPieces& word : e_.words) words_.push_back(printable(word.text));
    margin_ = widest(labels_);
  }

  void tell() const {
    tell_head();
    tell_vectors();
    tell_scores();
    tell_words();
    tell_output();
    if (flags_.pieces) tell_map();
    tell_fit();
    tell_check();
  }

 private:
  static std::string label_of(const ExplainedPiece& piece) {
    const size_t first = piece.text.find_first_not_of(' ');
    return first == std::string::npos ? "␣" : printable(std::string_view(piece.text).substr(first));
  }
  std::span<const float> row(const Tensor& tensor, int64_t piece) const {
    return {tensor.data<float>() + piece * tensor.size(1), static_cast<size_t>(tensor.size(1))};
  }
  std::string vector(std::span<const float> values) const {
    constexpr size_t shown = 4;
    return numbers(values, flags_.full ? values.size() : shown);
  }
  std::string label(int64_t piece) const { return fitted(labels_[static_cast<size_t>(piece)], margin_); }
  int64_t count() const { return std::ssize(e_.pieces); }

  void tell_head() const {
    teller_.line(printable(e_.text));
    if (!e_.language.empty())
      teller_.say({"Encoder of the translation model {0} (into {1}), layer {2} of 0–{3}, head {4} of 0–{5}, dₖ = {6}",
                   "번역 모델 {0}의 인코더({1}로 번역), 층 {2} (0–{3} 중), 헤드 {4} (0–{5} 중), dₖ = {6}"},
                  flags_.model, language_name(e_.language, teller_.language()), e_.place.layer, e_.layers - 1,
                  e_.place.head, e_.heads - 1, e_.q.size(1));
    else
      teller_.say({"Encoder of the translation model {0}, layer {1} of 0–{2}, head {3} of 0–{4}, dₖ = {5}",
                   "번역 모델 {0}의 인코더, 층 {1} (0–{2} 중), 헤드 {3} (0–{4} 중), dₖ = {5}"},
                  flags_.model, e_.place.layer, e_.layers - 1, e_.place.head, e_.heads - 1, e_.q.size(1));
    if (e_.choice == HeadChoice::spread)
      teller_.say(
          {"Chosen because here the attention of {} spreads most over other words; --layer and --head choose another.",
           "다른 단어들을 가장 고루 보는 헤드를 골랐습니다(쿼리: {}). --layer와 --head로 바꿀 수 있습니다."},
          words_[e_.query]);
    if (e_.choice == HeadChoice::nearest)
      teller_.say({"Chosen by --best-head: nearest to what is expected of {} (see Expectation below).",
                   "--best-head: 기대에 가장 가까운 헤드를 골랐습니다(쿼리: {}, 아래 '기대' 참조)."},
                  words_[e_.query]);
    if (e_.occurrences > 1)
      teller_.say({"{0} occurs {1} times; this is number {2} (--query {0}:N chooses).",
                   "{0}: {1}번 나오며 이것은 {2}번째입니다(--query {0}:번호로 고릅니다)."},
                  words_[e_.query], e_.occurrences, e_.occurrence);
    teller_.say({"The model reads {} pieces: {}", "모델이 읽는 조각 {}개: {}"}, count(), fmt::join(labels_, " | "));
  }

  void tell_vectors() const {
    teller_.say({"\n1. Queries, keys and values: each piece's vector times this head's W_Q, W_K, W_V{}",
                 "\n1. 쿼리, 키, 값: 조각마다 그 벡터에 이 헤드의 W_Q, W_K, W_V를 곱합니다{}"},
                flags_.full                  ? ""
                : teller_.language() == "ko" ? " (--full: 모든 수)"
                                             : " (--full shows every number)");
    for (int64_t i = query_.begin; i < query_.end; ++i)
      teller_.line(fmt::format("  {}  q = {}", label(i), vector(row(e_.q, i))));
    for (int64_t i = 0; i < count(); ++i)
      teller_.line(fmt::format("  {}  k = {}   v = {}", label(i), vector(row(e_.k, i)), vector(row(e_.v, i))));
  }

  void tell_scores() const {
    const std::string root = number(std::sqrt(static_cast<double>(e_.q.size(1))));
    teller_.say({"\n2. Scores q·k, divided by √dₖ = √{} = {}, and their softmax",
                 "\n2. 점수 q·k, 그것을 √dₖ = √{} = {}로 나눈 값, 그 소프트맥스"},
                e_.q.size(1), root);
    for (int64_t i = query_.begin; i < query_.end; ++i) {
      teller_.line(fmt::format("  q({})", labels_[static_cast<size_t>(i)]));
      for (int64_t j = 0; j < count(); ++j) {
        const auto weight = static_cast<double>(row(e_.weights, i)[static_cast<size_t>(j)]);
        teller_.line(fmt::format("    {}  q·k = {:>9}   ÷{} = {:>9}   softmax = {:.4f} {}", label(j),
                                 number(e_.steps.products(i, j)), root, number(e_.steps.scores(i, j)), weight,
                                 bar(weight, teller_.colors)));
      }
    }
  }

  void tell_words() const {
    teller_.say({"\n3. Weights of {} between words{}", "\n3. 단어 사이의 가중치: {}{}"}, words_[e_.query],
                query_.size() == 1           ? (teller_.language() == "ko" ? " (단어를 이루는 조각들의 합)"
                                                                           : " (the sum over each word's pieces)")
                : teller_.language() == "ko" ? " (쿼리 조각들의 평균, 상대 단어 조각들의 합)"
                                             : " (mean over its pieces of the sum over the other word's pieces)");
    const int margin = widest(words_);
    for (size_t word = 0; word < words_.size(); ++word) {
      const double weight = e_.word_weights(static_cast<int64_t>(e_.query), static_cast<int64_t>(word));
      teller_.line(fmt::format("  {}  {:.4f} {}", fitted(words_[word], margin), weight, bar(weight, teller_.colors)));
    }
  }

  void tell_output() const {
    teller_.say(
        {"\n4. Output: every piece's v times its weight, added up", "\n4. 출력: 조각마다 v에 가중치를 곱해 더합니다"});
    const auto columns = static_cast<size_t>(e_.out.size(1));
    std::vector<double> mean(columns);
    for (int64_t i = query_.begin; i < query_.end; ++i) {
      const auto weights = row(e_.weights, i), out = row(e_.out, i);
      for (size_t d = 0; d < columns; ++d) mean[d] += static_cast<double>(out[d]) / static_cast<double>(query_.size());
      // The first number, by its largest parts.
      constexpr size_t shown = 3;
      std::vector<int64_t> order(weights.size());
      std::iota(order.begin(), order.end(), int64_t{0});
      std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
        return weights[static_cast<size_t>(a)] > weights[static_cast<size_t>(b)];
      });
      std::string sum;
      for (size_t n = 0; n < std::min(shown, order.size()); ++n)
        sum += fmt::format("{}{}·({})", n ? " + " : "",
                           number(static_cast<double>(weights[static_cast<size_t>(order[n])])),
                           number(static_cast<double>(row(e_.v, order[n])[0])));
      teller_.line(fmt::format("  {}  out1 = {}{} = {}", label(i), sum, order.size() > shown ? " + …" : "",
                               number(static_cast<double>(out[0]))));
      teller_.line(fmt::format("  {}  out = {}", label(i), vector(out)));
    }
    if (query_.size() > 1)
      teller_.say({"  Mean over the pieces of {}: {}", "  {}의 조각 평균: {}"}, words_[e_.query],
                  numbers(std::span<const double>(mean), flags_.full ? columns : 4));
  }

  void tell_map() const {
    teller_.say({"\nWeights between pieces: rows look, columns are looked at",
                 "\n조각 사이의 가중치: 줄이 보는 쪽, 칸이 보이는 쪽"});
    std::string map = attention_map(e_.weights, labels_, labels_, teller_.colors, terminal_columns());
    map.pop_back();
    teller_.line(map);
  }

  std::string list(const std::vector<size_t>& words) const {
    std::string text;
    for (const size_t word : words)
      text += fmt::format("{}{} {:.4f}", text.empty() ? "" : ", ", words_[word],
                          e_.word_weights(static_cast<int64_t>(e_.query), static_cast<int64_t>(word)));
    return text;
  }

  void tell_fit() const {
    if (!e_.fit) return;
    teller_.say({"\nExpectation for {0}: high {1}; low {2}", "\n기대(쿼리: {0}): 높음 {1}; 낮음 {2}"}, words_[e_.query],
                list(e_.high), list(e_.low));
    teller_.say({"  mean high {0:.4f} − mean low {1:.4f} = margin {2:.4f}",
                 "  높음 평균 {0:.4f} − 낮음 평균 {1:.4f} = 차이 {2:.4f}"},
                e_.fit->high, e_.fit->low, e_.fit->margin());
    if (e_.fit->holds)
      teller_.say({"  It holds in this head: each word expected high gets more than each expected low.",
                   "  이 헤드에서는 맞습니다: 높으리라 본 단어마다 낮으리라 본 모든 단어보다 가중치가 큽니다."});
    else
      teller_.say({"  It does not hold in this head: not each word expected high gets more than each expected low.",
                   "  이 헤드에서는 맞지 않습니다: 높으리라 본 단어가 낮으리라 본 단어보다 모두 크지는 않습니다."});
    std::string nearest;
    if (const auto& place = e_.nearest_that_fits)
      nearest = fmt::format(fmt::runtime(teller_.language() == "ko" ? "(차이가 가장 큰 것: 층 {}, 헤드 {})"
                                                                    : "(largest margin: layer {}, head {})"),
                            place->layer, place->head);
    teller_.say(
        {"  It holds in {0} of this encoder's {1} heads {2}", "  이 인코더의 헤드 {1}개 중 {0}개에서 맞습니다 {2}"},
        e_.heads_that_fit, e_.layers * e_.heads, nearest);
    teller_.say({"  Heads learn what helps to translate, not what we expect.{}",
                 "  헤드는 우리의 기대가 아니라 번역에 도움이 되는 것을 배웁니다.{}"},
                e_.choice == HeadChoice::nearest ? ""
                : teller_.language() == "ko" ? " --best-head는 기대에 가장 가까운 헤드를 보여 줍니다."
                                             : " --best-head shows the head nearest to the expectation.");
  }

  void tell_check() const {
    teller_.say(
        {"\nCheck: from q, k and v the formula in double precision gives the engine's weights within {:.1e} and its "
         "output within {:.1e}{}",
         "\n검산: q, k, v로 배정밀도에서 다시 계산하면 엔진의 가중치와 {:.1e}, 출력과 {:.1e} 이내로 같습니다{}"},
        e_.weights_difference, e_.out_difference,
        e_.agrees() ? "." : fmt::format(": more than {:.0e} apart!", Explanation::tolerance));
  }

  const Explanation& e_;
  const ExplainFlags& flags_;
  const Teller& teller_;
  const WordPieces& query_;
  std::vector<std::string> labels_, words_;
  int margin_ = 0;
};

void explain_texts(const Translate& translate, const ExplainFlags& flags, Call& call,
                   std::span<const std::string> texts) {
  const Teller teller(call, colors_of_output(flags.color));
  for (const std::string& text : texts) {
    const Explanation explanation = explain(translate, text, flags.explain);
    if (flags.json)
      teller.line(explanation_json(explanation).dump());
    else
      Story(explanation, flags, teller).tell();
    call.out.flush();
  }
}

void run(ExplainFlags& flags, Call& call) {
  if (call.arguments.empty() && flags.explain.query.empty()) return explain_numbers(flags, call);
  if (flags.own_numbers()) throw UsageError("--x, --wq, --wk and --wv are for explaining without TEXT");
  if (call.arguments.size() > 1)
    throw UsageError(fmt::format("explain takes one TEXT, not {}: put it in quotes", call.arguments.size()));
  if (flags.explain.query.empty()) {
    require_utf8(call.arguments[0], "TEXT");
    std::vector<std::string> words;
    for (Word& word : split_into_words(call.arguments[0])) words.push_back(std::move(word.text));
    throw UsageError(fmt::format("--query says whose attention to show: one of {}", fmt::join(words, " ")));
  }
  const Translate translate = Translate::load(find_model(flags.model));
  if (!call.arguments.empty()) return explain_texts(translate, flags, call, call.arguments);
  for_input_lines([&](std::span<const std::string> lines, int64_t) { explain_texts(translate, flags, call, lines); });
}

}  // namespace

Command explain_command() {
  return make_command<ExplainFlags>(
      "explain", "[TEXT]",
      {"Show attention step by step with its numbers: a small example by hand, or a word of TEXT in a model.",
       "어텐션을 단계마다 수와 함께 보여 줍니다: 손으로 만든 작은 예, 또는 모델이 읽은 TEXT의 한 단어."},
      "attend explain \"나는 강아지를 좋아한다\" --query 강아지를", run);
}

}  // namespace attend::cli
