#include "attend/text/byte_level.hpp"
#include "attend/base/unicode.hpp"
#include "attend/text/decode/decoder.hpp"

namespace attend {
namespace {

/// Byte-level characters back to bytes; what is not UTF-8 then becomes U+FFFD.
class ByteLevelDecoder : public Decoder {
 public:
  void decode(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) append_from_byte_level(bytes, token);
    tokens.assign(1, replace_invalid_utf8(bytes));
  }
};

}  // namespace

std::unique_ptr<Decoder> make_byte_level_decoder(const json::Json&) { return std::make_unique<ByteLevelDecoder>(); }

}  // namespace attend
