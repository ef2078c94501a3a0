#include "attend/text/finish/post_processor.hpp"

#include "attend/text/registry.hpp"

namespace attend {
namespace {

class PostProcessorSequence : public PostProcessor {
 public:
  explicit PostProcessorSequence(const json::Json& config) {
    for (const auto& part : json::array_member(config, "processors", "post_processor Sequence"))
      parts_.push_back(make_post_processor(part));
    std::erase(parts_, nullptr);
  }

  int32_t added_tokens(bool pair) const override {
    int32_t count = 0;
    for (const auto& part : parts_) count += part->added_tokens(pair);
    return count;
  }

  void process(std::vector<Encoding>& parts, bool add_special_tokens) const override {
    for (const auto& part : parts_) part->process(parts, add_special_tokens);
  }

 private:
  std::vector<std::unique_ptr<PostProcessor>> parts_;
};

std::unique_ptr<PostProcessor> make_sequence(const json::Json& config) {
  return std::make_unique<PostProcessorSequence>(config);
}

constexpr Registry<PostProcessor, 3> post_processors{{{
    {"Sequence", make_sequence},
    {"ByteLevel", make_byte_level_finish},
    {"TemplateProcessing", make_template},
}}};

}  // namespace

std::unique_ptr<PostProcessor> make_post_processor(const json::Json& config) {
  return post_processors.make(config, "post_processor");
}

bool knows_post_processor(std::string_view type) { return post_processors.find(type) != nullptr; }

}  // namespace attend
