// One row of the operations' table: inputs, the operation, and its double-precision twin.
#pragma once

#include "weighted_sum.hpp"

#include <attend/ops/attention.hpp>
#include <attend/ops/cross_entropy.hpp>
#include <attend/ops/embedding.hpp>
#include <attend/ops/linear.hpp>
#include <attend/ops/norm.hpp>
#include <attend/ops/reference/reference.hpp>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace attend::testing {

using reference::Vector;
using Vectors = std::vector<Vector>;

struct Input {
  Shape shape;
  bool tracked = true;
  double scale = 1;   ///< of the normal values
  double offset = 0;  ///< their mean
};

struct Case {
  std::string name;
  std::vector<Input> inputs;
  std::function<Tensors(const Tensors&)> run;
  std::function<Vectors(const Vectors&)> twin;
  double terms = 1;            ///< of the longest sum: rounding errors grow with its root
  double floor = 1;            ///< magnitude of the terms that may cancel in an output or gradient
  std::vector<bool> in_loss;   ///< which outputs the loss reads; empty = the first one
  std::vector<bool> has_none;  ///< inputs that are tracked, but that no output in the loss depends on
  /// Elements that get no gradient although the value depends on them (frozen rows).
  std::function<bool(size_t input, int64_t element)> frozen;
  int samples = 48;  ///< elements of each input whose derivative is taken

  bool reads(size_t output) const { return in_loss.empty() ? output == 0 : in_loss[output]; }
};

/// All rows of the table, by operation.
std::vector<Case> linear_cases();
std::vector<Case> embedding_cases();
std::vector<Case> norm_cases();
std::vector<Case> attention_cases();
std::vector<Case> cross_entropy_cases();
std::vector<Case> all_cases();

/// The inputs' values: normal, the same in f32 and double, a function of the case's name.
Vectors values_of(const Case& row);
Tensors tensors_of(const Case& row, const Vectors& values, Device device = Device::cpu);

/// What a correct f32 program gives, with how far it may be off.
struct Expected {
  Vectors outputs;
  Vectors upstream;  ///< d loss / d output; empty for outputs that the loss does not read
  struct Derivative {
    size_t input;
    int64_t element;
    double value;
  };
  std::vector<Derivative> derivatives;
};
Expected expected_of(const Case& row);

/// What the program gave, as it lies in memory.
struct Actual {
  std::vector<std::vector<float>> outputs, gradients;  ///< a gradient is empty if there is none
};
/// Runs the operation in the current context, on a tape unless `tape` is false, with its inputs on `device`.
Actual actual_of(const Case& row, const Expected& expected, bool tape, Device device = Device::cpu);
bool same_bits(const Actual& a, const Actual& b);

/// The first difference beyond the case's tolerance as text, or nothing.
std::optional<std::string> mismatch(const Case& row, const Expected& expected, const Actual& actual);

/// All of that at every level, with 1, 2 and 3 threads, on no tape, and on the fake device.
void check(const Case& row);

/// Fills the current allocator's free blocks with NaN, so that reading memory that nobody wrote shows.
void poison_free_memory();

}  // namespace attend::testing
