#include "attend/text/model/vocabulary.hpp"

#include "attend/base/error.hpp"

namespace attend {

void Vocabulary::reserve(size_t count) {
  ids_.reserve(count);
  tokens_.reserve(count);
}

void Vocabulary::add(std::string_view token, int64_t id) {
  if (id < 0 || id > max_id) fail<FormatError>("tokenizer: id {} of token {} is outside 0 … {}", id, token, max_id);
  const std::string& stored = storage_.emplace_back(token);
  const auto [entry, added] = ids_.try_emplace(stored, static_cast<int32_t>(id));
  entry->second = static_cast<int32_t>(id);
  if (tokens_.size() <= static_cast<size_t>(id)) tokens_.resize(id + 1);
  tokens_[id] = &stored;
}

}  // namespace attend
