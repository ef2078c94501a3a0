// Model families: how a Hugging Face folder's config and weight names map to the one Transformer, both ways.
#pragma once

#include <attend/io/config.hpp>
#include <attend/models/transformer.hpp>
#include <attend/nn/parameters.hpp>

#include <filesystem>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace attend {

/// One line of the two-way table of names. `*` stands for the layer; names without ".weight"/".bias" stand for both.
struct WeightName {
  std::string_view file;               ///< as the folder spells it
  std::vector<std::string_view> ours;  ///< one name, or several that the file stacks along the first dimension
  bool leading_one = false;            ///< the file writes a vector [n] as [1, n]
};

/// A family is configuration: a map from config.json and a table of names.
struct Family {
  std::string_view model_type;    ///< in config.json
  std::string_view architecture;  ///< the class that Hugging Face opens it with
  TransformerConfig (*read)(const Config& config);
  nlohmann::ordered_json (*write)(const TransformerConfig& config);
  std::vector<WeightName> (*names)(const TransformerConfig& config);
  std::vector<std::string_view> ignored;  ///< tensors in files that are computed, not learned
};

/// All families, by name.
std::span<const Family* const> families();
/// Throws Unsupported naming the nearest family if there is none of this type.
const Family& family_of(std::string_view model_type, std::string_view where);

struct LoadOptions {
  bool trainable =
      false;  ///< own f32 memory, parameters tracked; else weights may share the mapped file and are packed
  std::string config_file = "config.json";
};

/// Opens a model folder (config.json + *.safetensors). Throws ConfigError or FormatError naming every missing,
/// unexpected and misshapen tensor at once.
Transformer load_model(const std::filesystem::path& folder, const LoadOptions& options = {});

/// Something of every parameter (its values, its gradient, …) under the names and in the shapes of the family's files.
/// Parameters for which `of` returns an undefined tensor are left out.
std::vector<std::pair<std::string, Tensor>> by_file_name(const Transformer& model,
                                                         const std::function<Tensor(const Parameter&)>& of);

/// Writes config.json and model.safetensors of the model's family into the folder.
void save_model(const std::filesystem::path& folder, const Transformer& model, DType dtype = DType::f32);

namespace models {
extern const Family vanilla, marian;

/// Names of activations in config files, both ways. Throws ConfigError for unknown ones.
Activation activation_of(std::string_view name, std::string_view where);
std::string_view name_of(Activation activation);
}  // namespace models

}  // namespace attend
