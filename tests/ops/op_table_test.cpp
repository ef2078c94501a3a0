// Every operation, at every instruction-set level of this machine and several thread counts, against its
// double-precision twin: values, gradients, and the same bits however many threads there are, tape or not, and on the
// fake device.
#include "op_case.hpp"

#include <attend/tensor/context.hpp>
#include <attend/tensor/random.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <memory>

namespace attend::testing {
namespace {

constexpr double epsilon = 0x1p-24;  // half a unit in the last place of 1.0f

double magnitude(const Vector& values) {
  double largest = 0;
  for (double x : values)
    if (std::isfinite(x)) largest = std::max(largest, std::abs(x));
  return largest;
}

Vector random_values(std::string_view name, int64_t count, double scale, double offset) {
  Vector values(static_cast<size_t>(count));
  const uint64_t key = Random{7, 0}.key(name);
  for (int64_t i = 0; i < count; ++i)
    values[static_cast<size_t>(i)] = static_cast<float>(offset + scale * Random::normal(key, static_cast<uint64_t>(i)));
  return values;
}

Tensor tensor_of(const Shape& shape, const Vector& values) {
  return Tensor::from(shape, std::vector<float>(values.begin(), values.end()));
}

bool equal_or_near(double actual, double expected, double tolerance) {
  if (std::isfinite(expected)) return std::abs(actual - expected) <= tolerance;  // false for NaN
  return actual == expected;
}

Context& context_of(const char* level, int threads) {
  static std::map<std::pair<std::string, int>, std::unique_ptr<Context>> contexts;
  auto& context = contexts[{level, threads}];
  if (!context) context = std::make_unique<Context>(Context::Options{.threads = threads, .instruction_set = level});
  return *context;
}

bool same_bits(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i].size() != b[i].size() || (!a[i].empty() && std::memcmp(a[i].data(), b[i].data(), a[i].size() * 4) != 0))
      return false;
  return true;
}

// Changes the largest element by a thousandth.
bool perturb(std::vector<std::vector<float>>& arrays) {
  for (auto& values : arrays) {
    float* largest = nullptr;
    for (float& x : values)
      if (std::isfinite(x) && (!largest || std::abs(x) > std::abs(*largest))) largest = &x;
    if (!largest || std::abs(*largest) < 0.5f) continue;
    *largest *= 1.001f;
    return true;
  }
  return false;
}

}  // namespace

Vectors values_of(const Case& row) {
  Vectors all;
  for (size_t i = 0; i < row.inputs.size(); ++i) {
    const Input& input = row.inputs[i];
    all.push_back(
        random_values(row.name + "/input" + std::to_string(i), input.shape.elements(), input.scale, input.offset));
  }
  return all;
}

Tensors tensors_of(const Case& row, const Vectors& values, Device device) {
  Tensors all;
  for (size_t i = 0; i < row.inputs.size(); ++i)
    all.push_back(tensor_of(row.inputs[i].shape, values[i]).to(device).set_tracked(row.inputs[i].tracked));
  return all;
}

Expected expected_of(const Case& row) {
  Vectors inputs = values_of(row);
  Expected expected{row.twin(inputs), {}, {}};
  for (size_t o = 0; o < expected.outputs.size(); ++o)
    expected.upstream.push_back(row.reads(o) ? random_values(row.name + "/upstream" + std::to_string(o),
                                                             static_cast<int64_t>(expected.outputs[o].size()), 1, 0)
                                             : Vector{});
  auto loss = [&] {
    double sum = 0;
    const Vectors outputs = row.twin(inputs);
    for (size_t o = 0; o < outputs.size(); ++o)
      for (size_t i = 0; i < expected.upstream[o].size(); ++i) sum += outputs[o][i] * expected.upstream[o][i];
    return sum;
  };
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!row.inputs[i].tracked) continue;
    const int64_t size = static_cast<int64_t>(inputs[i].size());
    const int64_t stride = std::max<int64_t>(1, size / row.samples) | 1;  // odd: visits all columns in turn
    for (int64_t e = 0; e < size; e += stride) {
      const bool frozen = row.frozen && row.frozen(i, e);
      expected.derivatives.push_back(
          {i, e, frozen ? 0 : reference::central_difference(loss, inputs[i][static_cast<size_t>(e)])});
    }
  }
  return expected;
}

