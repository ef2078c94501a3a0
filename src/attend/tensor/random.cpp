#include <attend/tensor/random.hpp>

#include <cmath>
#include <numbers>

namespace attend {

uint64_t Random::key(std::string_view name) const noexcept {
  uint64_t hash = mix64(seed + 0x9e3779b97f4a7c15ull) ^ mix64(step * 0x9e3779b97f4a7c15ull + 1);
  for (unsigned char c : name) hash = (hash ^ c) * 0x100000001b3ull;  // FNV-1a
  return mix64(hash);
}

double Random::uniform(uint64_t key, uint64_t element) noexcept {
  return static_cast<double>(mix64(key + mix64(element + 0x632be59bd9b4e019ull)) >> 11) * 0x1p-53;
}

double Random::normal(uint64_t key, uint64_t element) noexcept {
  const double u = 1.0 - uniform(key, 2 * element), v = uniform(key, 2 * element + 1);
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);  // Box–Muller
}

void fill_normal(Tensor& tensor, uint64_t key, double deviation) {
  float* x = tensor.data<float>();
  for (int64_t i = 0; i < tensor.elements(); ++i)
    x[i] = static_cast<float>(deviation * Random::normal(key, static_cast<uint64_t>(i)));
}

void fill_uniform(Tensor& tensor, uint64_t key, double bound) {
  float* x = tensor.data<float>();
  for (int64_t i = 0; i < tensor.elements(); ++i)
    x[i] = static_cast<float>(bound * (2.0 * Random::uniform(key, static_cast<uint64_t>(i)) - 1.0));
}

}  // namespace attend
