#include <attend/tensor/context.hpp>
#include <attend/tensor/recompute.hpp>
#include <attend/tensor/tape.hpp>

namespace attend {

Tensor recompute(const std::function<Tensor()>& first, std::function<Tensor()> again) {
  Tape* outer = Context::current().tape();
  if (!outer || outer->watching_) return first();
  Tensor result;
  bool recording = false;
  {
    Tape watch;
    watch.watching_ = true;
    result = first();
    recording = watch.noticed_;
  }
  if (!recording) return result;
  {
    NoTape pause;
    result = result.view(result.shape());  // a tensor of its own, even if `first` gave an input back
  }
  const Precision precision = Context::current().precision();
  Tape::record({&result}, [again = std::move(again), precision, id = result.id()](Backward& backward) {
    Tensor gradient = backward.take(id);  // so that the next step finds it unshared, as without us
    const ProductPrecision as_then(precision);
    Tape tape;
    backward.add(again(), std::move(gradient));
    tape.walk(backward);
  });
  return result;
}

}  // namespace attend
