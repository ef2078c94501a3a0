#include <attend/base/error.hpp>
#include <attend/base/file.hpp>
#include <attend/io/safetensors.hpp>
#include <attend/models/family.hpp>
#include <attend/nn/parameters.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace attend {
namespace {

// What `*` stands for if `name` has this pattern's form, else nothing. Patterns have at most one `*`.
std::optional<std::string> star_of(std::string_view pattern, std::string_view name) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == name ? std::optional<std::string>("") : std::nullopt;
  const std::string_view before = pattern.substr(0, star), after = pattern.substr(star + 1);
  if (name.size() < before.size() + after.size() + 1 || !name.starts_with(before) || !name.ends_with(after)) return {};
  const std::string_view middle = name.substr(before.size(), name.size() - before.size() - after.size());
  if (middle.find_first_not_of("0123456789") != std::string_view::npos) return {};
  return std::string(middle);
}

std::string filled(std::string_view pattern, std::string_view star) {
  std::string name(pattern);
  if (const size_t at = name.find('*'); at != std::string::npos) name.replace(at, 1, star);
  return name;
}

// Where a parameter lies in the file: the tensor's name and which of how many stacked parts it is.
struct Place {
  std::string file;
  size_t part, parts;
  bool leading_one;
};

Place place_of(const std::vector<WeightName>& names, std::string_view parameter) {
  for (const WeightName& rule : names)
    for (size_t part = 0; part < rule.ours.size(); ++part) {
      if (auto star = star_of(rule.ours[part], parameter))
        return {filled(rule.file, *star), part, rule.ours.size(), rule.leading_one};
      for (std::string_view kind : {"weight", "bias"}) {
        if (!parameter.ends_with(kind) || parameter.size() <= kind.size() + 1) continue;
        const std::string_view stem = parameter.substr(0, parameter.size() - kind.size() - 1);
        if (auto star = star_of(rule.ours[part], stem)) {
          // A name such as in_proj_weight joins the kind with an underscore: its file pattern ends in '_'.
          const std::string file = filled(rule.file, *star);
          return {file.ends_with('_') ? file + std::string(kind) : file + "." + std::string(kind), part,
                  rule.ours.size(), rule.leading_one};
        }
      }
    }
  fail<Unsupported>("models: no name for the parameter '{}' in this family's files", parameter);
}

bool ignored(const Family& family, std::string_view name) {
  return std::any_of(family.ignored.begin(), family.ignored.end(),
                     [&](std::string_view pattern) { return star_of(pattern, name).has_value(); });
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size() && i < 8; ++i) text += (i ? ", " : "") + names[i];
  return names.size() > 8 ? text + fmt::format(", … {} in all", names.size()) : text;
}

// The part of a stored tensor that belongs to a parameter, in the parameter's shape; undefined if it does not fit.
Tensor part_of(const Tensor& stored, const Place& place, const Shape& wanted) {
  Tensor tensor = stored;
  if (place.parts > 1) {
    if (tensor.shape().rank() == 0 || tensor.size(0) % static_cast<int64_t>(place.parts)) return {};
    const int64_t rows = tensor.size(0) / static_cast<int64_t>(place.parts);
    tensor = tensor.rows(rows * static_cast<int64_t>(place.part), rows * static_cast<int64_t>(place.part + 1));
  }
  if (place.leading_one && tensor.shape().rank() == wanted.rank() + 1 && tensor.size(0) == 1)
    tensor = tensor.view(wanted);
  return tensor.shape() == wanted ? tensor : Tensor{};
}

}  // namespace

