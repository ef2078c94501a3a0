// The visitor that a struct's members are listed with, once:
//
//   struct BeamOptions {
//     int beams = 4;
//     double length_penalty = 1.0;
//     static void fields(auto& self, auto&& f) {
//       f("beams", self.beams, Doc{.en = "hypotheses kept", .ko = "유지할 후보 수", .min = 1, .max = 64});
//       f("length_penalty", self.length_penalty);
//     }
//   };
//
// Parameter names, saving, loading, configuration, flags and forms all come from that list. `self` is const or not as
// the caller's object is; a visitor takes the name, the member and, optionally, a Doc.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace attend {

/// What people are told about a member, and the numbers it may hold (both ends included; for a list, each element).
struct Doc {
  std::string_view en = {}, ko = {};
  std::optional<double> min = {}, max = {};
};

namespace detail {

struct AnyVisitor {
  template <class M>
  void operator()(std::string_view, M&&, const Doc& = {}) const {}
};

template <class T>
struct ElementOf {};
template <class T>
struct ElementOf<std::vector<T>> {
  using Type = T;
};
template <class T, size_t n>
struct ElementOf<std::array<T, n>> {
  using Type = T;
};

}  // namespace detail

/// A struct with the member list above.
template <class T>
concept HasFields = std::is_class_v<std::remove_cvref_t<T>> &&
    requires(std::remove_cvref_t<T>& object, detail::AnyVisitor f) {
  std::remove_cvref_t<T>::fields(object, f);
};

/// A vector or array of such structs.
template <class T>
concept HasFieldsList = HasFields<typename detail::ElementOf<std::remove_cvref_t<T>>::Type>;

/// Calls visit(name, member, doc) for every member below `object`, in order, with dotted names: members of nested
/// structs as "norm1.weight", of lists of structs as "blocks.0.norm1.weight".
template <HasFields T, class F>
void walk_fields(T& object, F&& visit, const std::string& prefix = {}) {
  std::remove_cv_t<T>::fields(object, [&](std::string_view name, auto& member, const Doc& doc = {}) {
    using Member = decltype(member);
    std::string full = prefix;
    full += name;
    if constexpr (HasFields<Member>) {
      walk_fields(member, visit, full + '.');
    } else if constexpr (HasFieldsList<Member>) {
      size_t index = 0;
      for (auto& element : member) walk_fields(element, visit, full + '.' + std::to_string(index++) + '.');
    } else {
      visit(std::as_const(full), member, doc);
    }
  });
}

/// Names of an enum's values, found by argument-dependent lookup; the first name of a value is the one written:
///   constexpr auto enum_names(Schedule) {
///     return std::to_array<EnumName<Schedule>>({{Schedule::noam, "noam"}, {Schedule::cosine, "cosine"}});
///   }
template <class E>
struct EnumName {
  E value;
  std::string_view name;
};

}  // namespace attend
