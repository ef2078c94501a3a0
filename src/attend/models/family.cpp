#include <attend/base/error.hpp>
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

// Edit distance, to guess what somebody meant.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 1; j <= b.size(); ++j)
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])}));
  }
  return row[b.size()];
}

}  // namespace

std::span<const Family* const> families() {
  static constexpr std::array<const Family*, 2> all{&models::marian, &models::vanilla};
  return all;
}

const Family& family_of(std::string_view model_type, std::string_view where) {
  const Family* nearest = nullptr;
  for (const Family* family : families()) {
    if (family->model_type == model_type) return *family;
    if (!nearest || distance(model_type, family->model_type) < distance(model_type, nearest->model_type))
      nearest = family;
  }
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
