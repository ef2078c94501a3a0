#include "attend/text/decode/decoder.hpp"

#include "attend/text/registry.hpp"

namespace attend {
namespace {

class DecoderSequence : public Decoder {
 public:
  explicit DecoderSequence(const json::Json& config) {
    for (const auto& part : json::array_member(config, "decoders", "decoder Sequence"))
      parts_.push_back(make_decoder(part));
    std::erase(parts_, nullptr);
  }

  void decode(std::vector<std::string>& tokens) const override {
    for (const auto& part : parts_) part->decode(tokens);
  }

 private:
  std::vector<std::unique_ptr<Decoder>> parts_;
};

std::unique_ptr<Decoder> make_sequence(const json::Json& config) { return std::make_unique<DecoderSequence>(config); }

constexpr Registry<Decoder, 2> decoders{{{
    {"Sequence", make_sequence},
    {"ByteLevel", make_byte_level_decoder},
}}};

}  // namespace

std::unique_ptr<Decoder> make_decoder(const json::Json& config) { return decoders.make(config, "decoder"); }

bool knows_decoder(std::string_view type) { return decoders.find(type) != nullptr; }

}  // namespace attend
