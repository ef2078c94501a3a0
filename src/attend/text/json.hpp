// Reading the parts of a tokenizer.json. Every failure is a FormatError that names the field.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace attend::json {

/// Component configurations are kept as they were read, in order, so that saving gives the same file back.
using Json = nlohmann::ordered_json;

/// Deepest nesting accepted anywhere in a tokenizer.json.
inline constexpr int max_depth = 64;

/// Parses a small document (a component, not a vocabulary) with bounded depth.
Json parse(std::string_view bytes, std::string_view where);

/// The member `name` of `object`; throws when missing.
const Json& member(const Json& object, const char* name, std::string_view where);

std::string string_member(const Json& object, const char* name, std::string_view where);
bool bool_member(const Json& object, const char* name, std::string_view where);
/// 0 … 2³¹-1
int32_t index_member(const Json& object, const char* name, std::string_view where);
const Json& array_member(const Json& object, const char* name, std::string_view where);

/// Missing or null gives `otherwise`; a wrong type still throws.
bool bool_member_or(const Json& object, const char* name, std::string_view where, bool otherwise);
std::string string_member_or(const Json& object, const char* name, std::string_view where, std::string otherwise);

/// The "type" of a component object.
std::string type_of(const Json& component, std::string_view where);

}  // namespace attend::json
