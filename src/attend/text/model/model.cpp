#include "attend/text/model/model.hpp"

#include <array>

#include "attend/base/error.hpp"

namespace attend {
namespace {

struct Entry {
  std::string_view type;
  std::unique_ptr<Model> (*make)(simdjson::dom::object config);
};

constexpr std::array<Entry, 1> models{{{"BPE", make_bpe}}};

const Entry* find(std::string_view type) {
  for (const Entry& entry : models)
    if (entry.type == type) return &entry;
  return nullptr;
}

}  // namespace

std::string model_type(simdjson::dom::element config) {
  simdjson::dom::object object;
  if (config.get(object)) fail<FormatError>("tokenizer: \"model\" must be an object");
  std::string_view type;
  if (!object["type"].get(type)) return std::string(type);
  simdjson::dom::element member;
  if (!object["merges"].get(member)) return "BPE";
  if (!object["unk_id"].get(member)) return "Unigram";
  if (!object["continuing_subword_prefix"].get(member)) return "WordPiece";
  return "WordLevel";
}

std::unique_ptr<Model> make_model(simdjson::dom::element config) {
  const std::string type = model_type(config);
  const Entry* entry = find(type);
  if (!entry) fail<Unsupported>("tokenizer: model type {} is not supported", type);
  return entry->make(config.get_object().value_unsafe());
}

bool knows_model(std::string_view type) { return find(type) != nullptr; }

}  // namespace attend
