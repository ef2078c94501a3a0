// The named parameters of a module, from its `fields` list.
#pragma once

#include <attend/base/error.hpp>
#include <attend/tensor/weight.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace attend {

/// A parameter by its name in the model: "encoder.blocks.0.attention.query.weight".
struct Parameter {
  std::string name;
  Tensor* tensor;
};

namespace nn {

template <class Member>
void collect(const std::string& name, Member& member, std::vector<Parameter>& out) {
  if constexpr (std::is_same_v<Member, Tensor>) {
    if (member.defined()) out.push_back({name, &member});
  } else if constexpr (std::is_same_v<Member, Weight>) {
    if (member.defined()) out.push_back({name, &member.tensor});
  } else if constexpr (requires { member.has_value(); }) {
    if (member.has_value()) collect(name, *member, out);
  } else if constexpr (requires { member.begin(); }) {
    for (size_t i = 0; i < member.size(); ++i) collect(name + "." + std::to_string(i), member[i], out);
  } else {
    Member::fields(member, [&](const char* field, auto& value) {
      collect(name.empty() ? field : name + "." + field, value, out);
    });
  }
}

}  // namespace nn

/// All defined parameters in the order of the fields. The pointers live as long as the module stays where it is.
template <class Module>
std::vector<Parameter> parameters(Module& module) {
  std::vector<Parameter> list;
  nn::collect("", module, list);
  return list;
}

/// The parameter of this name. Throws ConfigError if the module has none.
template <class Module>
Tensor& parameter_named(Module& module, std::string_view name) {
  for (const Parameter& parameter : parameters(module))
    if (parameter.name == name) return *parameter.tensor;
  fail<ConfigError>("the model has no parameter '{}'", name);
}

}  // namespace attend
