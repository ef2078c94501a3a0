// Reverse-mode differentiation: operations record themselves while a tape is active, backward() walks them in reverse.
#pragma once

#include <attend/tensor/tensor.hpp>

#include <functional>
#include <initializer_list>
#include <memory>
#include <unordered_map>
#include <vector>

namespace attend {

/// d loss / d parameter by parameter. Adding a second backward pass accumulates (several batches per step).
class Gradients {
 public:
  /// The gradient of a parameter; undefined if the loss does not depend on it.
  Tensor of(const Tensor& parameter) const;
  bool empty() const noexcept { return gradients_.empty(); }
  /// Forgets the values, keeps nothing.
  void clear() noexcept { gradients_.clear(); }

 private:
  friend class Backward;
  friend class Tape;
  std::unordered_map<uint64_t, Tensor> gradients_;
};

/// What the backward part of an operation sees.
class Backward {
 public:
  /// d loss / d output, by the output's id: undefined if nothing downstream needed this output.
  Tensor gradient(uint64_t output) const;
  /// True if `input` wants a gradient.
  bool wants(const Tensor& input) const noexcept { return input.defined() && input.tracked(); }

  /// Where a kernel may write d loss / d input directly: `accumulate` says whether it must add to what is there.
  struct Target {
    Tensor tensor;
    bool accumulate;
  };
  Target target(const Tensor& input);
  /// Adds a computed gradient (taken over, not copied, when it is the first one).
  void add(const Tensor& input, Tensor gradient);

 private:
  friend class Tape;
  explicit Backward(Gradients& gradients) : gradients_(gradients) {}
  Gradients& gradients_;
};

/// Active from construction to destruction on this thread; tapes nest (the inner one records).
class Tape {
 public:
  Tape();
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  /// Gradients of `loss` (one element) with respect to every tracked tensor nobody computed (the parameters).
  /// Uses the recording up: saved values are freed as soon as they have served.
  Gradients backward(const Tensor& loss);
  /// The same, times `scale`, added to `into`.
  void backward(const Tensor& loss, Gradients& into, float scale = 1);

  size_t operations() const noexcept { return entries_.size(); }

  /// For operations: true if the active tape should record something computed from these inputs.
  static bool recording(std::initializer_list<const Tensor*> inputs);
  /// For operations, after recording() said yes: marks the outputs as tracked and keeps `step` for the backward pass.
  static void record(std::initializer_list<Tensor*> outputs, std::function<void(Backward&)> step);

 private:
  struct Entry {
    std::vector<uint64_t> outputs;
    std::function<void(Backward&)> step;
  };
  std::vector<Entry> entries_;
  Tape* previous_;
};

/// Nothing records inside this block (validation inside a training step, kernels that call operations).
class NoTape {
 public:
  NoTape();
  ~NoTape();
  NoTape(const NoTape&) = delete;
  NoTape& operator=(const NoTape&) = delete;

 private:
  Tape* previous_;
};

}  // namespace attend
