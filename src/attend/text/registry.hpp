// The closed list of component types of one tokenizer stage, by their names in tokenizer.json.
#pragma once

#include <array>
#include <memory>
#include <string_view>

#include "attend/base/error.hpp"
#include "attend/text/json.hpp"

namespace attend {

template <class Component>
struct RegistryEntry {
  std::string_view type;
  std::unique_ptr<Component> (*make)(const json::Json& config);
};

template <class Component, size_t count>
struct Registry {
  std::array<RegistryEntry<Component>, count> entries;

  constexpr const RegistryEntry<Component>* find(std::string_view type) const noexcept {
    for (const auto& entry : entries)
      if (entry.type == type) return &entry;
    return nullptr;
  }

  /// The component of `config`, nullptr for null; throws Unsupported naming an unknown type.
  std::unique_ptr<Component> make(const json::Json& config, std::string_view stage) const {
    if (config.is_null()) return nullptr;
    const std::string type = json::type_of(config, stage);
    const auto* entry = find(type);
    if (!entry) fail<Unsupported>("tokenizer: {} type {} is not supported", stage, type);
    return entry->make(config);
  }
};

}  // namespace attend
