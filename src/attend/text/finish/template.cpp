#include "attend/base/error.hpp"
#include "attend/text/finish/post_processor.hpp"

namespace attend {
namespace {

constexpr std::string_view where = "post_processor TemplateProcessing";

struct Part {
  int32_t sequence = -1;  // 0: first text, 1: second text, -1: special tokens
  int32_t type = 0;
  std::vector<int32_t> ids;
  std::vector<std::string> tokens;
};

/// Lays texts and special tokens out as a template says, e.g. "$A </s>".
class Template : public PostProcessor {
 public:
  explicit Template(const json::Json& config) : single_(read(config, "single")), pair_(read(config, "pair")) {
    if (count_sequences(single_, 1) > 0) fail<FormatError>("{}: \"single\" has no second text", where);
    if (count_sequences(single_, 0) == 0 || count_sequences(pair_, 0) == 0 || count_sequences(pair_, 1) == 0)
      fail<FormatError>("{}: the templates must name their texts", where);
  }

  int32_t added_tokens(bool pair) const override {
    size_t count = 0;
    for (const Part& part : pair ? pair_ : single_) count += part.ids.size();
    return static_cast<int32_t>(count);
  }

  void process(std::vector<Encoding>& parts, bool add_special_tokens) const override {
    if (parts.empty() || parts.size() > 2)
      fail<ConfigError>("{}: takes one or two texts, got {} parts", where, parts.size());
    std::vector<Encoding> result;
    for (const Part& part : parts.size() == 2 ? pair_ : single_) {
      if (part.sequence >= 0) {
        Encoding& text = parts[part.sequence];
        text.set_type(part.type);
        text.set_sequence(part.sequence);
        result.push_back(text);
      } else if (add_special_tokens) {
        Encoding special;
        special.ids_only = parts[0].ids_only;
        for (size_t i = 0; i < part.ids.size(); ++i)
          special.add(part.ids[i], part.tokens[i], {}, -1, part.type, -1, true);
        result.push_back(std::move(special));
      }
    }
    parts = std::move(result);
  }

 private:
  static int count_sequences(const std::vector<Part>& parts, int32_t sequence) {
    int count = 0;
    for (const Part& part : parts) count += part.sequence == sequence;
    return count;
  }

  static std::vector<Part> read(const json::Json& config, const char* name) {
    std::vector<Part> parts;
    for (const json::Json& entry : json::array_member(config, name, where)) {
      Part part;
      if (entry.is_object() && entry.contains("Sequence")) {
        const json::Json& sequence = entry["Sequence"];
        const std::string id = json::string_member(sequence, "id", where);
        if (id != "A" && id != "B") fail<FormatError>("{}: unknown text {}", where, id);
        part.sequence = id == "B";
        part.type = json::index_member(sequence, "type_id", where);
      } else {
        const json::Json& special = json::member(entry, "SpecialToken", where);
        part.type = json::index_member(special, "type_id", where);
        const json::Json& tokens = json::member(config, "special_tokens", where);
        read_special(json::member(tokens, json::string_member(special, "id", where).c_str(), where), part);
      }
      parts.push_back(std::move(part));
    }
    return parts;
  }

  static void read_special(const json::Json& token, Part& part) {
    for (const json::Json& id : json::array_member(token, "ids", where)) {
      const bool fits = id.is_number_integer() && id >= 0 && id <= INT32_MAX;
      if (!fits) fail<FormatError>("{}: id {} of a special token", where, id.dump());
      part.ids.push_back(id.get<int32_t>());
    }
    for (const json::Json& text : json::array_member(token, "tokens", where)) {
      if (!text.is_string()) fail<FormatError>("{}: name {} of a special token", where, text.dump());
      part.tokens.push_back(text.get<std::string>());
    }
    if (part.ids.size() != part.tokens.size())
      fail<FormatError>("{}: a special token has {} ids and {} names", where, part.ids.size(), part.tokens.size());
  }

  std::vector<Part> single_;
  std::vector<Part> pair_;
};

}  // namespace

std::unique_ptr<PostProcessor> make_template(const json::Json& config) { return std::make_unique<Template>(config); }

}  // namespace attend
