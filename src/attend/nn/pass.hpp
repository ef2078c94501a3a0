// What one walk through a model carries.
#pragma once

#include <attend/nn/probe.hpp>
#include <attend/ops/dropout.hpp>
#include <attend/tensor/random.hpp>

#include <functional>
#include <string>
#include <string_view>

namespace attend {

class Cache;

/// Packed sequences: the tokens of all sequences in one row of memory, without padding.
struct Sequences {
  Tensor offsets;    ///< i32 [sequences + 1]: sequence s has the tokens [offsets[s], offsets[s+1])
  Tensor positions;  ///< i32 [tokens]: each token's position in its sequence

  int64_t count() const noexcept { return offsets.elements() - 1; }
  int64_t tokens() const noexcept { return positions.elements(); }
  /// Sequences of these lengths, with positions from 0.
  static Sequences of(std::span<const int64_t> lengths);
};

/// Mode, randomness, cache, probe and the name of where we are.
class Pass {
 public:
  Pass() = default;
  /// A training pass: dropout is on, its masks are functions of (seed, step, name, element).
  static Pass training(uint64_t seed, uint64_t step) {
    Pass pass;
    pass.training_ = true;
    pass.random_ = {seed, step};
    return pass;
  }

  Cache* cache = nullptr;  ///< generation: attention reads and extends it
  Probe* probe = nullptr;
  /// Under a tape each block keeps its input alone and runs again in the backward pass: less memory, more time, the
  /// same bits (tensor/recompute.hpp).
  bool recompute = false;

  bool is_training() const noexcept { return training_; }
  /// Whether parts of the model should be recomputed(): asked for, and no cache or edit makes a second run differ.
  bool recomputes() const noexcept { return recompute && !cache && !(probe && probe->has_edits()); }
  /// The dropout of this place: off unless training.
  Dropout dropout(float probability, std::string_view site) const;

  /// Shows `value` to the probe under the current name + site; returns it, or its edited form.
  Tensor observe(std::string_view site, const Tensor& value);
  bool wants(std::string_view site) const { return probe && probe->wants(name_of(site)); }
  bool edits(std::string_view site) const { return probe && probe->edits(name_of(site)); }

  /// Enters a named part of the model for the enclosing block: Pass::Scope scope(pass, "attention");
  class Scope {
   public:
    Scope(Pass& pass, std::string_view part, int64_t index = -1);
    ~Scope() { pass_.name_.resize(length_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Pass& pass_;
    size_t length_;
  };

 private:
  std::string name_of(std::string_view site) const;

  bool training_ = false;
  Random random_;
  std::string name_;
};

/// part(pass), run again in the backward pass: it then finds the same name, seed and step, so that dropout masks are
/// the same, but no probe, which has seen everything. `part` owns what it reads.
Tensor recomputed(Pass& pass, const std::function<Tensor(Pass&)>& part);

}  // namespace attend
