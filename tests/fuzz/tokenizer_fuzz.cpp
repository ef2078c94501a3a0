// Any bytes as a tokenizer.json, and any text through whatever tokenizer comes out. The input is the JSON, a zero byte
// and the text; without a zero byte it is text for a built-in tokenizer.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "attend/base/error.hpp"
#include "attend/base/unicode.hpp"
#include "attend/text/sentences.hpp"
#include "attend/text/tokenizer.hpp"
#include "attend/text/train_bpe.hpp"

namespace {

using namespace attend;

void require(bool holds) {
  if (!holds) std::abort();
}

void exercise(const Tokenizer& tokenizer, std::string_view text) {
  const Encoding encoding = tokenizer.encode(text);
  require(encoding.ids == tokenizer.encode_ids(text));
  require(encoding.tokens.size() == encoding.size() && encoding.offsets.size() == encoding.size());
  for (const Span& span : encoding.offsets) require(span.begin <= span.end && span.end <= text.size());
  require(find_invalid_utf8(tokenizer.decode(encoding.ids)) < 0);
  tokenizer.encode_pair(text, "pair");
  DecodeStream stream(tokenizer);
  for (size_t i = 0; i < encoding.size() && i < 64; ++i) stream.step(encoding.ids[i]);
  stream.finish();
}

const Tokenizer& trained() {
  static const Tokenizer tokenizer = [] {
    BpeTrainer trainer(translator_bpe_options(300, {">>ko<<"}));
    trainer.add("the cat sat on the mat, 고양이가 매트 위에 앉았다");
    return trainer.train();
  }();
  return tokenizer;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t zero = input.find('\0');
  const std::string_view text = zero == std::string_view::npos ? input : input.substr(zero + 1);
  try {
    if (zero == std::string_view::npos) {
      exercise(trained(), text);
      if (find_invalid_utf8(text) < 0) BpeTrainer(translator_bpe_options(270, {})).add(text);
    } else {
      const Tokenizer tokenizer = Tokenizer::from_json(input.substr(0, zero));
      require(Tokenizer::from_json(tokenizer.to_json()).to_json() == tokenizer.to_json());
      exercise(tokenizer, text);
    }
  } catch (const Error&) {
  }
  size_t done = 0;
  for (const SentenceSpan& span : split_sentences(text, 20, [](std::string_view part) { return part.size(); })) {
    require(done <= span.begin && span.begin < span.end && span.end <= text.size());
    done = span.end;
  }
  return 0;
}
