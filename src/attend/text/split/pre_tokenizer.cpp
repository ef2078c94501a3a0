#include "attend/text/split/pre_tokenizer.hpp"

#include "attend/base/unicode.hpp"
#include "attend/text/byte_level.hpp"
#include "attend/text/registry.hpp"

namespace attend {

void Pieces::rewrite(const std::function<void(size_t, size_t, AlignedText&)>& rewrite_piece) {
  AlignedText target(text.aligned());
  size_t kept = 0;
  for (Piece piece : list) {
    const auto begin = static_cast<uint32_t>(target.size());
    if (piece.token >= 0)
      target.append(text, piece.begin, piece.end);
    else
      rewrite_piece(piece.begin, piece.end, target);
    const auto end = static_cast<uint32_t>(target.size());
    if (begin < end) list[kept++] = {begin, end, piece.token};
  }
  list.resize(kept);
  text = std::move(target);
}

void Pieces::write_out_byte_level() {
  if (!byte_level) return;
  byte_level = false;
  rewrite([&](size_t begin, size_t end, AlignedText& target) {
    std::string character;
    for (size_t i = begin; i < end; ++i) {
      character.clear();
      append_byte_level(character, text.view(i, i + 1));
      target.append(character, text.origin(i));
    }
  });
}

namespace {

class PreTokenizerSequence : public PreTokenizer {
 public:
  explicit PreTokenizerSequence(const json::Json& config) {
    for (const auto& part : json::array_member(config, "pretokenizers", "pre_tokenizer Sequence"))
      parts_.push_back(make_pre_tokenizer(part));
    std::erase(parts_, nullptr);
  }

  void split(Pieces& pieces) const override {
    for (const auto& part : parts_) part->split(pieces);
  }

 private:
  std::vector<std::unique_ptr<PreTokenizer>> parts_;
};

std::unique_ptr<PreTokenizer> make_sequence(const json::Json& config) {
  return std::make_unique<PreTokenizerSequence>(config);
}

constexpr Registry<PreTokenizer, 3> pre_tokenizers{{{
    {"Sequence", make_sequence},
    {"ByteLevel", make_byte_level_split},
    {"Split", make_split},
}}};

}  // namespace

std::unique_ptr<PreTokenizer> make_pre_tokenizer(const json::Json& config) {
  return pre_tokenizers.make(config, "pre_tokenizer");
}

bool knows_pre_tokenizer(std::string_view type) { return pre_tokenizers.find(type) != nullptr; }

}  // namespace attend
