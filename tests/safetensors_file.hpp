// A plain reader of safetensors files for tests of rooms that io stands above. Trusts the file.
#pragma once

#include <attend/base/error.hpp>
#include <attend/tensor/tensor.hpp>

#include <nlohmann/json.hpp>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

namespace attend::testing {

class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path) {
    std::ifstream stream(path, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(stream), {});
    if (bytes_.size() < 8) fail<SystemError>("{}: cannot be read", path.string());
    uint64_t header = 0;
    std::memcpy(&header, bytes_.data(), 8);
    header_ = nlohmann::json::parse(bytes_.begin() + 8, bytes_.begin() + 8 + static_cast<std::ptrdiff_t>(header));
    data_ = 8 + header;
  }

  bool has(const std::string& name) const { return header_.contains(name); }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& [name, entry] : header_.items())
      if (name != "__metadata__") all.push_back(name);
    return all;
  }
  Shape shape(const std::string& name) const { return Shape(header_.at(name).at("shape").get<std::vector<int64_t>>()); }
  Tensor tensor(const std::string& name) const {
    static const std::map<std::string, DType> types = {
        {"F32", DType::f32}, {"F64", DType::f64}, {"I64", DType::i64}, {"I32", DType::i32}, {"BOOL", DType::boolean}};
    Tensor result(shape(name), types.at(header_.at(name).at("dtype").get<std::string>()));
    const size_t begin = header_.at(name).at("data_offsets").at(0).get<size_t>();
    if (result.bytes()) std::memcpy(result.memory(), &bytes_.at(data_ + begin), result.bytes());
    return result;
  }
  /// The elements of a float tensor as double.
  std::vector<double> values(const std::string& name) const {
    const Tensor wide = tensor(name).to(DType::f64);
    return {wide.values<double>().begin(), wide.values<double>().end()};
  }

 private:
  std::string bytes_;
  nlohmann::json header_;
  size_t data_ = 0;
};

}  // namespace attend::testing
