#include "attend/base/options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "attend/base/error.hpp"
#include "attend/base/json.hpp"
#include "attend/base/near_name.hpp"

namespace attend {
namespace {

nlohmann::ordered_json json_of(const OptionValue& value) {
  return std::visit(
      [](const auto& data) -> nlohmann::ordered_json {
        using T = std::decay_t<decltype(data)>;
        if constexpr (std::same_as<T, OptionValue::List>) {
          auto list = nlohmann::ordered_json::array();
          for (const auto& element : data) list.push_back(json_of(element));
          return list;
        } else if constexpr (std::same_as<T, OptionValue::Table>) {
          auto object = nlohmann::ordered_json::object();
          for (const auto& member : data.members) object[member.key] = json_of(member);
          return object;
        } else {
          return data;
        }
      },
      value.data);
}

OptionValue value_of(const nlohmann::json& json) {
  switch (json.type()) {
    case nlohmann::json::value_t::boolean:
      return {json.get<bool>()};
    case nlohmann::json::value_t::number_integer:
      return {json.get<int64_t>()};
    case nlohmann::json::value_t::number_unsigned:
      if (std::in_range<int64_t>(json.get<uint64_t>())) return {json.get<int64_t>()};
      return {json.get<uint64_t>()};
    case nlohmann::json::value_t::number_float:
      return {json.get<double>()};
    case nlohmann::json::value_t::string:
      return {json.get<std::string>()};
    case nlohmann::json::value_t::array: {
      OptionValue::List list;
      for (const auto& element : json) list.push_back(value_of(element));
      return {std::move(list)};
    }
    case nlohmann::json::value_t::object: {
      OptionValue::Table table;
      for (const auto& [key, element] : json.items()) {
        table.members.push_back(value_of(element));
        table.members.back().key = key;
      }
      return {std::move(table)};
    }
    default:
      return {};
  }
}

// A value in a message: JSON on one line, shortened between characters.
std::string shown(const OptionValue& value) {
  std::string text = json_of(value).dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  size_t length = 60;
  if (text.size() <= length) return text;
  while ((static_cast<unsigned char>(text[length]) & 0xc0) == 0x80) --length;
  return text.substr(0, length) + "…";
}

std::string in_quotes(std::string_view text) { return shown({std::string(text)}); }

std::string bound_text(double bound) { return fmt::format("{}", bound); }

void check_range(double number, const OptionValue& value, const Doc& doc, const OptionPlace& place) {
  if (doc.min && number < *doc.min)
    detail::fail_option(value, place, fmt::format("{} is less than {}", shown(value), bound_text(*doc.min)));
  if (doc.max && number > *doc.max)
    detail::fail_option(value, place, fmt::format("{} is more than {}", shown(value), bound_text(*doc.max)));
}

std::string place_text(const std::string& where, int64_t line) {
  if (where.empty()) return {};
  return line > 0 ? fmt::format("{}:{}: ", where, line) : fmt::format("{}: ", where);
}

// Integers first, because a double does not hold all of them; nothing that looks like a number stays text.
OptionValue number_of(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto whole = [&](auto& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size();
  };
  if (int64_t number = 0; whole(number)) return {number};
  if (uint64_t number = 0; whole(number)) return {number};
  if (double number = 0; whole(number)) return {number};
  return {std::string(text)};
}

OptionValue scalar_of(OptionType type, std::string_view text) {
  if (type == OptionType::boolean) {
    for (const auto word : {"true", "yes", "on", "1"})
      if (text == word) return {true};
    for (const auto word : {"false", "no", "off", "0"})
      if (text == word) return {false};
  }
  if (type == OptionType::integer || type == OptionType::number) return number_of(text);
  return {std::string(text)};
}

// A whole number, also if written as 1e5; nothing where it is none or does not fit.
std::optional<std::variant<int64_t, uint64_t>> whole_number(const OptionValue& value) {
  if (const auto* number = std::get_if<int64_t>(&value.data)) return *number;
  if (const auto* number = std::get_if<uint64_t>(&value.data)) return *number;
  const auto* number = std::get_if<double>(&value.data);
  constexpr double exact = 9007199254740992.0;  // 2^53
  if (!number || std::abs(*number) > exact || *number != std::trunc(*number)) return std::nullopt;
  return static_cast<int64_t>(*number);
}

template <class T>
T to_whole(const OptionValue& value, T lowest, T highest, const Doc& doc, const OptionPlace& place) {
  const auto whole = whole_number(value);
  if (!whole) detail::fail_option(value, place, fmt::format("expects a whole number, not {}", shown(value)));
  return std::visit(
      [&](auto number) {
        if (std::cmp_less(number, lowest) || std::cmp_greater(number, highest))
          detail::fail_option(value, place, fmt::format("{} is not in {} to {}", shown(value), lowest, highest));
        check_range(static_cast<double>(number), value, doc, place);
        return static_cast<T>(number);
      },
      *whole);
}

}  // namespace

namespace detail {

void fail_option(const OptionValue& value, const OptionPlace& place, std::string_view message) {
  fail<ConfigError>("{}{}: {}", place_text(place.where, value.line), place.name, message);
}

bool to_bool(const OptionValue& value, const OptionPlace& place) {
  if (const auto* boolean = std::get_if<bool>(&value.data)) return *boolean;
  fail_option(value, place, fmt::format("expects true or false, not {}", shown(value)));
}

int64_t to_int64(const OptionValue& value, int64_t lowest, int64_t highest, const Doc& doc, const OptionPlace& place) {
  return to_whole(value, lowest, highest, doc, place);
}

uint64_t to_uint64(const OptionValue& value, uint64_t highest, const Doc& doc, const OptionPlace& place) {
  return to_whole<uint64_t>(value, 0, highest, doc, place);
}

double to_double(const OptionValue& value, double largest, const Doc& doc, const OptionPlace& place) {
  double number;
  if (const auto* real = std::get_if<double>(&value.data))
    number = *real;
  else if (const auto* integer = std::get_if<int64_t>(&value.data))
    number = static_cast<double>(*integer);
  else if (const auto* natural = std::get_if<uint64_t>(&value.data))
    number = static_cast<double>(*natural);
  else
    fail_option(value, place, fmt::format("expects a number, not {}", shown(value)));
  if (!(std::abs(number) <= largest)) fail_option(value, place, fmt::format("{} is not a finite number", number));
  check_range(number, value, doc, place);
  return number;
}

double shortest_double(float value) {
  const std::string digits = fmt::format("{}", value);
  double number = value;  // stays for what has no digits
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

const std::string& to_text(const OptionValue& value, const OptionPlace& place) {
  if (const auto* text = std::get_if<std::string>(&value.data)) return *text;
  fail_option(value, place, fmt::format("expects a text, not {}", shown(value)));
}

size_t to_choice(const OptionValue& value, std::span<const std::string> choices, const OptionPlace& place) {
  const auto* boolean = std::get_if<bool>(&value.data);  // some choices are named true and false
  const auto* text = std::get_if<std::string>(&value.data);
  const std::string word = text ? *text : boolean ? (*boolean ? "true" : "false") : "";
  const auto found = std::find(choices.begin(), choices.end(), word);
  if (found == choices.end())
    fail_option(value, place, fmt::format("expects one of {}, not {}", fmt::join(choices, ", "), shown(value)));
  return static_cast<size_t>(found - choices.begin());
}

bool is_none(const OptionValue& value) {
  const auto* text = std::get_if<std::string>(&value.data);
  return std::holds_alternative<std::nullptr_t>(value.data) || (text && *text == "none");
}

const OptionValue::List& to_list(const OptionValue& value, const OptionPlace& place) {
  if (const auto* list = std::get_if<OptionValue::List>(&value.data)) return *list;
  fail_option(value, place, fmt::format("expects a list, not {}", shown(value)));
}

OptionPlace element_place(const OptionPlace& place, size_t index) {
  return {place.where, fmt::format("{}[{}]", place.name, index)};
}

OptionValue table_of(std::span<const Option> options) { return value_of(options_json(options)); }

}  // namespace detail

void Option::set_text(std::string_view text, const OptionPlace& place) const {
  if (optional && text == "none") return set({}, place);
  if ((list && text.starts_with('[')) || type == OptionType::table) {
    OptionValue parsed;
    try {
      parsed = value_of(parse_json(text, place.name));
    } catch (const FormatError& error) {
      fail<ConfigError>("{}", error.what());
    }
    return set(parsed, place);
  }
  if (!list) return set(scalar_of(type, text), place);
  OptionValue::List elements;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    elements.push_back(scalar_of(type, text.substr(0, comma)));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  set({std::move(elements)}, place);
}

std::string Option::text() const {
  const OptionValue current = value();
  if (std::holds_alternative<std::nullptr_t>(current.data)) return "none";
  if (const auto* string = std::get_if<std::string>(&current.data)) return *string;
  return json_of(current).dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

namespace {

// Members of the table at `place` go to the options whose names start with `prefix` ("" or "train.").
void apply_members(std::span<const Option> options, const OptionValue& table, const OptionPlace& place,
                   const std::string& prefix) {
  const auto* entries = std::get_if<OptionValue::Table>(&table.data);
  if (!entries) {
    const std::string name = place.name.empty() ? "options" : place.name;
    detail::fail_option(table, {place.where, name}, fmt::format("expects a table, not {}", shown(table)));
  }
  for (const OptionValue& value : entries->members) {
    const std::string& key = value.key;
    const std::string name = prefix + key;
    const OptionPlace written{place.where, place.name.empty() ? key : fmt::format("{}.{}", place.name, key)};
    const std::string nested = name + '.';
    if (const auto exact = std::ranges::find(options, name, &Option::name); exact != options.end()) {
      exact->set(value, written);
    } else if (std::ranges::any_of(options, [&](const Option& option) { return option.name.starts_with(nested); })) {
      apply_members(options, value, written, nested);
    } else {
      std::vector<std::string> siblings;
      for (const Option& option : options)
        if (option.name.starts_with(prefix))
          siblings.push_back(option.name.substr(prefix.size(), option.name.find('.', prefix.size()) - prefix.size()));
      fail<ConfigError>("{}unknown key {}{}{}", place_text(place.where, value.line), in_quotes(key),
                        place.name.empty() ? "" : fmt::format(" in [{}]", place.name), suggestion(key, siblings));
    }
  }
}

}  // namespace

void apply_table(std::span<const Option> options, const OptionValue& table, const OptionPlace& place) {
  apply_members(options, table, place, {});
}

void apply_json(std::span<const Option> options, const nlohmann::json& json, std::string_view where) {
  apply_table(options, value_of(json), {std::string(where), {}});
}

void apply_environment(std::span<const Option> options, const std::function<const char*(const char*)>& lookup) {
  for (const Option& option : options) {
    std::string name = fmt::format("ATTEND_{}", option.name);
    for (char& c : name) c = c == '.' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    if (const char* text = lookup(name.c_str())) option.set_text(text, {{}, name});
  }
}

std::string flag_of(const Option& option) {
  std::string flag = fmt::format("--{}", option.name);
  std::ranges::replace(flag, '_', '-');
  return flag;
}

namespace {

// Exact name, or the part after the last dots where only one option ends so. nullptr: none.
const Option* find_flag(std::span<const Option> options, std::string_view flag) {
  std::string name(flag);
  std::ranges::replace(name, '-', '_');
  const Option* found = nullptr;
  for (const Option& option : options) {
    if (option.name == name) return &option;
    if (name.empty() || !option.name.ends_with(name) || option.name[option.name.size() - name.size() - 1] != '.')
      continue;
    if (found) fail<ConfigError>("--{} may be {} or {}: write it in full", flag, flag_of(*found), flag_of(option));
    found = &option;
  }
  return found;
}

bool is_switch(const Option& option) { return option.type == OptionType::boolean && !option.list; }

[[noreturn]] void fail_unknown_flag(std::span<const Option> options, std::string_view flag) {
  std::vector<std::string> known;
  for (const Option& option : options) {
    known.push_back(flag_of(option));
    if (const size_t dot = option.name.rfind('.'); dot != std::string::npos)
      known.push_back(fmt::format("--{}", std::string_view(known.back()).substr(dot + 3)));
  }
  fail<ConfigError>("unknown flag {}{}", in_quotes(flag), suggestion(flag, known));
}

}  // namespace

std::vector<std::string> apply_flags(std::span<const Option> options, std::span<const std::string> arguments) {
  std::vector<std::string> rest;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "--") {
      rest.insert(rest.end(), arguments.begin() + static_cast<ptrdiff_t>(i) + 1, arguments.end());
      break;
    }
    const bool long_flag = argument.starts_with("--");
    if (!long_flag) {
      const bool short_flag =
          argument.size() > 1 && argument[0] == '-' && std::isalpha(static_cast<unsigned char>(argument[1]));
      if (short_flag) fail_unknown_flag(options, argument);
      rest.emplace_back(argument);
      continue;
    }
    const size_t equals = argument.find('=');
    const std::string_view flag = argument.substr(0, equals);
    const OptionPlace place{{}, std::string(flag)};
    if (const Option* option = find_flag(options, flag.substr(2))) {
      if (equals != argument.npos) {
        option->set_text(argument.substr(equals + 1), place);
      } else if (is_switch(*option)) {
        option->set({true}, place);
      } else {
        if (i + 1 == arguments.size()) fail<ConfigError>("{} needs a value", flag);
        option->set_text(arguments[++i], place);
      }
      continue;
    }
    const Option* negated = flag.starts_with("--no-") ? find_flag(options, flag.substr(5)) : nullptr;
    if (!negated || !is_switch(*negated)) fail_unknown_flag(options, flag);
    if (equals != argument.npos) fail<ConfigError>("{} takes no value", flag);
    negated->set({false}, place);
  }
  return rest;
}

nlohmann::ordered_json options_json(std::span<const Option> options) {
  auto root = nlohmann::ordered_json::object();
  for (const Option& option : options) {
    auto* object = &root;
    std::string_view name = option.name;
    for (size_t dot; (dot = name.find('.')) != name.npos; name.remove_prefix(dot + 1))
      object = &(*object)[std::string(name.substr(0, dot))];
    (*object)[std::string(name)] = json_of(option.value());
  }
  return root;
}

std::string options_help(std::span<const Option> options, std::string_view language) {
  const auto kind = [](const Option& option) -> std::string {
    std::string one;
    switch (option.type) {
      case OptionType::boolean:
        one = option.list ? "BOOL" : "";
        break;
      case OptionType::integer:
        one = "INT";
        break;
      case OptionType::number:
        one = "NUMBER";
        break;
      case OptionType::text:
        one = "TEXT";
        break;
      case OptionType::choice:
        one = fmt::format("{}", fmt::join(option.choices, "|"));
        break;
      case OptionType::table:
        one = "JSON";
        break;
    }
    return option.list && option.type != OptionType::table ? one + ",…" : one;
  };
  std::vector<std::string> left;
  size_t width = 0;
  for (const Option& option : options) {
    const std::string value = kind(option);
    // A switch that is off is shown as the flag that turns it on.
    const bool on = is_switch(option) && option.text() == "true";
    left.push_back(is_switch(option) ? fmt::format("  --{}{}", on ? "[no-]" : "", flag_of(option).substr(2))
                                     : fmt::format("  {} {}", flag_of(option), value));
    width = std::max(width, std::min<size_t>(left.back().size(), 34));
  }
  std::string help;
  for (size_t i = 0; i < options.size(); ++i) {
    const Option& option = options[i];
    const std::string_view words = language == "ko" && !option.doc.ko.empty() ? option.doc.ko : option.doc.en;
    std::string notes = option.text();
    if (option.list && notes.size() >= 2) notes = notes.substr(1, notes.size() - 2);
    if (option.doc.min && option.doc.max)
      notes += fmt::format("; {}–{}", bound_text(*option.doc.min), bound_text(*option.doc.max));
    else if (option.doc.min)
      notes += fmt::format("; ≥ {}", bound_text(*option.doc.min));
    else if (option.doc.max)
      notes += fmt::format("; ≤ {}", bound_text(*option.doc.max));
    help += fmt::format("{:<{}}  {}{}[{}]\n", left[i], width, words, words.empty() ? "" : " ", notes);
  }
  return help;
}

}  // namespace attend
