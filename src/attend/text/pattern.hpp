// The "pattern" member that several components of a tokenizer.json share: {"String": …} or {"Regex": …}.
#pragma once

#include "attend/base/error.hpp"
#include "attend/text/json.hpp"
#include "attend/text/regex.hpp"

namespace attend {

inline Regex read_pattern(const json::Json& config, std::string_view where) {
  const json::Json& pattern = json::member(config, "pattern", where);
  if (pattern.is_object() && pattern.contains("Regex")) return Regex(json::string_member(pattern, "Regex", where));
  if (pattern.is_object() && pattern.contains("String"))
    return Regex::literal(json::string_member(pattern, "String", where));
  fail<FormatError>("{}: \"pattern\" must be {{\"String\": …}} or {{\"Regex\": …}}", where);
}

}  // namespace attend
