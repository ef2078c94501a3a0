#include <attend/base/error.hpp>
#include <attend/base/file.hpp>
#include <attend/io/safetensors_header.hpp>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>

namespace attend {
namespace {

std::string quoted(const std::string& text, const std::filesystem::path& path) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::type_error&) {
    fail<FormatError>("{}: safetensors: a name or metadata text is not valid UTF-8", path.string());
  }
}

bool is_floating(DType type) {
  return type == DType::f32 || type == DType::f16 || type == DType::bf16 || type == DType::f64;
}

}  // namespace

void save_safetensors(const std::filesystem::path& path, const NamedTensors& tensors, const SaveOptions& options) {
  struct Item {
    const std::string* name;
    const Tensor* tensor;
    const safetensors::ElementType* type;
  };
  std::vector<Item> items;
  items.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) {
    if (!tensor) fail<ShapeError>("{}: safetensors: tensor '{}' is undefined", path.string(), name);
    if (name == "__metadata__") fail<FormatError>("{}: safetensors: no tensor may be called {}", path.string(), name);
    const bool convert = options.float_type && is_floating(tensor.dtype());
    items.push_back({&name, &tensor, &safetensors::element_type_of(convert ? *options.float_type : tensor.dtype())});
  }
  // The address of a type in the table is its rank.
  std::sort(items.begin(), items.end(),
            [](const Item& a, const Item& b) { return a.type != b.type ? a.type > b.type : *a.name < *b.name; });
  std::vector<std::string_view> names;
  for (const Item& item : items) names.push_back(*item.name);
  std::sort(names.begin(), names.end());
  if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end())
    fail<FormatError>("{}: safetensors: two tensors are called '{}'", path.string(), *twice);

  std::string header = "{";
  if (!options.metadata.empty()) {
    header += "\"__metadata__\":{";
    for (const auto& [key, value] : options.metadata) header += quoted(key, path) + ":" + quoted(value, path) + ",";
    header.back() = '}';
    header += ',';
  }
  uint64_t position = 0;
  for (const Item& item : items) {
    const uint64_t end = position + static_cast<uint64_t>(item.tensor->elements()) * (item.type->bits / 8);
    header += fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}},", quoted(*item.name, path),
                          item.type->name, fmt::join(item.tensor->shape().sizes(), ","), position, end);
    position = end;
  }
  if (header.back() == ',') header.pop_back();
  header += '}';
  header.append((8 - header.size() % 8) % 8, ' ');
  const uint64_t header_bytes = header.size();
  if (header_bytes > safetensors::max_header_bytes)
    fail<FormatError>("{}: safetensors: a header of {} bytes is beyond the format", path.string(), header_bytes);

  FileWriter writer(path);
  writer.write(&header_bytes, sizeof header_bytes);
  writer.write(header);
  for (const Item& item : items) {
    const Tensor values = item.tensor->to(Device::cpu).to(*item.type->type);
    writer.write(values.memory(), values.bytes());
  }
  writer.commit();
}

}  // namespace attend
