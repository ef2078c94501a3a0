// Options out of `fields`: one list that recipes (TOML), JSON, flags, the environment, help texts and forms share.
#pragma once

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "attend/base/fields.hpp"

namespace attend {

template <class E>
concept NamedEnum = std::is_enum_v<E> && requires(E value) {
  enum_names(value).size();
};

/// A value as a recipe, a JSON document or a flag gives it.
struct OptionValue {
  using List = std::vector<OptionValue>;
  struct Table {
    List members;  ///< each with its key
  };
  /// Integers that fit are int64_t.
  std::variant<std::nullptr_t, bool, int64_t, uint64_t, double, std::string, List, Table> data;
  int64_t line = 0;  ///< where it stands, 0 = unknown
  std::string key = {};
};

/// Where a value comes from, for messages: "recipes/x.toml" (may be empty) and the option as it is written there.
struct OptionPlace {
  std::string where;
  std::string name;
};

enum class OptionType { boolean, integer, number, text, choice, table };

/// One member of an options struct, its type forgotten. It points into the struct, which must outlive it.
struct Option {
  std::string name;  ///< "train.learning_rate"
  OptionType type = OptionType::text;
  bool list = false;
  bool optional = false;  ///< may be "none"
  Doc doc;
  std::vector<std::string> choices;

  std::function<OptionValue()> value;
  /// Checks type and range, then sets the member; throws ConfigError "WHERE:LINE: NAME: …" and leaves it as it was.
  std::function<void(const OptionValue&, const OptionPlace&)> set;

