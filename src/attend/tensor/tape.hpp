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
  /// An input as the owner of a gradient, without its values: what a step keeps of an input whose memory it does not
  /// read again.
  struct Input {
    uint64_t id;
    Shape shape;
    Device device;
    bool tracked;
    Input(const Tensor& tensor)  // NOLINT: a tensor is an input
        : id(tensor.id()), shape(tensor.shape()), device(tensor.device()), tracked(tensor.tracked()) {}
  };

  /// d loss / d output, by the output's id: undefined if nothing downstream needed this output.
  Tensor gradient(uint64_t output) const;
  /// True if `input` wants a gradient.
  bool wants(const Input& input) const noexcept { return input.id != 0 && input.tracked; }

  /// Where a kernel may write d loss / d input directly: `accumulate` says whether it must add to what is there.
  struct Target {
    Tensor tensor;
    bool accumulate;
  };
  Target target(const Input& input);
  /// Adds a computed gradient (taken over, not copied, when it is the first one).
  void add(const Input& input, Tensor gradient);

  /// The values of an input that a step reads again: the tensor, or the way to make it again that the tape knows.
  class Kept {
   public:
    Kept() = default;
    explicit Kept(const Tensor& input);
    /// The values. Made at most once, for all steps that keep the same tensor.
    Tensor tensor() const;

   private:
    friend class Tape;
    struct Remade {
      std::function<Tensor()> make;
      Tensor made;
    };
    Tensor tensor_;
    std::shared_ptr<Remade> remade_;
  };

 private:
  friend class Tape;
  friend Tensor recompute(const std::function<Tensor()>& first, std::function<Tensor()> again);
  /// gradient(), taken out.
  Tensor take(uint64_t output);
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
  /// For operations, after record(): `make` gives the bits of `output` again from what the step keeps anyway, in a pass
  /// over memory that is nothing beside a product. Those who keep `output` then keep `make`.
  static void remade_by(const Tensor& output, std::function<Tensor()> make);

 private:
  friend class Backward::Kept;
  friend Tensor recompute(const std::function<Tensor()>& first, std::function<Tensor()> again);
  /// Runs the recorded steps in reverse and forgets them.
  void walk(Backward& backward);

  struct Entry {
    std::vector<uint64_t> outputs;
    std::function<void(Backward&)> step;
  };
  std::vector<Entry> entries_;
  std::unordered_map<uint64_t, std::shared_ptr<Backward::Kept::Remade>> remade_;  // by the outputs of entries
  bool watching_ = false;                                                         // records nothing,
  bool noticed_ = false;                                                          // but notices that it would have
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