Transformer load_model(const std::filesystem::path& folder, const LoadOptions& options) {
  const Config config = Config::read(folder / options.config_file);
  const Family& family = family_of(config.require<std::string>("model_type"), config.name());
  Transformer model(family.read(config));
  const WeightFiles files = WeightFiles::open(folder);

  const std::vector<WeightName> table = family.names(model.config());
  std::vector<std::string> missing, misshapen, unexpected;
  std::set<std::string> used;
  for (const Parameter& parameter : parameters(model)) {
    const Place place = place_of(table, parameter.name);
    used.insert(place.file);
    if (!files.contains(place.file)) {
      missing.push_back(place.file);
      continue;
    }
    const Tensor tensor = part_of(files.tensor(place.file), place, parameter.tensor->shape());
    if (!tensor.defined()) {
      misshapen.push_back(fmt::format("{} {} (the config asks for {}{})", place.file,
                                      files.find(place.file)->shape_string(), parameter.tensor->shape(),
                                      place.parts > 1 ? fmt::format(" in each of {} parts", place.parts) : ""));
      continue;
    }
    const Tensor values = tensor.to(DType::f32);
    *parameter.tensor =
        options.trainable && values.storage().data() == tensor.storage().data() ? values.clone() : values;
  }
  for (const std::string& name : files.names())
    if (!used.contains(name) && !ignored(family, name)) unexpected.push_back(name);
  std::string problems;
  for (const auto& [what, names] :
       {std::pair{"missing", &missing}, std::pair{"misshapen", &misshapen}, std::pair{"unexpected", &unexpected}})
    if (!names->empty()) problems += fmt::format("{}{}: {}", problems.empty() ? "" : "; ", what, listed(*names));
  if (!problems.empty()) fail<FormatError>("{}: the weights do not fit the config. {}", folder.string(), problems);

  if (options.trainable)
    model.set_trainable(true);
  else
    model.pack();
  return model;
}

std::vector<std::pair<std::string, Tensor>> by_file_name(const Transformer& model,
                                                         const std::function<Tensor(const Parameter&)>& of) {
  const Family& family = family_of(model.config().model_type, "by_file_name");
  const std::vector<WeightName> table = family.names(model.config());
  std::map<std::string, std::vector<Tensor>> parts;
  std::vector<std::pair<std::string, Tensor>> result;
  for (const Parameter& parameter : parameters(const_cast<Transformer&>(model))) {
    const Place place = place_of(table, parameter.name);
    const Tensor tensor = of(parameter);
    if (!tensor.defined()) continue;
    if (place.parts == 1) {
      result.emplace_back(place.file, place.leading_one ? tensor.view({1, tensor.elements()}) : tensor);
      continue;
    }
    auto& stack = parts[place.file];
    stack.resize(place.parts);
    stack[place.part] = tensor;
    if (!std::all_of(stack.begin(), stack.end(), [](const Tensor& part) { return part.defined(); })) continue;
    std::vector<int64_t> sizes(tensor.shape().sizes().begin(), tensor.shape().sizes().end());
    sizes[0] *= static_cast<int64_t>(place.parts);
    Tensor stacked{Shape(std::span<const int64_t>(sizes))};
    int64_t row = 0;
    for (const Tensor& part : stack) {
      stacked.rows(row, row + part.size(0)).assign(part);
      row += part.size(0);
    }
    result.emplace_back(place.file, stacked);
  }
  return result;
}

void save_model(const std::filesystem::path& folder, const Transformer& model, DType dtype) {
  const TransformerConfig& c = model.config();
  const Family& family = family_of(c.model_type, folder.string());
  create_folders(folder);
  nlohmann::ordered_json config = family.write(c);
  config["architectures"] = {family.architecture};
  config["model_type"] = family.model_type;
  config["dtype"] = dtype == DType::f16 ? "float16" : dtype == DType::bf16 ? "bfloat16" : "float32";
  config["torch_dtype"] = config["dtype"];  // the spelling of transformers 4
  write_json_file(folder / "config.json", config);
  save_safetensors(folder / "model.safetensors",
                   by_file_name(model, [](const Parameter& parameter) { return *parameter.tensor; }),
                   {.metadata = {{"format", "pt"}}, .float_type = dtype});
}

}  // namespace attend
