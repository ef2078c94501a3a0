// attend tokenize: what a tokenizer makes of text.
#include <attend/base/unicode.hpp>
#include <attend/text/tokenizer.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "input_lines.hpp"
#include "model_folder.hpp"
#include "terminal.hpp"

namespace attend::cli {
namespace {

struct TokenizeFlags {
  std::string model = "en-ko";
  bool special = true, json = false;

  static void fields(auto& self, auto&& f) {
    f("model", self.model,
      Doc{.en = "folder or name of a model, or a tokenizer.json", .ko = "모델 폴더나 이름, 또는 tokenizer.json"});
    f("special", self.special, Doc{.en = "add the special tokens", .ko = "특수 토큰 추가"});
    f("json", self.json, Doc{.en = "one JSON object per text", .ko = "글마다 JSON 한 줄"});
  }
};

void print(const Tokenizer& tokenizer, const TokenizeFlags& flags, std::span<const std::string> texts, Output& out) {
  for (const std::string& text : texts) {
    const Encoding encoding = tokenizer.encode(text, {.add_special_tokens = flags.special});
    if (flags.json) {
      nlohmann::ordered_json json{{"text", text}, {"ids", encoding.ids}, {"tokens", encoding.tokens}};
      auto& offsets = json["offsets"] = nlohmann::ordered_json::array();
      for (const Span& span : encoding.offsets) offsets.push_back({span.begin, span.end});
      out.line(json.dump());
      continue;
    }
    for (size_t i = 0; i < encoding.size(); ++i) {
      const std::string decoded = tokenizer.decode({&encoding.ids[i], 1}, false);
      out.line(fmt::format("{:>6}  {}  {:>4}–{:<4} {}", encoding.ids[i], fitted(printable(encoding.tokens[i]), 20),
                           encoding.offsets[i].begin, encoding.offsets[i].end, printable(decoded)));
    }
    out.write("\n");
  }
  out.flush();
}

void run(TokenizeFlags& flags, Call& call) {
  for (const std::string& text : call.arguments) require_utf8(text, "TEXT");
  const Tokenizer tokenizer = Tokenizer::load(find_model(flags.model));
  if (!call.arguments.empty()) return print(tokenizer, flags, call.arguments, call.out);
  for_input_lines([&](std::span<const std::string> lines, int64_t) { print(tokenizer, flags, lines, call.out); });
}

}  // namespace

Command tokenize_command() {
  return make_command<TokenizeFlags>(
      "tokenize", "[TEXT…]",
      {"Show the tokens of each TEXT, or of each line of standard input.", "TEXT나 표준 입력 줄의 토큰을 보여 줍니다."},
      "attend tokenize \"My name is Minsu.\"", run);
}

}  // namespace attend::cli
