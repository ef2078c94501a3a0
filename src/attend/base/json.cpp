#include "attend/base/json.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "attend/base/error.hpp"
#include "attend/base/file.hpp"

namespace attend {
namespace {

struct Place {
  int64_t line, column;
};

Place place_of(std::string_view bytes, size_t offset) {
  const std::string_view before = bytes.substr(0, offset);
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 = 0
  return {std::count(before.begin(), before.end(), '\n') + 1, static_cast<int64_t>(offset - line_start) + 1};
}

// The reason alone, out of "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while
// parsing value - invalid literal; last read: 'x'". What was read may be long and is left out.
std::string reason_of(std::string_view message) {
  if (const size_t end = message.find("; last read"); end != message.npos) message = message.substr(0, end);
  if (const size_t start = message.find("column "); start != message.npos)
    if (const size_t colon = message.find(": ", start); colon != message.npos) message.remove_prefix(colon + 2);
  if (const size_t bracket = message.find("] "); message.starts_with('[') && bracket != message.npos)
    message.remove_prefix(bracket + 2);
  return std::string(message.substr(0, 160));
}

}  // namespace

nlohmann::json parse_json(std::string_view bytes, std::string_view where) {
  const auto bounded = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json&) {
    using Event = nlohmann::json::parse_event_t;
    if (depth >= max_json_depth && (event == Event::object_start || event == Event::array_start))
      fail<FormatError>("{}: JSON nested deeper than {} levels", where, max_json_depth);
    return true;
  };
  try {
    return nlohmann::json::parse(bytes.begin(), bytes.end(), bounded);
  } catch (const nlohmann::json::parse_error& error) {
    const auto [line, column] = place_of(bytes, std::min(std::max<size_t>(error.byte, 1) - 1, bytes.size()));
    fail<FormatError>("{}:{}:{}: not valid JSON: {}", where, line, column, reason_of(error.what()));
  } catch (const nlohmann::json::exception& error) {  // a number that no double can hold
    fail<FormatError>("{}: not valid JSON: {}", where, reason_of(error.what()));
  }
}

nlohmann::json read_json(const std::filesystem::path& path, int64_t max_bytes) {
  return parse_json(read_file(path, max_bytes), path.string());
}

}  // namespace attend
