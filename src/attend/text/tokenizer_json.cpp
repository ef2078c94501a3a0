// tokenizer.json: the vocabulary is read by simdjson, the small components become ordered JSON.
#include <simdjson.h>

#include "attend/base/error.hpp"
#include "attend/text/pipeline.hpp"
#include "attend/text/tokenizer.hpp"

namespace attend {
namespace {

using json::Json;

// The parser owns the document that its elements point into.
struct Document {
  simdjson::dom::parser parser;
  simdjson::dom::object root;

  explicit Document(std::string_view bytes) {
    constexpr size_t smallest = 64;
    auto error = parser.allocate(std::max(bytes.size(), smallest), json::max_depth);
    simdjson::dom::element element;
    if (!error) error = parser.parse(bytes.data(), bytes.size()).get(element);
    if (error) fail<FormatError>("tokenizer: not JSON: {}", simdjson::error_message(error));
    if (element.get(root)) fail<FormatError>("tokenizer: the file must be a JSON object");
  }

  simdjson::dom::element model() const {
    simdjson::dom::element element;
    if (root["model"].get(element)) fail<FormatError>("tokenizer: \"model\" is missing");
    return element;
  }

  Json member(std::string_view name) const {
    simdjson::dom::element element;
    return root[name].get(element) ? Json() : to_json(element);
  }

