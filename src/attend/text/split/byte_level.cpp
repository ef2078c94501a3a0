#include "attend/text/split/gpt2_scanner.hpp"
#include "attend/text/split/pre_tokenizer.hpp"

namespace attend {
namespace {

class ByteLevelSplit : public PreTokenizer {
 public:
  explicit ByteLevelSplit(const json::Json& config)
      : add_prefix_space_(json::bool_member_or(config, "add_prefix_space", "pre_tokenizer ByteLevel", true)),
        use_pattern_(json::bool_member_or(config, "use_regex", "pre_tokenizer ByteLevel", true)) {}

  void split(Pieces& pieces) const override {
    pieces.write_out_byte_level();
    if (add_prefix_space_) {
      pieces.rewrite([&](size_t begin, size_t end, AlignedText& target) {
        if (pieces.text.view()[begin] != ' ') target.append(" ", pieces.text.origin(begin));
        target.append(pieces.text, begin, end);
      });
    }
    if (use_pattern_) pieces.cut([](std::string_view text, auto&& emit) { scan_gpt2(text, emit); });
    pieces.byte_level = true;
  }

 private:
  bool add_prefix_space_;
  bool use_pattern_;
};

}  // namespace

std::unique_ptr<PreTokenizer> make_byte_level_split(const json::Json& config) {
  return std::make_unique<ByteLevelSplit>(config);
}

}  // namespace attend
