#include <attend/base/error.hpp>
#include <attend/generate/options.hpp>
#include <attend/io/config.hpp>

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <string_view>

namespace attend {
namespace {

template <class T>
void require(bool good, std::string_view name, const T& value, std::string_view wanted) {
  if (!good) fail<ConfigError>("generation: {} is {}, not {}", name, value, wanted);
}

/// Numbers against the range of their Doc.
template <class T>
void check_range(std::string_view name, const T& value, const Doc& doc) {
  if constexpr (detail::is_optional<T>) {
    if (value) check_range(name, *value, doc);
  } else if constexpr (std::is_floating_point_v<T> || (std::is_integral_v<T> && !std::is_same_v<T, bool>)) {
    const auto x = static_cast<double>(value);
    const bool good = std::isfinite(x) && (!doc.min || x >= *doc.min) && (!doc.max || x <= *doc.max);
    if (!good && doc.min && doc.max) require(false, name, value, fmt::format("from {} to {}", *doc.min, *doc.max));
    require(good, name, value, "a finite number");
  }
}

template <class T>
void read_one(const Config& config, std::string_view name, T& value) {
  if (auto given = config.optional<T>(name)) value = *std::move(given);
}

template <class T>
void read_one(const Config& config, std::string_view name, std::optional<T>& value) {
  if (auto given = config.optional<T>(name)) value = given;
}

/// One id or a list of them.
void read_one(const Config& config, std::string_view name, std::vector<int32_t>& value) {
  if (config.has(name)) value = config.one_or_more<int32_t>(name);
}

/// true, false or "never".
void read_one(const Config& config, std::string_view name, EarlyStopping& value) {
  const auto given = config.optional<nlohmann::json>(name);
  if (!given) return;
  const std::string text = given->is_string() ? given->get<std::string>() : given->dump();
  for (const auto& entry : enum_names(value)) {
    if (entry.name != text) continue;
    value = entry.value;
    return;
  }
  config.reject(name, "true, false or \"never\"");
}

}  // namespace

bool GenerationOptions::ends_with(int32_t token) const noexcept {
  return std::find(eos_token_id.begin(), eos_token_id.end(), token) != eos_token_id.end();
}

void GenerationOptions::read(const Config& config) {
  fields(*this, [&](std::string_view name, auto& value, const Doc&) { read_one(config, name, value); });
  check();
}

GenerationOptions GenerationOptions::load(const std::filesystem::path& folder) {
  GenerationOptions options;
  const Config model = Config::read(folder / "config.json");
  const auto file = folder / "generation_config.json";
  if (!std::filesystem::exists(file)) {
    options.read(model);
    return options;
  }
  options.read(Config::read(file));
  if (options.eos_token_id.empty()) read_one(model, "eos_token_id", options.eos_token_id);
  if (!options.pad_token_id) read_one(model, "pad_token_id", options.pad_token_id);
  if (!options.decoder_start_token_id) read_one(model, "decoder_start_token_id", options.decoder_start_token_id);
  return options;
}

void GenerationOptions::check() const {
  fields(*this, [](std::string_view name, const auto& value, const Doc& doc) { check_range(name, value, doc); });
  if (max_new_tokens)
    require(min_new_tokens <= *max_new_tokens, "min_new_tokens", min_new_tokens,
            fmt::format("at most max_new_tokens = {}", *max_new_tokens));
  if (num_beams > 1)
    require(num_return_sequences <= num_beams, "num_return_sequences", num_return_sequences,
            fmt::format("at most num_beams = {}", num_beams));
  else
    require(num_return_sequences == 1 || do_sample, "num_return_sequences", num_return_sequences,
            "1 (greedy search has one result: use num_beams or do_sample)");
  require(repetition_penalty > 0, "repetition_penalty", repetition_penalty, "above 0");
  for (const auto& word : bad_words_ids) require(!word.empty(), "bad_words_ids", bad_words_ids, "lists of token ids");
  if (!do_sample) return;  // files often carry the unused values of another mode
  require(temperature > 0, "temperature", temperature, "above 0 (for greedy search leave do_sample off)");
  require(typical_p > 0, "typical_p", typical_p, "above 0");
}

void GenerationOptions::check(int64_t vocab) const {
  check();
  const auto inside = [&](std::string_view name, const auto& tokens) {
    for (int32_t token : tokens)
      require(token >= 0 && token < vocab, name, token, fmt::format("a token of the vocabulary of {}", vocab));
  };
  inside("eos_token_id", eos_token_id);
  inside("forced_eos_token_id", forced_eos_token_id);
  inside("suppress_tokens", suppress_tokens);
  for (const auto& word : bad_words_ids) inside("bad_words_ids", word);
  if (forced_bos_token_id) inside("forced_bos_token_id", std::array{*forced_bos_token_id});
}

int64_t GenerationOptions::length_limit(int64_t prompt_length, int64_t model_length,
                                        std::optional<int64_t> new_tokens) const {
  constexpr int64_t default_new_tokens = 20;
  if (!new_tokens) new_tokens = max_new_tokens;
  const int64_t limit =
      max_length && !new_tokens ? *max_length : prompt_length + new_tokens.value_or(default_new_tokens);
  if (prompt_length >= model_length)
    fail<ConfigError>("generation: a prompt of {} tokens leaves no room in the model's {} positions", prompt_length,
                      model_length);
  if (prompt_length >= limit)
    fail<ConfigError>("generation: a prompt of {} tokens leaves no room below max_length = {}", prompt_length, limit);
  return std::min(limit, model_length);
}

}  // namespace attend
