// The operations against real torch (golden/attention): every case of cases.json and cases.safetensors, and the study
// notes' example of hand.json, at every instruction-set level of this machine.
#include "golden.hpp"
#include "safetensors_file.hpp"
#include "weighted_sum.hpp"

#include <attend/ops/arguments.hpp>
#include <attend/ops/attention.hpp>
#include <attend/ops/cross_entropy.hpp>
#include <attend/ops/linear.hpp>
#include <attend/ops/norm.hpp>
#include <attend/tensor/context.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <iostream>
#include <limits>
#include <map>
#include <set>

namespace attend::testing {
namespace {

using Json = nlohmann::json;
using Values = std::vector<double>;

constexpr double output_tolerance = 2e-6, gradient_tolerance = 5e-6;  // times the magnitude, at least 1

Json read_json(const char* name) { return Json::parse(std::ifstream(golden_folder() / "attention" / name)); }

const SafetensorsFile& file() {
  static const SafetensorsFile cases(golden_folder() / "attention" / "cases.safetensors");
  return cases;
}

void for_levels(const std::function<void()>& body) {
  for (const char* level : kernels::kLevels) {
    if (!kernels::cpu_kernels(level)) continue;
    CAPTURE(std::string(level));
    Context context({.threads = 2, .instruction_set = level});
    ContextScope scope(context);
    body();
  }
}

/// The largest difference in units of what is allowed; more than 1 is a failure, and so is NaN.
double difference(const Values& actual, const Values& expected, double tolerance) {
  if (actual.size() != expected.size()) return std::numeric_limits<double>::infinity();
  double magnitude = 1, worst = 0;
  for (double x : expected)
    if (std::isfinite(x)) magnitude = std::max(magnitude, std::abs(x));
  for (size_t i = 0; i < expected.size(); ++i) {
    if (actual[i] == expected[i]) continue;
    const double here = std::abs(actual[i] - expected[i]) / (tolerance * magnitude);
    if (!std::isfinite(here)) return std::numeric_limits<double>::infinity();
    worst = std::max(worst, here);
  }
  return worst;
}

Values values_of(const Tensor& tensor) {
  const Tensor wide = tensor.to(DType::f64);
  return {wide.values<double>().begin(), wide.values<double>().end()};
}

void compare(const char* what, const Tensor& actual, const Values& expected, double tolerance) {
  CAPTURE(what);
  REQUIRE(actual.defined());
  CHECK(difference(values_of(actual), expected, tolerance) <= 1);
}

/// [a, b, c, d] → [a, c, b, d]: between torch's [batch, heads, length, width] and packed [batch·length, heads·width].
Values swapped(const Values& values, const Shape& shape) {
  Values result(values.size());
  const int64_t b = shape[1], c = shape[2], d = shape[3];
  for (int64_t i = 0; i < shape.elements(); ++i) {
    const int64_t l = i % d, k = i / d % c, j = i / d / c % b, a = i / d / c / b;
    result[static_cast<size_t>(((a * c + k) * b + j) * d + l)] = values[static_cast<size_t>(i)];
  }
  return result;
}

Tensor f32(const Shape& shape, const Values& values) {
  return Tensor::from(shape, std::vector<float>(values.begin(), values.end()));
}
Tensor f32(const std::string& name) { return file().tensor(name).to(DType::f32); }
Tensor parameter(const std::string& name) { return f32(name).clone().set_tracked(); }

Tensor packed(const std::string& name) {
  const Shape shape = file().shape(name);
  return f32({shape[0] * shape[2], shape[1] * shape[3]}, swapped(file().values(name), shape));
}
Values packed_values(const std::string& name) { return swapped(file().values(name), file().shape(name)); }

Tensor even_offsets(int64_t sequences, int64_t length) {
  std::vector<int32_t> offsets;
  for (int64_t s = 0; s <= sequences; ++s) offsets.push_back(static_cast<int32_t>(s * length));
  return Tensor::from({sequences + 1}, offsets);
}

void attention_case(const std::string& name, const Json& json) {
  AttentionOptions options{.heads = json.at("Hq"), .key_heads = json.at("Hk"), .causal = json.at("causal")};
  options.scale = json.at("scale");
  options.softcap = json.at("softcap").is_null() ? 0.0f : json.at("softcap").get<float>();
  if (json.at("has_mask")) options.mask = file().tensor(name + ".mask");
  if (json.at("has_bias")) options.bias = f32(name + ".bias");
  const int64_t batch = json.at("B");
  const Tensor q_offsets = even_offsets(batch, json.at("Tq")), k_offsets = even_offsets(batch, json.at("Tk"));
  const Tensor q = packed(name + ".q").set_tracked(), k = packed(name + ".k").set_tracked(),
               v = packed(name + ".v").set_tracked();
  Tape tape;
  const AttentionResult result = attention(q, k, v, q_offsets, k_offsets, options);
  const Gradients gradients = tape.backward(weighted_sum({result.out}, {packed(name + ".do")}));
  compare("out", result.out, packed_values(name + ".out"), output_tolerance);
  compare("dq", gradients.of(q), packed_values(name + ".dq"), gradient_tolerance);
  compare("dk", gradients.of(k), packed_values(name + ".dk"), gradient_tolerance);
  compare("dv", gradients.of(v), packed_values(name + ".dv"), gradient_tolerance);
  if (!file().has(name + ".probs")) return;
  Values weights;
  for (int64_t s = 0; s < batch; ++s)
    for (double weight : values_of(attention_weights(q, k, result.lse, q_offsets, k_offsets, options, s)))
      weights.push_back(weight);
  CHECK(difference(weights, file().values(name + ".probs"), output_tolerance) <= 1);
}

// torch.nn.MultiheadAttention: one matrix [3·width, width] for Q, K and V; its padding mask says what to leave out.
void multi_head_case(const std::string& name, const Json&) {
  const bool self = !file().has(name + ".x_kv");
  const Tensor x_q = parameter(name + ".x_q"), x_kv = self ? x_q : parameter(name + ".x_kv");
  const int64_t batch = x_q.size(0), width = x_q.size(2);
  AttentionOptions options{.heads = file().shape(name + ".weights")[1]};
  options.mask = Tensor({batch, 1, x_q.size(1), x_kv.size(1)}, DType::boolean);
  const Tensor padding = file().tensor(name + ".key_padding_mask");
  for (int64_t i = 0; i < options.mask.elements(); ++i) {
    const int64_t sequence = i / (x_q.size(1) * x_kv.size(1));
    options.mask.data<bool>()[i] = !padding.data<bool>()[sequence * x_kv.size(1) + i % x_kv.size(1)];
  }
  const Tensor in_weight = f32(name + ".in_proj_weight"), in_bias = f32(name + ".in_proj_bias");
  std::vector<Tensor> w, b;
  for (int64_t part = 0; part < 3; ++part) {
    w.push_back(in_weight.rows(part * width, (part + 1) * width).set_tracked());
    b.push_back(in_bias.rows(part * width, (part + 1) * width).set_tracked());
  }
  const Tensor out_weight = parameter(name + ".out_proj.weight"), out_bias = parameter(name + ".out_proj.bias");
  const Tensor q_offsets = even_offsets(batch, x_q.size(1)), k_offsets = even_offsets(batch, x_kv.size(1));
  Tape tape;
  const Tensor q = linear(x_q, w[0], b[0]), k = linear(x_kv, w[1], b[1]), v = linear(x_kv, w[2], b[2]);
  const AttentionResult result = attention(q, k, v, q_offsets, k_offsets, options);
  const Tensor out = linear(result.out, out_weight, out_bias);
  const Gradients gradients = tape.backward(weighted_sum({out}, {f32(name + ".do")}));

  compare("out", out, file().values(name + ".out"), output_tolerance);
  Values weights;
  for (int64_t s = 0; s < batch; ++s)
    for (double weight : values_of(attention_weights(q, k, result.lse, q_offsets, k_offsets, options, s)))
      weights.push_back(weight);
  CHECK(difference(weights, file().values(name + ".weights"), output_tolerance) <= 1);
  auto joined = [&](const std::vector<Tensor>& parts) {
    Values all;
    for (const Tensor& part : parts)
      for (double x : values_of(gradients.of(part))) all.push_back(x);
    return all;
  };
  const std::string grad = name + ".grad.";
  CHECK(difference(joined(w), file().values(grad + "in_proj_weight"), gradient_tolerance) <= 1);
  CHECK(difference(joined(b), file().values(grad + "in_proj_bias"), gradient_tolerance) <= 1);
  compare("d out_proj.weight", gradients.of(out_weight), file().values(grad + "out_proj.weight"), gradient_tolerance);
  compare("d out_proj.bias", gradients.of(out_bias), file().values(grad + "out_proj.bias"), gradient_tolerance);
  compare("d x_q", gradients.of(x_q), file().values(grad + "x_q"), gradient_tolerance);
  if (!self) compare("d x_kv", gradients.of(x_kv), file().values(grad + "x_kv"), gradient_tolerance);
}

void norm_case(const std::string& name, const Json& json) {
  const bool rms = !file().has(name + ".b");
  const NormOptions options{rms ? NormKind::rms : NormKind::layer, json.at("eps")};
  const Tensor x = parameter(name + ".x"), w = parameter(name + ".w"), b = rms ? Tensor{} : parameter(name + ".b");
  Tape tape;
  const Tensor y = norm(x, w, b, options);
  const Gradients gradients = tape.backward(weighted_sum({y}, {f32(name + ".do")}));
  compare("y", y, file().values(name + ".y"), output_tolerance);
  compare("dx", gradients.of(x), file().values(name + ".dx"), gradient_tolerance);
  compare("dw", gradients.of(w), file().values(name + ".dw"), gradient_tolerance);
  if (!rms) compare("db", gradients.of(b), file().values(name + ".db"), gradient_tolerance);
}

void cross_entropy_case(const std::string& name, const Json& json) {
  CrossEntropyOptions options{.label_smoothing = json.at("label_smoothing"), .ignore = json.at("ignore_index")};
  const Tensor logits = parameter(name + ".logits"), targets = file().tensor(name + ".target").to(DType::i32);
  Tape tape;
  Tensor losses;
  const Tensor loss = cross_entropy(logits, targets, options, &losses);
  compare("loss", loss, file().values(name + ".loss"), output_tolerance);
  compare("losses", losses, file().values(name + ".loss_none"), output_tolerance);
  compare("dlogits", tape.backward(loss).of(logits), file().values(name + ".dlogits"), gradient_tolerance);
  options.mean = false;
  compare("sum", cross_entropy(logits, targets, options), file().values(name + ".loss_sum"), output_tolerance);
}

/// What a case of that content is for, or nothing.
using Run = void (*)(const std::string&, const Json&);
Run runner(const std::string& name, const Json& json) {
  if (json.contains("Tq")) return attention_case;
  if (json.contains("label_smoothing")) return cross_entropy_case;
  if (json.contains("eps")) return norm_case;
  if (file().has(name + ".in_proj_weight")) return multi_head_case;
  return nullptr;
}

TEST_CASE("golden: attention, norm and cross-entropy cases") {
  const Json json = read_json("cases.json");
  std::map<std::string, Json> cases;
  for (const std::string& name : file().names()) cases[name.substr(0, name.find('.'))] = Json::object();
  for (const Json& entry : json.at("cases")) cases[entry.at("name")] = entry;
  int count = 0;
  for (const auto& [name, entry] : cases) {
    CAPTURE(name);
    const Run run = runner(name, entry);
    if (run) {
      for_levels([&, name = name, entry = entry] { run(name, entry); });
      ++count;
    } else if (!json.contains(name)) {
      std::cout << "not yet: attention/" << name << "\n";
    }
  }
  CHECK(count >= static_cast<int>(json.at("cases").size()));
  const std::set<std::string> descriptions{"cases", "torch"};
  for (const auto& [name, entry] : json.items())
    if (!descriptions.contains(name)) std::cout << "not yet: attention/" << name << "\n";
}

Values flat(const Json& rows) {
  Values all;
  for (const Json& row : rows)
    if (row.is_array())
      for (double x : row) all.push_back(x);
    else
      all.push_back(row);
  return all;
}
Tensor matrix(const Json& rows) {
  return f32({static_cast<int64_t>(rows.size()), static_cast<int64_t>(rows[0].size())}, flat(rows));
}
/// Row vectors: y = x·W, and a Linear holds Wᵀ.
Tensor transposed(const Json& rows) {
  Json columns = Json::array();
  for (size_t j = 0; j < rows[0].size(); ++j) {
    columns.push_back(Json::array());
    for (const Json& row : rows) columns[j].push_back(row[j]);
  }
  return matrix(columns);
}

// The study notes' x and matrices, once as row vectors (x·W) and once as column vectors (W·x).
void notes(const Json& hand) {
  const Tensor x = f32({1, 3}, flat(hand.at("x")));
  for (const char* letter : {"q", "k", "v"}) {
    const Json& w = hand.at(std::string("W") + letter);
    compare(letter, linear(x, transposed(w)), flat(hand.at(std::string(letter) + "_row")), 0);  // whole numbers: exact
    compare(letter, linear(x, matrix(w)), flat(hand.at(std::string(letter) + "_col")), 0);
  }
  const Tensor q = linear(x, transposed(hand.at("Wq"))), k = linear(x, transposed(hand.at("Wk")));
  CHECK(linear(q, k).item() == hand.at("q_dot_k_row").get<double>());
  const Tensor offsets = even_offsets(1, 1);
  const AttentionResult result = attention(q, k, k, offsets, offsets, {});  // of one score the log-sum-exp is the score
  CHECK(result.lse.item() == doctest::Approx(hand.at("score_row").get<double>()).epsilon(output_tolerance));
}

void sequence(const Json& seq) {
  const Tensor x = matrix(seq.at("X")), offsets = even_offsets(1, x.size(0));
  const Tensor q = linear(x, transposed(seq.at("Wq"))), k = linear(x, transposed(seq.at("Wk"))),
               v = linear(x, transposed(seq.at("Wv")));
  compare("q", q, flat(seq.at("q")), output_tolerance);
  compare("k", k, flat(seq.at("k")), output_tolerance);
  compare("v", v, flat(seq.at("v")), output_tolerance);
  Values scores = values_of(linear(q, k));
  for (double& score : scores) score /= std::sqrt(3.0);
  CHECK(difference(scores, flat(seq.at("scores")), output_tolerance) <= 1);
  for (bool causal : {false, true}) {
    const AttentionOptions options{.causal = causal};
    const AttentionResult result = attention(q, k, v, offsets, offsets, options);
    compare("out", result.out, flat(seq.at(causal ? "causal_out" : "out")), output_tolerance);
    compare("probs", attention_weights(q, k, result.lse, offsets, offsets, options, 0),
            flat(seq.at(causal ? "causal_probs" : "probs")), output_tolerance);
  }
}

// Softmax where exp alone would overflow: as the kernel, as attention over one-hot values, as cross-entropy.
void softmax(const Json& extremes) {
  for (const Json& entry : extremes) {
    CAPTURE(entry.dump());
    const Values x = flat(entry.at("x")), p = flat(entry.at("p")), log_p = flat(entry.at("logp"));
    const int64_t size = static_cast<int64_t>(x.size());
    const Tensor scores = f32({1, size}, x);
    for (bool log : {false, true}) {
      Tensor y({1, size});
      ops::run(Device::cpu, &kernels::KernelTable::softmax,
               kernels::Softmax{1, size, scores.data<float>(), size, y.data<float>(), size, log});
      compare(log ? "log softmax" : "softmax", y, log ? log_p : p, output_tolerance);
    }
    Tensor one_hot = Tensor::zeros({size, size});
    for (int64_t i = 0; i < size; ++i) one_hot.data<float>()[i * size + i] = 1;
    const AttentionResult result = attention(Tensor::full({1, 1}, 1), scores.view({size, 1}), one_hot,
                                             even_offsets(1, 1), even_offsets(1, size), {.scale = 1});
    compare("attention", result.out, p, output_tolerance);
    compare("log-sum-exp", result.lse, {entry.at("lse").get<double>()}, output_tolerance);
    for (int32_t target = 0; target < size; ++target) {
      Tensor logits = scores.clone().set_tracked();
      Tape tape;
      const Tensor loss = cross_entropy(logits, Tensor::from({1}, std::vector<int32_t>{target}));
      CHECK(difference({-loss.item()}, {log_p[static_cast<size_t>(target)]}, output_tolerance) <= 1);
      Values gradient = values_of(tape.backward(loss).of(logits));
      gradient[static_cast<size_t>(target)] += 1;
      CHECK(difference(gradient, p, output_tolerance) <= 1);
    }
  }
}

void activations(const Json& table) {
  const std::map<std::string, Activation> names = {
      {"relu", Activation::relu},          {"gelu", Activation::gelu},
      {"gelu_new", Activation::gelu_tanh}, {"gelu_pytorch_tanh", Activation::gelu_tanh},
      {"silu", Activation::silu},          {"quick_gelu", Activation::quick_gelu},
      {"tanh", Activation::tanh},          {"sigmoid", Activation::sigmoid},
      {"relu2", Activation::relu2}};
  for (const auto& [name, entry] : table.items()) {
    CAPTURE(name);
    const auto found = names.find(name);
    if (found == names.end()) {
      std::cout << "not yet: attention/hand.json activations." << name << "\n";
      continue;
    }
    const Values values = flat(entry.at("x")), y = flat(entry.at("y")), dy = flat(entry.at("dy"));
    const int64_t size = static_cast<int64_t>(values.size());
    const Tensor x = f32({size, 1}, values).set_tracked();
    Tape tape;
    const Tensor out = linear(x, Tensor::full({1, 1}, 1), {}, found->second);
    const Gradients gradients = tape.backward(weighted_sum({out}, {Tensor::full({size, 1}, 1)}));
    for (size_t i = 0; i < values.size(); ++i) {  // one by one: the large ones do not excuse the small ones
      CAPTURE(values[i]);
      CHECK(difference({floats(out)[i]}, {y[i]}, output_tolerance) <= 1);
      CHECK(difference({floats(gradients.of(x))[i]}, {dy[i]}, gradient_tolerance) <= 1);
    }
  }
}

TEST_CASE("golden: the study notes by hand") {
  const Json hand = read_json("hand.json");
  const std::map<std::string, void (*)(const Json&)> sections = {
      {"seq", sequence}, {"softmax", softmax}, {"activations", activations}};
  for_levels([&] { notes(hand); });
  for (const auto& [name, section] : hand.items()) {
    const auto found = sections.find(name);
    if (found != sections.end()) {
      CAPTURE(name);
      for_levels([&, &content = section] { found->second(content); });
    } else if (section.is_object()) {
      std::cout << "not yet: attention/hand.json " << name << "\n";
    }
  }
}

TEST_CASE("golden: a wrong value is seen") {
  CHECK(difference({1, 2, 3}, {1, 2, 3}, output_tolerance) == 0);
  CHECK(difference({1, 2, 3.00001}, {1, 2, 3}, output_tolerance) > 1);
  CHECK_FALSE(difference({1, std::nan(""), 3}, {1, 2, 3}, output_tolerance) <= 1);
  CHECK(difference({1, 2}, {1, 2, 3}, output_tolerance) > 1);
  CHECK(difference({-HUGE_VAL}, {0}, output_tolerance) > 1);
}

}  // namespace
}  // namespace attend::testing
