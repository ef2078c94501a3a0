#include <attend/base/file.hpp>
#include <attend/base/json.hpp>
#include <attend/io/config.hpp>

namespace attend {
void write_json_file(const std::filesystem::path& path, const nlohmann::json& value) {
  std::string text;
  try {
    text = value.dump(2);
  } catch (const nlohmann::json::type_error&) {
    fail<FormatError>("{}: a string to write is not valid UTF-8", path.string());
  }
  write_file(path, text + "\n");
}

Config::Config(nlohmann::json object, std::string name) : object_(std::move(object)), name_(std::move(name)) {
  if (!object_.is_object()) fail<ConfigError>("{}: not a JSON object", name_);
}

Config Config::read(const std::filesystem::path& path) { return Config(read_json(path), path.string()); }

const nlohmann::json* Config::find(std::string_view key) const {
  asked_.emplace(key);
  const auto found = object_.find(std::string(key));
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

bool Config::has(std::string_view key) const { return find(key) != nullptr; }

std::string_view Config::first_of(std::initializer_list<std::string_view> keys) const {
  for (std::string_view key : keys)
    if (has(key)) return key;
  std::string all;
  for (std::string_view key : keys) all += (all.empty() ? "" : " or ") + where(key);
  fail<ConfigError>("{}: {} is missing", name_, all);
}

Config Config::object(std::string_view key) const {
  const Json* value = find(key);
  if (!value) fail<ConfigError>("{}: {} is missing", name_, where(key));
  if (!value->is_object()) wrong(*value, where(key), "an object");
  Config inner(*value, name_);
  inner.prefix_ = where(key) + ".";
  return inner;
}

void Config::wrong(const Json& value, const std::string& where, std::string_view wanted) const {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 80) {
    size_t end = 80;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    text = text.substr(0, end) + "…";
  }
  fail<ConfigError>("{}: {} is {}, not {}", name_, where, text, wanted);
}

void Config::reject(std::string_view key, std::string_view wanted) const {
  const Json* value = find(key);
  wrong(value ? *value : Json(), where(key), wanted);
}

int64_t Config::integer(const Json& value, const std::string& where, int64_t low, int64_t high) const {
  const bool whole = value.is_number_integer();
  const bool beyond = value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(high);
  if (!whole || beyond || value.get<int64_t>() < low || value.get<int64_t>() > high)
    wrong(value, where, whole ? fmt::format("a whole number in [{}, {}]", low, high) : "a whole number");
  return value.get<int64_t>();
}

std::vector<std::string> Config::unknown_keys() const {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object_.items())
    if (!asked_.contains(key)) keys.push_back(where(key));
  return keys;
}

}  // namespace attend
