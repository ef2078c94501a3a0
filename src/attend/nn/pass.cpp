#include <attend/nn/pass.hpp>
#include <attend/tensor/recompute.hpp>

namespace attend {

Sequences Sequences::of(std::span<const int64_t> lengths) {
  int64_t total = 0;
  for (int64_t length : lengths) total += length;
  Sequences result{Tensor({static_cast<int64_t>(lengths.size()) + 1}, DType::i32), Tensor({total}, DType::i32)};
  int32_t *offset = result.offsets.data<int32_t>(), *position = result.positions.data<int32_t>();
  *offset = 0;
  for (int64_t length : lengths) {
    offset[1] = offset[0] + static_cast<int32_t>(length);
    ++offset;
    for (int64_t i = 0; i < length; ++i) *position++ = static_cast<int32_t>(i);
  }
  return result;
}

Dropout Pass::dropout(float probability, std::string_view site) const {
  if (!training_ || probability == 0) return {};
  return {probability, random_.key(name_of(site))};
}

Tensor Pass::observe(std::string_view site, const Tensor& value) {
  return probe ? probe->observe(name_of(site), value) : value;
}

std::string Pass::name_of(std::string_view site) const {
  std::string name = name_;
  if (!name.empty()) name += '.';
  return name += site;
}

Pass::Scope::Scope(Pass& pass, std::string_view part, int64_t index) : pass_(pass), length_(pass.name_.size()) {
  if (!pass.name_.empty()) pass.name_ += '.';
  pass.name_ += part;
  if (index >= 0) pass.name_ += '.' + std::to_string(index);
}

Tensor recomputed(Pass& pass, const std::function<Tensor(Pass&)>& part) {
  Pass second = pass;
  second.probe = nullptr;
  return recompute([&] { return part(pass); }, [part, second]() mutable { return part(second); });
}

}  // namespace attend