Actual actual_of(const Case& row, const Expected& expected, bool tape_on, Device device) {
  poison_free_memory();
  const Vectors values = values_of(row);
  const Tensors inputs = tensors_of(row, values, device);
  Actual actual;
  if (!tape_on) {
    for (const Tensor& output : row.run(inputs)) actual.outputs.push_back(floats(output));
    return actual;
  }
  Tape tape;
  const Tensors outputs = row.run(inputs);
  Tensors upstream;
  for (size_t o = 0; o < outputs.size(); ++o) {
    CHECK(outputs[o].device() == device);
    actual.outputs.push_back(floats(outputs[o]));
    upstream.push_back(row.reads(o) ? tensor_of(outputs[o].shape(), expected.upstream[o]) : Tensor{});
  }
  const Tensor loss = weighted_sum(outputs, upstream);
  const Gradients gradients = loss.tracked() ? tape.backward(loss) : Gradients{};
  for (const Tensor& input : inputs) {
    const Tensor gradient = gradients.of(input);
    if (gradient.defined()) CHECK(gradient.device() == device);
    actual.gradients.push_back(floats(gradient));
  }
  for (size_t o = 0; o < upstream.size(); ++o)  // a gradient that came in belongs to others: it must not be written to
    if (upstream[o].defined())
      CHECK(floats(upstream[o]) == std::vector<float>(expected.upstream[o].begin(), expected.upstream[o].end()));
  for (size_t i = 0; i < inputs.size(); ++i)
    CHECK(floats(inputs[i].to(Device::cpu)) == std::vector<float>(values[i].begin(), values[i].end()));
  return actual;
}

std::optional<std::string> mismatch(const Case& row, const Expected& expected, const Actual& actual) {
  const double allowed = 8 * epsilon * (4 + std::sqrt(row.terms));
  if (actual.outputs.size() != expected.outputs.size()) return "number of outputs";
  for (size_t o = 0; o < expected.outputs.size(); ++o) {
    const Vector& wanted = expected.outputs[o];
    if (actual.outputs[o].size() != wanted.size()) return fmt::format("output {}: size", o);
    const double tolerance = allowed * std::max(magnitude(wanted), row.floor);
    for (size_t i = 0; i < wanted.size(); ++i)
      if (!equal_or_near(actual.outputs[o][i], wanted[i], tolerance))
        return fmt::format("output {}[{}]: {} instead of {} ± {}", o, i, actual.outputs[o][i], wanted[i], tolerance);
  }
  if (actual.gradients.empty()) return std::nullopt;
  std::vector<double> scales(row.inputs.size(), row.floor);
  for (const auto& [input, element, value] : expected.derivatives)
    scales[input] = std::max(scales[input], std::abs(value));
  for (size_t i = 0; i < row.inputs.size(); ++i) {
    const bool wanted = row.inputs[i].tracked && !(i < row.has_none.size() && row.has_none[i]);
    if (actual.gradients[i].size() != (wanted ? static_cast<size_t>(row.inputs[i].shape.elements()) : 0))
      return fmt::format("input {}: {} elements of gradient", i, actual.gradients[i].size());
    for (float x : actual.gradients[i])
      if (!std::isfinite(x)) return fmt::format("input {}: gradient {}", i, x);
  }
  for (const auto& [input, element, value] : expected.derivatives) {
    if (actual.gradients[input].empty()) continue;
    const double given = actual.gradients[input][static_cast<size_t>(element)];
    const double tolerance = allowed * scales[input] + 1e-9;  // the last for the central differences themselves
    if (!equal_or_near(given, value, tolerance))
      return fmt::format("gradient of input {}[{}]: {} instead of {} ± {}", input, element, given, value, tolerance);
  }
  return std::nullopt;
}

