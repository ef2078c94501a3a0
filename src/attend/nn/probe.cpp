#include <attend/base/error.hpp>
#include <attend/nn/probe.hpp>

namespace attend {

const Tensor& Probe::operator[](std::string_view name) const {
  const auto found = wanted_.find(name);
  if (found == wanted_.end()) fail<ConfigError>("probe: '{}' was not asked for", name);
  if (!found->second.defined()) fail<ConfigError>("probe: the last pass had no '{}'", name);
  return found->second;
}

bool Probe::has(std::string_view name) const {
  const auto found = wanted_.find(name);
  return found != wanted_.end() && found->second.defined();
}

Tensor Probe::observe(std::string_view name, const Tensor& value) {
  Tensor result = value;
  if (const auto edit = edits_.find(name); edit != edits_.end()) {
    result = edit->second(value.clone());
    if (result.shape() != value.shape())
      fail<ShapeError>("probe: the edit of '{}' made {} out of {}", name, result.shape(), value.shape());
  }
  if (const auto wanted = wanted_.find(name); wanted != wanted_.end()) wanted->second = result.clone();
  return result;
}

}  // namespace attend
