#include <attend/base/error.hpp>
#include <attend/data/pairs.hpp>

#include <fmt/ranges.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

namespace attend {
namespace {

constexpr int64_t hard_limit = int64_t{64} << 20;

bool names_json_lines(std::string name) {
  for (const char* packed : {".gz", ".xz", ".zst"})
    if (name.ends_with(packed)) name.resize(name.rfind('.'));
  return name.ends_with(".jsonl") || name.ends_with(".ndjson");
}

std::optional<size_t> column_number(const std::string& text) {
  size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (number == 0) fail<ConfigError>("columns are counted from 1, not 0");
  return number - 1;
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n\v\f") == text.npos; }

std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  for (size_t begin = 0;;) {
    const size_t end = line.find('\t', begin);
    fields.push_back(line.substr(begin, end - begin));
    if (end == line.npos) return fields;
    begin = end + 1;
  }
}

std::vector<std::string> keys_of(const std::string& path) {
  std::vector<std::string> keys;
  for (size_t begin = 0;;) {
    const size_t end = path.find('.', begin);
    keys.push_back(path.substr(begin, end - begin));
    if (end == path.npos) return keys;
    begin = end + 1;
  }
}

}  // namespace

struct PairReader::Json {
  simdjson::dom::parser parser;
  std::vector<std::string> source_keys, target_keys;

  // The string at a path of keys; `problem` says why there is none.
  static bool find(simdjson::dom::element element, const std::vector<std::string>& keys, const std::string& path,
                   std::string_view& text, std::string& problem) {
    // A key may itself hold a dot: the whole path is tried first.
    simdjson::dom::element value;
    if (element.at_key(path).get(value) != simdjson::SUCCESS) {
      for (const std::string& key : keys) {
        if (element.at_key(key).get(value) != simdjson::SUCCESS)
          return problem = fmt::format("there is no '{}' in the object", path), false;
        element = value;
      }
    }
    if (value.get(text) != simdjson::SUCCESS) return problem = fmt::format("'{}' is not a string", path), false;
    return true;
  }
};

PairReader::PairReader(const std::filesystem::path& path, PairOptions options)
    : PairReader(InputStream(path), std::move(options)) {}

PairReader::PairReader(InputStream stream, PairOptions options)
    : lines_(std::move(stream), {.max_line_bytes = hard_limit, .check_utf8 = false}), options_(std::move(options)) {
  if (options_.max_line_bytes < 1 || options_.max_line_bytes > hard_limit)
    fail<ConfigError>("{}: max_line_bytes is {}, not in [1, {}]", lines_.name(), options_.max_line_bytes, hard_limit);
  jsonl_ = options_.format == PairFormat::jsonl ||
           (options_.format == PairFormat::automatic && names_json_lines(lines_.name()));
  if (jsonl_) {
    json_ = std::make_unique<Json>();
    json_->source_keys = keys_of(options_.source);
    json_->target_keys = keys_of(options_.target);
    return;
  }
  const auto source = column_number(options_.source), target = column_number(options_.target);
  if (source.has_value() != target.has_value())
    fail<ConfigError>("{}: give both columns by number or both by name, not '{}' and '{}'", lines_.name(),
                      options_.source, options_.target);
  if (source) {
    source_column_ = *source;
    target_column_ = *target;
  }
  if (!source || options_.header) read_header();
}

PairReader::~PairReader() = default;

void PairReader::read_header() {
  std::string_view line;
  const bool by_name = !column_number(options_.source);
  if (!lines_.next(line)) {
    if (!by_name) return;
    fail<FormatError>("{}: empty, but a header line with '{}' and '{}' should come first", lines_.name(),
                      options_.source, options_.target);
  }
  const auto fields = fields_of(line);
  columns_ = fields.size();
  if (!by_name) return;
  const auto find = [&](const std::string& name) {
    const auto found = std::find(fields.begin(), fields.end(), name);
    if (found == fields.end())
      fail<FormatError>(
          "{}:1: the header has no column '{}', only: {}", lines_.name(), name,
          fmt::join(fields.begin(), fields.begin() + std::min<std::ptrdiff_t>(std::ssize(fields), 20), ", "));
    return static_cast<size_t>(found - fields.begin());
  };
  source_column_ = find(options_.source);
  target_column_ = find(options_.target);
}

bool PairReader::split(std::string_view line, Pair& pair, std::string& problem) {
  size_t column = 0;
  for (size_t begin = 0;; ++column) {
    const size_t end = line.find('\t', begin);
    const std::string_view field = line.substr(begin, end - begin);
    if (column == source_column_) pair.source = field;
    if (column == target_column_) pair.target = field;
    if (end == line.npos) break;
    begin = end + 1;
  }
  const size_t count = column + 1;
  if (columns_ == 0) {
    if (count <= std::max(source_column_, target_column_))
      return problem = fmt::format("{} columns, but column {} is asked for", count,
                                   std::max(source_column_, target_column_) + 1),
             false;
    columns_ = count;
  }
  if (count != columns_) return problem = fmt::format("{} columns, {} expected", count, columns_), false;
  return true;
}

bool PairReader::parse(std::string_view line, Pair& pair, std::string& problem) {
  simdjson::dom::element object;
  if (json_->parser.parse(line.data(), line.size()).get(object) != simdjson::SUCCESS || !object.is_object())
    return problem = "not a JSON object", false;
  return Json::find(object, json_->source_keys, options_.source, pair.source, problem) &&
         Json::find(object, json_->target_keys, options_.target, pair.target, problem);
}

bool PairReader::counts_as_line(std::string_view line) const {
  return options_.only.empty() ||
         std::ranges::any_of(options_.only, [&](const std::string& text) { return line.find(text) != line.npos; });
}

bool PairReader::next(Pair& pair) {
  std::string_view line;
  while (lines_.next(line)) {
    if (line.empty()) {
      ++counts_.empty;
      continue;
    }
    if (!counts_as_line(line)) {
      ++counts_.others;
      continue;
    }
    std::string problem;
    bool good = false;
    if (std::ssize(line) > options_.max_line_bytes)
      problem = fmt::format("line longer than {} bytes", options_.max_line_bytes);
    else if (!simdjson::validate_utf8(line.data(), line.size()))
      problem = "not valid UTF-8";
    else
      good = jsonl_ ? parse(line, pair, problem) : split(line, pair, problem);
    if (good && !is_blank(pair.source) && !is_blank(pair.target)) {
      ++counts_.pairs;
      return true;
    }
    if (good) {
      ++counts_.empty;
      continue;
    }
    const std::string where = fmt::format("{}:{}: {}", lines_.name(), lines_.line_number(), problem);
    if (options_.on_bad == OnBad::error) fail<FormatError>("{}", where);
    if (counts_.bad++ == 0) counts_.first_bad = where;
  }
  return false;
}

}  // namespace attend