  static Json to_json(simdjson::dom::element element) {
    using simdjson::dom::element_type;
    switch (element.type()) {
      case element_type::OBJECT: {
        simdjson::dom::object members;
        Json object = Json::object();
        if (!element.get(members))
          for (const auto& [key, value] : members) object[std::string(key)] = to_json(value);
        return object;
      }
      case element_type::ARRAY: {
        simdjson::dom::array values;
        Json array = Json::array();
        if (!element.get(values))
          for (const auto value : values) array.push_back(to_json(value));
        return array;
      }
      case element_type::STRING:
        return std::string(element.get_string().value_unsafe());
      case element_type::INT64:
        // nlohmann tells 1 from -1 by the type, so that non-negative numbers are always unsigned.
        if (const int64_t value = element.get_int64().value_unsafe(); value < 0) return value;
        return static_cast<uint64_t>(element.get_int64().value_unsafe());
      case element_type::UINT64:
        return element.get_uint64().value_unsafe();
      case element_type::DOUBLE:
        return element.get_double().value_unsafe();
      case element_type::BOOL:
        return element.get_bool().value_unsafe();
      case element_type::NULL_VALUE:
        break;
    }
    return nullptr;
  }
};

Side read_direction(const Json& config, std::string_view where) {
  const std::string name = json::string_member_or(config, "direction", where, "Right");
  if (name == "Right") return Side::right;
  if (name == "Left") return Side::left;
  fail<FormatError>("{}: unknown \"direction\" {}", where, name);
}

const char* name_of(Side direction) { return direction == Side::left ? "Left" : "Right"; }

std::optional<Truncation> read_truncation(const Json& config) {
  if (config.is_null()) return std::nullopt;
  constexpr std::string_view where = "tokenizer truncation";
  Truncation truncation;
  truncation.max_length = json::index_member(config, "max_length", where);
  truncation.stride = json::index_member(config, "stride", where);
  truncation.direction = read_direction(config, where);
  const std::string strategy = json::string_member(config, "strategy", where);
  if (strategy == "OnlyFirst")
    truncation.strategy = TruncationStrategy::only_first;
  else if (strategy == "OnlySecond")
    truncation.strategy = TruncationStrategy::only_second;
  else if (strategy != "LongestFirst")
    fail<FormatError>("{}: unknown \"strategy\" {}", where, strategy);
  return truncation;
}

std::optional<Padding> read_padding(const Json& config) {
  if (config.is_null()) return std::nullopt;
  constexpr std::string_view where = "tokenizer padding";
  Padding padding;
  const Json& strategy = json::member(config, "strategy", where);
  if (strategy.is_object())
    padding.length = json::index_member(strategy, "Fixed", where);
  else if (strategy != "BatchLongest")
    fail<FormatError>("{}: unknown \"strategy\" {}", where, strategy.dump());
  if (config.contains("pad_to_multiple_of") && !config["pad_to_multiple_of"].is_null())
    padding.pad_to_multiple_of = json::index_member(config, "pad_to_multiple_of", where);
  padding.direction = read_direction(config, where);
  padding.pad_id = json::index_member(config, "pad_id", where);
  padding.pad_type_id = json::index_member(config, "pad_type_id", where);
  padding.pad_token = json::string_member(config, "pad_token", where);
  return padding;
}

std::vector<AddedToken> read_added_tokens(const Json& config) {
  std::vector<AddedToken> tokens;
  if (config.is_null()) return tokens;
  constexpr std::string_view where = "tokenizer added_tokens";
  if (!config.is_array()) fail<FormatError>("{}: expected an array", where);
  for (const Json& entry : config)
    tokens.push_back({.id = json::index_member(entry, "id", where),
                      .content = json::string_member(entry, "content", where),
                      .single_word = json::bool_member_or(entry, "single_word", where, false),
                      .lstrip = json::bool_member_or(entry, "lstrip", where, false),
                      .rstrip = json::bool_member_or(entry, "rstrip", where, false),
                      .normalized = json::bool_member_or(entry, "normalized", where, true),
                      .special = json::bool_member_or(entry, "special", where, false)});
  return tokens;
}

}  // namespace

TokenizerFile read_tokenizer_json(std::string_view bytes) {
  const Document document(bytes);
  TokenizerFile file;
  file.truncation = read_truncation(document.member("truncation"));
  file.padding = read_padding(document.member("padding"));
  file.parts = {.normalizer = document.member("normalizer"),
                .pre_tokenizer = document.member("pre_tokenizer"),
                .post_processor = document.member("post_processor"),
                .decoder = document.member("decoder"),
                .added_tokens = read_added_tokens(document.member("added_tokens")),
                .model = make_model(document.model())};
  return file;
}

std::string write_tokenizer_json(const PipelineParts& parts, const std::optional<Truncation>& truncation,
                                 const std::optional<Padding>& padding) {
  Json root = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  if (truncation) {
    constexpr const char* strategies[] = {"LongestFirst", "OnlyFirst", "OnlySecond"};
    root["truncation"] = {{"direction", name_of(truncation->direction)},
                          {"max_length", truncation->max_length},
                          {"strategy", strategies[static_cast<int>(truncation->strategy)]},
                          {"stride", truncation->stride}};
  }
  if (padding) {
    const auto or_null = [](std::optional<int32_t> value) { return value ? Json(*value) : Json(); };
    root["padding"] = {{"strategy", padding->length ? Json{{"Fixed", *padding->length}} : Json("BatchLongest")},
                       {"direction", name_of(padding->direction)},
                       {"pad_to_multiple_of", or_null(padding->pad_to_multiple_of)},
                       {"pad_id", padding->pad_id},
                       {"pad_type_id", padding->pad_type_id},
                       {"pad_token", padding->pad_token}};
  }
  Json added = Json::array();
  for (const AddedToken& token : parts.added_tokens)
    added.push_back({{"id", token.id},
                     {"content", token.content},
                     {"single_word", token.single_word},
                     {"lstrip", token.lstrip},
                     {"rstrip", token.rstrip},
                     {"normalized", token.normalized},
                     {"special", token.special}});
  root["added_tokens"] = std::move(added);
  root["normalizer"] = parts.normalizer;
  root["pre_tokenizer"] = parts.pre_tokenizer;
  root["post_processor"] = parts.post_processor;
  root["decoder"] = parts.decoder;
  root["model"] = parts.model->config();
  return root.dump();
}

std::vector<std::string> Tokenizer::missing_components(std::string_view bytes) {
  const Document document(bytes);
  std::vector<std::string> missing;
  struct Stage {
    const char* name;
    const char* parts;  // the member of a Sequence that holds its components
    bool (*knows)(std::string_view type);
  };
  constexpr Stage stages[] = {{"normalizer", "normalizers", knows_normalizer},
                              {"pre_tokenizer", "pretokenizers", knows_pre_tokenizer},
                              {"post_processor", "processors", knows_post_processor},
                              {"decoder", "decoders", knows_decoder}};
  for (const Stage& stage : stages) {
    const auto visit = [&](auto& self, const Json& component) -> void {
      if (component.is_null()) return;
      const std::string type = json::type_of(component, stage.name);
      if (!stage.knows(type)) missing.push_back(fmt::format("{} {}", stage.name, type));
      if (type == "Sequence")
        for (const Json& part : json::array_member(component, stage.parts, stage.name)) self(self, part);
    };
    visit(visit, document.member(stage.name));
  }
  if (const std::string type = model_type(document.model()); !knows_model(type)) missing.push_back("model " + type);
  return missing;
}

}  // namespace attend
