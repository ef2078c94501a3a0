// Every file of golden/interop/safetensors_*: the library's verdict, its metadata and its values.
#include <attend/base/error.hpp>
#include <attend/base/json.hpp>
#include <attend/io/safetensors.hpp>

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstring>
#include <limits>

#include "golden.hpp"

using namespace attend;

namespace {

template <class T>
T read_as(std::span<const std::byte> bytes, size_t i) {
  T value;
  std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
  return value;
}

// Element i as double; nothing for types without values here (8-bit floats).
std::optional<double> value_of(const StoredTensor& entry, std::span<const std::byte> bytes, size_t i) {
  const auto& type = entry.dtype;
  if (type == "F64") return read_as<double>(bytes, i);
  if (type == "F32" || type == "C64") return read_as<float>(bytes, i);
  if (type == "BF16") return std::bit_cast<float>(static_cast<uint32_t>(read_as<uint16_t>(bytes, i)) << 16);
  if (type == "F16") {
    const auto bits = read_as<uint16_t>(bytes, i);
    const int exponent = (bits >> 10) & 31, fraction = bits & 1023;
    const double size = exponent == 31 ? (fraction ? std::nan("") : std::numeric_limits<double>::infinity())
                        : exponent     ? std::ldexp(1024 + fraction, exponent - 25)
                                       : std::ldexp(fraction, -24);
    return bits >> 15 ? -size : size;
  }
  if (type == "I64") return static_cast<double>(read_as<int64_t>(bytes, i));
  if (type == "U64") return static_cast<double>(read_as<uint64_t>(bytes, i));
  if (type == "I32") return read_as<int32_t>(bytes, i);
  if (type == "U32") return read_as<uint32_t>(bytes, i);
  if (type == "I16") return read_as<int16_t>(bytes, i);
  if (type == "U16") return read_as<uint16_t>(bytes, i);
  if (type == "I8") return read_as<int8_t>(bytes, i);
  if (type == "U8") return read_as<uint8_t>(bytes, i);
  if (type == "BOOL") return read_as<uint8_t>(bytes, i) != 0;
  return std::nullopt;
}

bool same(double a, const nlohmann::json& expected) {
  if (expected.is_string()) {
    const auto text = expected.get<std::string>();
    if (text == "nan") return std::isnan(a);
    return a == (text == "inf" ? 1 : -1) * std::numeric_limits<double>::infinity();
  }
  return a == expected.get<double>() && std::signbit(a) == std::signbit(expected.get<double>());
}

}  // namespace

TEST_CASE("safetensors: verdict, metadata and values of every file") {
  const auto folder = attend::testing::golden_folder() / "interop";
  const auto index = read_json(folder / "safetensors_index.json");
  int good = 0, bad = 0;
  for (const auto& expected : index.at("files")) {
    const auto name = expected.at("file").get<std::string>();
    CAPTURE(name);
    if (expected.at("open") != "ok") {
      ++bad;
      CHECK_THROWS_AS(SafeTensors::open(folder / name), FormatError);
      continue;
    }
    ++good;
    std::optional<SafeTensors> file;
    REQUIRE_NOTHROW(file = SafeTensors::open(folder / name));
    const auto& metadata = expected.at("metadata");
    CHECK(nlohmann::json(file->metadata()) == (metadata.is_null() ? nlohmann::json::object() : metadata));
    CHECK(file->entries().size() == expected.at("tensors").size());
    for (const auto& [key, tensor] : expected.at("tensors").items()) {
      CAPTURE(key);
      const StoredTensor* entry = file->find(key);
      REQUIRE(entry);
      CHECK(entry->dtype == tensor.at("dtype").get<std::string>());
      CHECK(nlohmann::json(entry->shape) == tensor.at("shape"));
      const auto bytes = file->bytes(key);
      if (!tensor.contains("values")) continue;
      const auto& values = tensor.at("values");
      for (size_t i = 0; i < values.size(); ++i) {
        CAPTURE(i);
        if (const auto value = value_of(*entry, bytes, i)) CHECK(same(*value, values[i]));
      }
      if (entry->element_type() && entry->shape.size() <= Shape::max_rank)
        CHECK(file->tensor(key).bytes() == bytes.size());
      else
        CHECK_THROWS_AS(file->tensor(key), Unsupported);
    }
  }
  CHECK(good >= 16);
  CHECK(bad >= 50);
}

TEST_CASE("sharded folders open as one view with every tensor of their index") {
  const auto folder = attend::testing::golden_folder() / "interop";
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!std::filesystem::exists(entry.path() / "model.safetensors.index.json")) continue;
    ++count;
    CAPTURE(entry.path().string());
    const auto weights = WeightFiles::open(entry.path());
    const auto index = read_json(entry.path() / "model.safetensors.index.json");
    CHECK(weights.names().size() == index.at("weight_map").size());
    int64_t elements = 0;
    for (const auto& name : weights.names()) elements += weights.tensor(name).elements();
    CHECK(elements == index.at("metadata").at("total_parameters").get<int64_t>());
  }
  CHECK(count >= 1);
}
