// config.json, generation_config.json and their like: reading with errors that name file, key and value.
#pragma once

#include <attend/base/error.hpp>
#include <attend/base/json.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace attend {

/// Replaces `path` as a whole by the indented JSON.
void write_json_file(const std::filesystem::path& path, const nlohmann::json& value);

/// A view on one JSON object for typed reading. null counts as absent, as Hugging Face writes it. Keys that were asked
/// for are remembered, so that unknown ones can be listed. Throws ConfigError "PATH: KEY is VALUE, not WHAT".
class Config {
 public:
  /// `name` (usually the path) appears in errors.
  Config(nlohmann::json object, std::string name);
  /// Throws what read_json throws, and ConfigError if the file does not hold an object.
  static Config read(const std::filesystem::path& path);

  bool has(std::string_view key) const;

  /// Types: bool, integers (checked for range), float, double, std::string, std::vector of those, and
  /// nlohmann::json for anything. Floating-point reads take whole numbers too.
  template <class T>
  T require(std::string_view key) const {
    const nlohmann::json* value = find(key);
    if (!value) fail<ConfigError>("{}: {} is missing", name_, where(key));
    return convert<T>(*value, where(key));
  }
  /// The value, or nothing if the key is absent or null.
  template <class T>
  std::optional<T> optional(std::string_view key) const {
    const nlohmann::json* value = find(key);
    if (!value) return std::nullopt;
    return convert<T>(*value, where(key));
  }
  template <class T>
  T value_or(std::string_view key, T fallback) const {
    auto value = optional<T>(key);
    return value ? *std::move(value) : std::move(fallback);
  }
  /// One value or a list of them (eos_token_id): empty if absent.
  template <class T>
  std::vector<T> one_or_more(std::string_view key) const {
    const nlohmann::json* value = find(key);
    if (!value) return {};
    if (value->is_array()) return convert<std::vector<T>>(*value, where(key));
    return {convert<T>(*value, where(key))};
  }
  /// The first of several names of one setting that is present (hidden_size, n_embd, d_model).
  std::string_view first_of(std::initializer_list<std::string_view> keys) const;

  /// A nested object; throws if it is missing or something else. Errors name the whole path
  /// "rope_parameters.rope_type".
  Config object(std::string_view key) const;

  /// throws ConfigError "PATH: KEY is VALUE, not WHAT": for values that have the right type and make no sense.
  [[noreturn]] void reject(std::string_view key, std::string_view wanted) const;

  /// Keys never asked for, sorted.
  std::vector<std::string> unknown_keys() const;

  const nlohmann::json& json() const noexcept { return object_; }
  const std::string& name() const noexcept { return name_; }

 private:
  using Json = nlohmann::json;

  const Json* find(std::string_view key) const;
  std::string where(std::string_view key) const { return prefix_ + std::string(key); }
  [[noreturn]] void wrong(const Json& value, const std::string& where, std::string_view wanted) const;
  int64_t integer(const Json& value, const std::string& where, int64_t low, int64_t high) const;

  template <class T>
  struct IsVector : std::false_type {};
  template <class T>
  struct IsVector<std::vector<T>> : std::true_type {};

  template <class T>
  T convert(const Json& value, const std::string& where) const {
    if constexpr (std::is_same_v<T, Json>) {
      return value;
    } else if constexpr (std::is_same_v<T, bool>) {
      if (!value.is_boolean()) wrong(value, where, "true or false");
      return value.get<bool>();
    } else if constexpr (std::is_integral_v<T>) {
      static_assert(sizeof(T) < 8 || std::is_signed_v<T>, "read unsigned 64-bit numbers as int64_t");
      return static_cast<T>(integer(value, where, static_cast<int64_t>(std::numeric_limits<T>::min()),
                                    static_cast<int64_t>(std::numeric_limits<T>::max())));
    } else if constexpr (std::is_floating_point_v<T>) {
      if (!value.is_number()) wrong(value, where, "a number");
      return value.get<T>();
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (!value.is_string()) wrong(value, where, "a string");
      return value.get<std::string>();
    } else {
      static_assert(IsVector<T>::value, "no such type in a config");
      if (!value.is_array()) wrong(value, where, "a list");
      T list;
      list.reserve(value.size());
      for (size_t i = 0; i < value.size(); ++i)
        list.push_back(convert<typename T::value_type>(value[i], where + "[" + std::to_string(i) + "]"));
      return list;
    }
  }

  Json object_;
  std::string name_;
  std::string prefix_;
  mutable std::set<std::string, std::less<>> asked_;
};

}  // namespace attend