  /// The same from text: 3, 1e-4, true|yes|on|1, none, a,b,c or JSON for lists.
  void set_text(std::string_view text, const OptionPlace& place) const;
  /// The current value as set_text() takes it.
  std::string text() const;
};

/// The members of `object` as options, nested structs with dotted names. Member types: bool, integers, float, double,
/// std::string, enums with names, std::optional and std::vector of these, std::vector of structs with fields, structs
/// with fields.
template <HasFields T>
std::vector<Option> options_of(T& object);

/// Applies a table; keys may be dotted tables. An unknown key throws ConfigError with its place and a near name.
/// Values before a wrong one are set already. The order in which sources are applied is their precedence.
void apply_table(std::span<const Option> options, const OptionValue& table, const OptionPlace& place);
void apply_json(std::span<const Option> options, const nlohmann::json& json, std::string_view where);
/// TOML text; a syntax error throws FormatError "WHERE:LINE: …".
void apply_toml(std::span<const Option> options, std::string_view text, std::string_view where);
/// A TOML file of at most 1 MiB.
void apply_recipe(std::span<const Option> options, const std::filesystem::path& path);

/// Reads ATTEND_TRAIN_LEARNING_RATE for "train.learning_rate"; `lookup` is std::getenv, or a test's.
void apply_environment(std::span<const Option> options, const std::function<const char*(const char*)>& lookup);

/// Takes --name VALUE, --name=VALUE, --flag, --no-flag ("-" for "_"; the part after the last dot is enough where it is
/// unambiguous) and returns the other arguments in order; all after "--" are such. An unknown flag or a missing value
/// throws ConfigError.
std::vector<std::string> apply_flags(std::span<const Option> options, std::span<const std::string> arguments);

/// The values as one JSON object, nested at the dots, in the order of the fields.
nlohmann::ordered_json options_json(std::span<const Option> options);

/// One line an option: flag, kind of value, text in `language` ("ko", else English), default and range.
std::string options_help(std::span<const Option> options, std::string_view language);

/// The flag of an option: "--train.learning-rate".
std::string flag_of(const Option& option);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

/// throws ConfigError "WHERE:LINE: NAME: MESSAGE".
[[noreturn]] void fail_option(const OptionValue& value, const OptionPlace& place, std::string_view message);

bool to_bool(const OptionValue& value, const OptionPlace& place);
int64_t to_int64(const OptionValue& value, int64_t lowest, int64_t highest, const Doc& doc, const OptionPlace& place);
uint64_t to_uint64(const OptionValue& value, uint64_t highest, const Doc& doc, const OptionPlace& place);
double to_double(const OptionValue& value, double largest, const Doc& doc, const OptionPlace& place);
double shortest_double(float value);
const std::string& to_text(const OptionValue& value, const OptionPlace& place);
size_t to_choice(const OptionValue& value, std::span<const std::string> choices, const OptionPlace& place);
bool is_none(const OptionValue& value);
const OptionValue::List& to_list(const OptionValue& value, const OptionPlace& place);
OptionPlace element_place(const OptionPlace& place, size_t index);
OptionValue table_of(std::span<const Option> options);

template <class T>
constexpr bool is_vector = false;
template <class T>
constexpr bool is_vector<std::vector<T>> = true;
template <class T>
constexpr bool is_optional = false;
template <class T>
constexpr bool is_optional<std::optional<T>> = true;
template <class T>
constexpr bool unsupported = false;

template <NamedEnum E>
std::vector<std::string> choices_of() {
  std::vector<std::string> choices;
  for (const auto& entry : enum_names(E{})) choices.emplace_back(entry.name);
  return choices;
}

template <class T>
void describe(Option& option) {
  if constexpr (is_optional<T>) {
    option.optional = true;
    describe<typename T::value_type>(option);
  } else if constexpr (is_vector<T>) {
    option.list = true;
    describe<typename T::value_type>(option);
  } else if constexpr (std::same_as<T, bool>) {
    option.type = OptionType::boolean;
  } else if constexpr (std::integral<T>) {
    option.type = OptionType::integer;
  } else if constexpr (std::floating_point<T>) {
    option.type = OptionType::number;
  } else if constexpr (std::same_as<T, std::string>) {
    option.type = OptionType::text;
  } else if constexpr (NamedEnum<T>) {
    option.type = OptionType::choice;
    option.choices = choices_of<T>();
  } else if constexpr (HasFields<T>) {
    option.type = OptionType::table;
  } else {
    static_assert(unsupported<T>, "this type cannot be an option");
  }
}

template <class T>
T from_value(const OptionValue& value, const Doc& doc, const OptionPlace& place) {
  if constexpr (is_optional<T>) {
    if (is_none(value)) return std::nullopt;
    return from_value<typename T::value_type>(value, doc, place);
  } else if constexpr (is_vector<T>) {
    T list;
    for (const OptionValue& element : to_list(value, place))
      list.push_back(from_value<typename T::value_type>(element, doc, element_place(place, list.size())));
    return list;
  } else if constexpr (std::same_as<T, bool>) {
    return to_bool(value, place);
  } else if constexpr (std::signed_integral<T>) {
    using Limits = std::numeric_limits<T>;
    return static_cast<T>(to_int64(value, Limits::min(), Limits::max(), doc, place));
  } else if constexpr (std::integral<T>) {
    return static_cast<T>(to_uint64(value, std::numeric_limits<T>::max(), doc, place));
  } else if constexpr (std::floating_point<T>) {
    return static_cast<T>(to_double(value, static_cast<double>(std::numeric_limits<T>::max()), doc, place));
  } else if constexpr (std::same_as<T, std::string>) {
    return to_text(value, place);
  } else if constexpr (NamedEnum<T>) {
    return enum_names(T{})[to_choice(value, choices_of<T>(), place)].value;
  } else {
    T object;
    apply_table(options_of(object), value, place);
    return object;
  }
}

template <class T>
OptionValue to_value(const T& member) {
  if constexpr (is_optional<T>) {
    return member ? to_value(*member) : OptionValue{};
  } else if constexpr (is_vector<T>) {
    OptionValue::List list;
    for (const auto& element : member) list.push_back(to_value<typename T::value_type>(element));
    return {std::move(list)};
  } else if constexpr (std::same_as<T, bool> || std::same_as<T, std::string>) {
    return {member};
  } else if constexpr (std::integral<T>) {
    if (std::in_range<int64_t>(member)) return {static_cast<int64_t>(member)};
    return {static_cast<uint64_t>(member)};
  } else if constexpr (std::same_as<T, float>) {
    return {shortest_double(member)};
  } else if constexpr (std::floating_point<T>) {
    return {static_cast<double>(member)};
  } else if constexpr (NamedEnum<T>) {
    for (const auto& entry : enum_names(T{}))
      if (entry.value == member) return {std::string(entry.name)};
    return {};
  } else {
    T copy = member;  // options point to members that can be set
    return table_of(options_of(copy));
  }
}

template <HasFields T>
void add_options(T& object, const std::string& prefix, std::vector<Option>& options) {
  T::fields(object, [&](std::string_view name, auto& member, const Doc& doc = {}) {
    using Member = std::remove_reference_t<decltype(member)>;
    std::string full = prefix;
    full += name;
    if constexpr (HasFields<Member>) {
      add_options(member, full + '.', options);
    } else {
      Option option;
      option.name = std::move(full);
      option.doc = doc;
      describe<Member>(option);
      option.value = [&member] { return to_value<Member>(member); };
      option.set = [&member, doc](const OptionValue& value, const OptionPlace& place) {
        member = from_value<Member>(value, doc, place);
      };
      options.push_back(std::move(option));
    }
  });
}

}  // namespace detail

template <HasFields T>
std::vector<Option> options_of(T& object) {
  std::vector<Option> options;
  detail::add_options(object, {}, options);
  return options;
}

}  // namespace attend
