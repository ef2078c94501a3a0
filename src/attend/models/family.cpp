#include <attend/base/error.hpp>
#include <attend/base/near_name.hpp>
#include <attend/models/family.hpp>

#include <algorithm>
#include <array>

namespace attend {
namespace {

constexpr std::pair<std::string_view, Activation> activations[] = {{"relu", Activation::relu},
                                                                   {"gelu", Activation::gelu},
                                                                   {"gelu_new", Activation::gelu_tanh},
                                                                   {"gelu_pytorch_tanh", Activation::gelu_tanh},
                                                                   {"silu", Activation::silu},
                                                                   {"swish", Activation::silu},
                                                                   {"quick_gelu", Activation::quick_gelu},
                                                                   {"tanh", Activation::tanh},
                                                                   {"sigmoid", Activation::sigmoid},
                                                                   {"relu2", Activation::relu2},
                                                                   {"linear", Activation::none}};

}  // namespace

std::span<const Family* const> families() {
  static constexpr std::array<const Family*, 2> all{&models::marian, &models::vanilla};
  return all;
}

const Family& family_of(std::string_view model_type, std::string_view where) {
  for (const Family* family : families())
    if (family->model_type == model_type) return *family;
  const Family* nearest = *std::ranges::min_element(
      families(), {}, [&](const Family* family) { return edit_distance(model_type, family->model_type); });
  fail<Unsupported>("{}: model_type '{}' is not a family of this version (the nearest is '{}')", where, model_type,
                    nearest->model_type);
}

namespace models {

Activation activation_of(std::string_view name, std::string_view where) {
  for (const auto& [known, activation] : activations)
    if (known == name) return activation;
  fail<ConfigError>("{}: unknown activation '{}'", where, name);
}

std::string_view name_of(Activation activation) {
  for (const auto& [name, known] : activations)
    if (known == activation) return name;
  return "linear";
}

}  // namespace models
}  // namespace attend
