#include "attend/text/json.hpp"

#include "attend/base/error.hpp"

namespace attend::json {

Json parse(std::string_view bytes, std::string_view where) {
  const auto bounded = [&](int depth, Json::parse_event_t event, const Json&) {
    const bool opens = event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    if (opens && depth >= max_depth) fail<FormatError>("{}: nested deeper than {} levels", where, max_depth);
    return true;
  };
  try {
    return Json::parse(bytes.begin(), bytes.end(), bounded);
  } catch (const Json::exception& error) {
    fail<FormatError>("{}: {}", where, error.what());
  }
}

const Json& member(const Json& object, const char* name, std::string_view where) {
  if (!object.is_object()) fail<FormatError>("{}: expected an object, got {}", where, object.type_name());
  const auto found = object.find(name);
  if (found == object.end()) fail<FormatError>("{}: \"{}\" is missing", where, name);
  return *found;
}

namespace {

[[noreturn]] void wrong_type(const Json& value, const char* name, std::string_view where, const char* expected) {
  fail<FormatError>("{}: \"{}\" must be {}, got {}", where, name, expected, value.type_name());
}

const Json* member_or_null(const Json& object, const char* name, std::string_view where) {
  if (!object.is_object()) fail<FormatError>("{}: expected an object, got {}", where, object.type_name());
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

}  // namespace

std::string string_member(const Json& object, const char* name, std::string_view where) {
  const Json& value = member(object, name, where);
  if (!value.is_string()) wrong_type(value, name, where, "a string");
  return value.get<std::string>();
}

bool bool_member(const Json& object, const char* name, std::string_view where) {
  const Json& value = member(object, name, where);
  if (!value.is_boolean()) wrong_type(value, name, where, "true or false");
  return value.get<bool>();
}

int32_t index_member(const Json& object, const char* name, std::string_view where) {
  const Json& value = member(object, name, where);
  if (!value.is_number_integer()) wrong_type(value, name, where, "a whole number");
  const bool fits = value.is_number_unsigned() ? value.get<uint64_t>() <= INT32_MAX : value.get<int64_t>() >= 0;
  if (!fits) fail<FormatError>("{}: \"{}\" is {}, outside 0 … 2147483647", where, name, value.dump());
  return value.get<int32_t>();
}

const Json& array_member(const Json& object, const char* name, std::string_view where) {
  const Json& value = member(object, name, where);
  if (!value.is_array()) wrong_type(value, name, where, "an array");
  return value;
}

bool bool_member_or(const Json& object, const char* name, std::string_view where, bool otherwise) {
  return member_or_null(object, name, where) ? bool_member(object, name, where) : otherwise;
}

std::string string_member_or(const Json& object, const char* name, std::string_view where, std::string otherwise) {
  return member_or_null(object, name, where) ? string_member(object, name, where) : otherwise;
}

std::string type_of(const Json& component, std::string_view where) { return string_member(component, "type", where); }

}  // namespace attend::json
