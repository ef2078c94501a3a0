// Looking inside: reading and changing intermediates by their stable names.
#pragma once

#include <attend/tensor/tensor.hpp>

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace attend {

/// Given to a Pass, it keeps copies of the intermediates it was asked for. The model's output always comes from the
/// same kernels, so it is the same bits with and without a probe (an edit changes it, that is its purpose).
class Probe {
 public:
  Probe() = default;
  /// Reads these names (see activation_names() in models/transformer.hpp).
  explicit Probe(std::vector<std::string> names) {
    for (std::string& name : names) read(std::move(name));
  }

  void read(std::string name) { wanted_.emplace(std::move(name), Tensor{}); }
  /// Replaces an intermediate by function(intermediate), of the same shape.
  void edit(std::string name, std::function<Tensor(const Tensor&)> function) {
    edits_[std::move(name)] = std::move(function);
  }

  /// What was read. Attention weights are [heads, Tq, Tk] for one sequence, [sequences, heads, Tq, Tk] (padded with 0)
  /// for several. Throws ConfigError if the name was not asked for or the last pass had no such intermediate.
  const Tensor& operator[](std::string_view name) const;
  bool has(std::string_view name) const;

  /// For modules.
  bool wants(std::string_view name) const { return wanted_.find(name) != wanted_.end(); }
  bool has_edits() const noexcept { return !edits_.empty(); }
  bool edits(std::string_view name) const { return edits_.find(name) != edits_.end(); }
  /// Keeps `value` if wanted and returns it, or what the edit makes of it.
  Tensor observe(std::string_view name, const Tensor& value);

 private:
  std::map<std::string, Tensor, std::less<>> wanted_;
  std::map<std::string, std::function<Tensor(const Tensor&)>, std::less<>> edits_;
};

}  // namespace attend
