// attend translate: TEXT or standard input, line by line.
#include <attend/base/error.hpp>
#include <attend/base/unicode.hpp>
#include <attend/tasks/translate.hpp>
#include <attend/tensor/precision.hpp>

#include <fmt/format.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "attention_map.hpp"
#include "commands.hpp"
#include "input_lines.hpp"
#include "model_folder.hpp"

namespace attend::cli {
namespace {

using Json = nlohmann::ordered_json;

struct TranslateFlags {
  std::string model = "en-ko";
  Precision precision = Precision::f32;
  TranslateOptions translate;
  bool json = false, attention = false;
  ColorMode color = ColorMode::automatic;

  static void fields(auto& self, auto&& f) {
    f("model", self.model,
      Doc{.en = "folder or name of the model, whose generation_config.json gives defaults",
          .ko = "모델 폴더나 이름, 기본값은 그 generation_config.json에서"});
    f("precision", self.precision, kPrecisionDoc);
    TranslateOptions::fields(self.translate, f);
    f("json", self.json,
      Doc{.en = "one JSON object per translation: scores, tokens, alignment",
          .ko = "번역마다 JSON 한 줄: 점수, 토큰, 정렬"});
    f("attention", self.attention,
      Doc{.en = "draw the cross-attention under each translation", .ko = "번역마다 교차 어텐션을 그림"});
    f("color", self.color, Doc{.en = "of the attention map", .ko = "어텐션 그림의 색"});
  }
};

double rounded(float value) { return std::round(static_cast<double>(value) * 1e6) / 1e6; }

Json json_of(const std::string& source, size_t rank, const Translation& answer) {
  Json tokens = Json::array(), source_tokens = Json::array();
  for (size_t i = 0; i < answer.tokens.size(); ++i)
    tokens.push_back(
        {{"id", answer.tokens[i].id}, {"text", answer.tokens[i].text}, {"logprob", rounded(answer.logprobs[i])}});
  for (const TextToken& token : answer.source_tokens) source_tokens.push_back({{"id", token.id}, {"text", token.text}});
  Json json{{"source", source},
            {"to", answer.language.empty() ? Json() : Json(answer.language)},
            {"rank", rank},
            {"text", answer.text},
            {"score", rounded(answer.score)},
            {"tokens", std::move(tokens)},
            {"source_tokens", std::move(source_tokens)}};
  if (!answer.alignment) return json;
  Json& rows = json["alignment"] = Json::array();
  for (int64_t i = 0; i < answer.alignment.size(0); ++i) {
    Json row = Json::array();
    for (float weight : answer.alignment.rows(i, i + 1).values<float>()) row.push_back(rounded(weight));
    rows.push_back(std::move(row));
  }
  return json;
}

/// Tokens that share a character, together.
struct Piece {
  int64_t begin, end;
  std::string label;
};

std::vector<Piece> whole_characters(const Tokenizer& tokenizer, const std::vector<TextToken>& tokens) {
  constexpr int64_t most_bytes = 4;  // of a character, each a token at worst
  const auto complete = [](std::string_view text) { return text.find("\uFFFD") == text.npos; };
  std::vector<Piece> pieces;
  for (int64_t begin = 0; begin < std::ssize(tokens);) {
    Piece piece{begin, begin + 1, tokens[static_cast<size_t>(begin)].text};
    std::vector<int32_t> ids{tokens[static_cast<size_t>(begin)].id};
    std::string text = piece.label;
    while (!complete(text) && begin + std::ssize(ids) < std::min(std::ssize(tokens), begin + 2 * most_bytes)) {
      ids.push_back(tokens[static_cast<size_t>(begin + std::ssize(ids))].id);
      text = tokenizer.decode(ids, false);
    }
    if (complete(text)) piece = {begin, begin + std::ssize(ids), text};
    const size_t first = piece.label.find_first_not_of(' ');
    piece.label = printable(first == std::string::npos ? "␣" : piece.label.substr(first));
    begin = piece.end;
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

/// Rows are the mean, columns the sum over a piece's tokens, so that rows still sum to 1.
std::string draw_attention(const Translate& translate, const Translation& answer, Colors colors) {
  if (!answer.alignment) return {};
  const auto rows = whole_characters(translate.tokenizer(), answer.tokens);
  const auto columns = whole_characters(translate.tokenizer(), answer.source_tokens);
  Tensor weights = Tensor::zeros({std::ssize(rows), std::ssize(columns)});
  float* weight = weights.data<float>();
  std::vector<std::string> row_labels, column_labels;
  for (const Piece& row : rows) {
    row_labels.push_back(row.label);
    for (const Piece& column : columns) {
      for (int64_t i = row.begin; i < row.end; ++i)
        for (int64_t j = column.begin; j < column.end; ++j)
          *weight += answer.alignment.data<float>()[i * answer.alignment.size(1) + j];
      *weight++ /= static_cast<float>(row.end - row.begin);
    }
  }
  for (const Piece& column : columns) column_labels.push_back(column.label);
  return attention_map(weights, row_labels, column_labels, colors, terminal_columns());
}

class Printer {
 public:
  Printer(const Translate& translate, const TranslateFlags& flags, Output& out)
      : translate_(translate), flags_(flags), colors_(colors_of_output(flags.color)), out_(out) {}

  /// Translates texts, of which the first has this number, and writes the answers out.
  void operator()(std::span<const std::string> texts, int64_t number) const {
    const auto answers = translate_.translate(texts, flags_.translate);
    for (size_t i = 0; i < texts.size(); ++i)
      for (size_t rank = 0; rank < answers[i].size(); ++rank)
        print(texts[i], number + static_cast<int64_t>(i), rank + 1, answers[i][rank]);
    out_.flush();
  }

 private:
  void print(const std::string& text, int64_t number, size_t rank, const Translation& answer) const {
    if (flags_.json) return out_.line(json_of(text, rank, answer).dump());
    std::string line = answer.text;
    if (text.find('\n') == text.npos) std::replace(line.begin(), line.end(), '\n', ' ');  // a line for a line
    const bool many = flags_.translate.generation.num_return_sequences > 1;
    out_.line(many ? fmt::format("{}\t{:.4f}\t{}", number, answer.score, line) : line);
    if (flags_.attention) out_.write(draw_attention(translate_, answer, colors_));
  }

  const Translate& translate_;
  const TranslateFlags& flags_;
  const Colors colors_;
  Output& out_;
};

void run(TranslateFlags& flags, Call& call) {
  if (flags.json && flags.attention)
    throw UsageError("--attention draws for people and --json writes for programs: choose one");
  for (const std::string& text : call.arguments) require_utf8(text, "TEXT");
  const ProductPrecision products(flags.precision);
  const Translate translate = Translate::load(find_model(flags.model));
  flags.translate = translate.defaults();
  flags.translate.alignment = flags.json || flags.attention;
  call.apply(options_of(flags));  // what was set goes before the model's own options
  // More beams than asked for are needed to return that many answers.
  GenerationOptions& generation = flags.translate.generation;
  if (!generation.do_sample) generation.num_beams = std::max(generation.num_beams, generation.num_return_sequences);
  const Printer print(translate, flags, call.out);
  if (!call.arguments.empty()) return print(call.arguments, 1);
  if (isatty(STDIN_FILENO) && isatty(STDERR_FILENO)) {
    constexpr Text hint{"Type a line to translate; Ctrl-D ends.", "번역할 문장을 입력하세요. Ctrl-D로 끝냅니다."};
    fmt::print(stderr, "{}\n", hint.in(call.language));
  }
  for_input_lines([&](std::span<const std::string> lines, int64_t number) { print(lines, number); });
}

}  // namespace

Command translate_command() {
  return make_command<TranslateFlags>(
      "translate", "[TEXT…]",
      {"Translate each TEXT, or each line of standard input.", "TEXT나 표준 입력의 줄을 번역합니다."},
      "attend translate \"What is your name?\"", run);
}

}  // namespace attend::cli
