// Any bytes as config.json: every typed read gives a value or ConfigError.
#include <attend/base/json.hpp>
#include <attend/io/config.hpp>

#include <cstdint>
#include <string>

namespace {

template <class F>
void attempt(F&& read) {
  try {
    read();
  } catch (const attend::ConfigError&) {
  }
}

void read_all(const attend::Config& config, int depth) {
  for (const auto& [key, value] : config.json().items()) {
    attempt([&] { config.optional<bool>(key); });
    attempt([&] { config.optional<int8_t>(key); });
    attempt([&] { config.optional<uint32_t>(key); });
    attempt([&] { config.optional<int64_t>(key); });
    attempt([&] { config.optional<float>(key); });
    attempt([&] { config.optional<double>(key); });
    attempt([&] { config.optional<std::string>(key); });
    attempt([&] { config.one_or_more<int64_t>(key); });
    attempt([&] { config.optional<std::vector<std::vector<std::string>>>(key); });
    attempt([&] { config.reject(key, "what it is"); });
    if (depth > 0) attempt([&] { read_all(config.object(key), depth - 1); });
  }
  config.unknown_keys();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  try {
    const attend::Config config(attend::parse_json({reinterpret_cast<const char*>(bytes), size}, "input"), "input");
    read_all(config, 3);
  } catch (const attend::FormatError&) {
  } catch (const attend::ConfigError&) {
  }
  return 0;
}
