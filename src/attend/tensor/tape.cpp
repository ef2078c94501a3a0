#include <attend/base/error.hpp>
#include <attend/tensor/context.hpp>
#include <attend/tensor/tape.hpp>

#include <algorithm>

namespace attend {

Tensor Gradients::of(const Tensor& parameter) const {
  const auto found = gradients_.find(parameter.id());
  return found == gradients_.end() ? Tensor{} : found->second;
}

Tensor Backward::gradient(uint64_t output) const {
  const auto found = gradients_.gradients_.find(output);
  return found == gradients_.gradients_.end() ? Tensor{} : found->second;
}

Tensor Backward::take(uint64_t output) {
  auto taken = gradients_.gradients_.extract(output);
  return taken ? std::move(taken.mapped()) : Tensor{};
}

Backward::Target Backward::target(const Input& input) {
  Tensor& gradient = gradients_.gradients_[input.id];
  const bool accumulate = gradient.defined();
  if (!accumulate) gradient = Tensor(input.shape, DType::f32, input.device);
  if (!gradient.storage().unique()) gradient = gradient.clone();  // the memory is also another tensor's gradient
  return {gradient, accumulate};
}

void Backward::add(const Input& input, Tensor addend) {
  if (!wants(input)) return;
  if (addend.elements() != input.shape.elements())
    fail<ShapeError>("backward: gradient {} of a tensor {}", addend.shape(), input.shape);
  if (addend.device() != input.device)
    fail<Unsupported>("backward: gradient on {} of a tensor on {}", name_of(addend.device()), name_of(input.device));
  Tensor& gradient = gradients_.gradients_[input.id];
  if (!gradient.defined()) {
    gradient = std::move(addend);
    return;
  }
  if (!gradient.storage().unique()) gradient = gradient.clone();  // the memory is also another tensor's gradient
  Context::current().run(input.device, &kernels::KernelTable::axpby,
                         kernels::Axpby{gradient.elements(), 1, static_cast<const float*>(addend.memory()), 1,
                                        static_cast<float*>(gradient.memory())});
}

Backward::Kept::Kept(const Tensor& input) {
  if (const Tape* tape = Context::current().tape())
    if (const auto found = tape->remade_.find(input.id()); found != tape->remade_.end()) remade_ = found->second;
  if (!remade_) tensor_ = input;
}

Tensor Backward::Kept::tensor() const {
  if (!remade_) return tensor_;
  if (!remade_->made.defined()) remade_->made = remade_->make();
  return remade_->made;
}

Tape::Tape() : previous_(Context::current().tape_) { Context::current().tape_ = this; }

Tape::~Tape() { Context::current().tape_ = previous_; }

bool Tape::recording(std::initializer_list<const Tensor*> inputs) {
  Tape* tape = Context::current().tape();
  if (!tape) return false;
  const bool tracked = std::any_of(inputs.begin(), inputs.end(), [](const Tensor* input) { return input->tracked(); });
  tape->noticed_ |= tracked;
  return tracked && !tape->watching_;
}

void Tape::record(std::initializer_list<Tensor*> outputs, std::function<void(Backward&)> step) {
  Entry entry{{}, std::move(step)};
  for (Tensor* output : outputs) {
    output->set_tracked();
    entry.outputs.push_back(output->id());
  }
  Context::current().tape()->entries_.push_back(std::move(entry));
}

void Tape::remade_by(const Tensor& output, std::function<Tensor()> make) {
  auto remade = std::make_shared<Backward::Kept::Remade>(Backward::Kept::Remade{std::move(make), {}});
  Context::current().tape()->remade_.insert_or_assign(output.id(), std::move(remade));
}

Gradients Tape::backward(const Tensor& loss) {
  Gradients gradients;
  backward(loss, gradients);
  return gradients;
}

void Tape::backward(const Tensor& loss, Gradients& into, float scale) {
  if (loss.elements() != 1) fail<ShapeError>("backward: the loss must be one number, not {}", loss.shape());
  if (!loss.tracked())
    fail<ConfigError>("backward: the loss depends on no trainable tensor, or was computed without a tape");
  Backward backward(into);
  into.gradients_[loss.id()] = Tensor::full(loss.shape(), scale).to(loss.device());
  walk(backward);
}

void Tape::walk(Backward& backward) {
  NoTape pause;
  auto& gradients = backward.gradients_.gradients_;
  while (!entries_.empty()) {
    Entry entry = std::move(entries_.back());
    entries_.pop_back();
    bool reached = false;
    for (uint64_t id : entry.outputs) {
      reached |= gradients.contains(id);
      remade_.erase(id);
    }
    if (reached) entry.step(backward);
    for (uint64_t id : entry.outputs) gradients.erase(id);
  }
}

NoTape::NoTape() : previous_(Context::current().tape_) { Context::current().tape_ = nullptr; }

NoTape::~NoTape() { Context::current().tape_ = previous_; }

}  // namespace attend