bool same_bits(const Actual& a, const Actual& b) {
  return same_bits(a.outputs, b.outputs) && same_bits(a.gradients, b.gradients);
}

void poison_free_memory() {
  std::vector<Tensor> blocks;
  for (int64_t bytes = 64; bytes <= (1 << 16); bytes += std::max<int64_t>(64, bytes / 4))
    for (int copies = 0; copies < 4; ++copies)
      for (Device device : {Device::cpu, Device::fake})
        blocks.push_back(Tensor::full({bytes / 4}, std::numeric_limits<float>::quiet_NaN()).to(device));
}

std::vector<Case> all_cases() {
  std::vector<Case> all;
  for (auto cases : {linear_cases, embedding_cases, norm_cases, attention_cases, cross_entropy_cases})
    for (Case& row : cases()) all.push_back(std::move(row));
  return all;
}

void check(const Case& row) {
  CAPTURE(row.name);
  const Expected expected = expected_of(row);
  for (const char* level : kernels::kLevels) {
    if (!kernels::cpu_kernels(level)) continue;
    CAPTURE(std::string(level));
    std::optional<Actual> first;
    for (int threads : {1, 2, 3}) {
      CAPTURE(threads);
      ContextScope scope(context_of(level, threads));
      const Actual actual = actual_of(row, expected, true);
      if (!first) {
        const auto difference = mismatch(row, expected, actual);
        CHECK_MESSAGE(!difference, difference.value_or(""));
        first = actual;
      }
      CHECK(same_bits(actual, *first));
      CHECK(same_bits(actual_of(row, expected, false).outputs, first->outputs));
      CHECK(same_bits(actual_of(row, expected, true, Device::fake), *first));
    }
    Actual perturbed = *first;
    if (perturb(perturbed.outputs)) CHECK(mismatch(row, expected, perturbed));
  }
}

// The comparison must see a wrong gradient, a wrong formula, and a missing or superfluous gradient.
TEST_CASE("a mistake makes the comparison fail") {
  for (const Case& row : all_cases()) {
    if (row.terms > 100 || row.inputs[0].shape.elements() == 0) continue;
    CAPTURE(row.name);
    const Expected expected = expected_of(row);
    const Actual good = actual_of(row, expected, true);
    CHECK_FALSE(mismatch(row, expected, good));
    for (const auto& [input, element, value] : expected.derivatives) {
      if (std::abs(value) < 0.1 * row.floor || good.gradients[input].empty()) continue;
      Actual wrong = good;
      wrong.gradients[input][static_cast<size_t>(element)] *= 1.01f;
      CHECK(mismatch(row, expected, wrong));
      wrong = good;
      wrong.gradients[input][static_cast<size_t>(element)] = std::nanf("");
      CHECK(mismatch(row, expected, wrong));
      wrong = good;
      wrong.gradients[input].clear();
      CHECK(mismatch(row, expected, wrong));
    }
    for (size_t i = 0; i < row.inputs.size(); ++i) {
      if (!good.gradients[i].empty() || row.inputs[i].shape.elements() == 0) continue;
      Actual wrong = good;
      wrong.gradients[i].resize(static_cast<size_t>(row.inputs[i].shape.elements()));
      CHECK(mismatch(row, expected, wrong));
    }
  }
}

TEST_CASE("similar activations are told apart") {
  std::vector<Case> rows = linear_cases();
  auto find = [&](std::string_view part) -> Case& {
    for (Case& row : rows)
      if (row.name.find(part) != std::string::npos) return row;
    throw std::runtime_error(std::string(part));
  };
  Case& gelu = find("[19, 5] gelu");
  const Expected expected = expected_of(gelu);
  CHECK_FALSE(mismatch(gelu, expected, actual_of(gelu, expected, true)));
  gelu.run = find("[19, 5] gelu_tanh").run;
  CHECK(mismatch(gelu, expected, actual_of(gelu, expected, true)));
}

}  // namespace attend::testing
