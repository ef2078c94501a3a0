// Every model folder of the golden files whose family this program has: outputs, hidden states, attentions, loss and
// all gradients against transformers (golden/README.md, "Tolerances").
#include "golden.hpp"

#include <attend/inspect/forward.hpp>
#include <attend/io/config.hpp>
#include <attend/models/family.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <iostream>

using namespace attend;
namespace fs = std::filesystem;

namespace {

struct Bound {
  double absolute, relative;
};

// The largest excess over the bound: ≤ 0 if all is well. Only rows that `mask` keeps are compared.
double excess(const Tensor& ours, const Tensor& expected, Bound bound) {
  REQUIRE(ours.elements() == expected.elements());
  double worst = -1;
  const Tensor a = ours.to(DType::f32), b = expected.to(DType::f32);
  for (int64_t i = 0; i < a.elements(); ++i) {
    const double want = b.data<float>()[i], got = a.data<float>()[i];
    const double over = std::abs(got - want) - bound.absolute - bound.relative * std::abs(want);
    worst = std::max(worst, std::isfinite(got) ? over : 1e30);
  }
  return worst;
}

// Sets rows of [B, T, …] (or query rows of [B, H, T, …]) to 0 where the mask is 0.
Tensor masked(const Tensor& tensor, const Tensor& mask, bool per_head) {
  if (!mask.defined()) return tensor;
  Tensor copy = tensor.clone();
  const int64_t batch = mask.size(0), length = mask.size(1), heads = per_head ? tensor.size(1) : 1;
  const int64_t width = tensor.elements() / (batch * heads * length);
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t t = 0; t < length; ++t)
        if (mask.data<int64_t>()[b * length + t] == 0)
          std::fill_n(copy.data<float>() + ((b * heads + h) * length + t) * width, width, 0.0f);
  return copy;
}

Bound bound_of(const std::string& name) {
  if (name.starts_with("grad.")) return {2e-5, 1e-4};
  if (name.find("attentions") != std::string::npos) return {1e-5, 0};
  if (name == "out.loss") return {1e-5, 0};
  return {5e-5, 1e-5};
}

bool known_family(const fs::path& config) {
  const std::string type = Config::read(config).require<std::string>("model_type");
  return std::any_of(families().begin(), families().end(),
                     [&](const Family* family) { return family->model_type == type; });
}

void check_case(const fs::path& weights, const fs::path& expected_file, const char* config_file,
                float label_smoothing) {
  const SafeTensors expected = SafeTensors::open(expected_file);
  Transformer model = load_model(weights, {.trainable = true, .config_file = config_file});
  NamedTensors inputs;
  const std::pair<std::string_view, std::string> renamed[] = {
      {"in.src", "input_ids"}, {"in.src_mask", "attention_mask"}, {"in.tgt_in", "decoder_input_ids"}};
  for (const StoredTensor& entry : expected.entries()) {
    if (!entry.name.starts_with("in.")) continue;
    std::string name = entry.name;
    for (const auto& [theirs, ours] : renamed)
      if (name == theirs) name = ours;
    inputs.emplace_back(name, expected.tensor(entry.name));
  }
  auto input = [&](const char* name) {
    for (const auto& [key, tensor] : inputs)
      if (key == name || key == std::string("in.") + name) return tensor;
    return Tensor{};
  };
  const NamedTensors out = forward(
      model, inputs, {.hidden = true, .attentions = true, .gradients = true, .label_smoothing = label_smoothing});
  std::map<std::string, Tensor> ours(out.begin(), out.end());
  if (ours.contains("out.encoder_last_hidden_state")) ours["out.memory"] = ours["out.encoder_last_hidden_state"];
  ours["out.decoder"] = ours[fmt::format("out.decoder_hidden_states.{}", model.config().decoder.layers)];
  int compared = 0;
  for (const StoredTensor& entry : expected.entries()) {
    const std::string& name = entry.name;
    if (name.starts_with("in.") || name == "out.greedy") continue;  // greedy: tests/generate
    CAPTURE(name);
    REQUIRE(ours.contains(name));
    Tensor want = expected.tensor(name);
    if (name.starts_with("out.") && name != "out.loss") {
      const bool source = name.find("encoder") == 4 || name == "out.memory";
      want = masked(want, input(source ? "attention_mask" : "decoder_attention_mask"),
                    name.find("attentions") != std::string::npos);
    }
    CHECK(excess(ours[name], want, bound_of(name)) <= 0);
    ++compared;
  }
  CHECK(compared > 5);
}

}  // namespace

TEST_CASE("golden models: outputs, hidden states, attentions, loss, gradients") {
  const fs::path root = testing::golden_folder() / "models";
  int cases = 0;
  for (const auto& folder : fs::directory_iterator(root)) {
    if (!folder.is_directory()) continue;
    if (!known_family(folder.path() / "config.json")) {
      std::cout << "not yet: models/" << folder.path().filename().string() << "\n";
      continue;
    }
    for (const char* config : {"config.json", "config_v4.json"}) {
      if (!fs::exists(folder.path() / config)) continue;
      CAPTURE(folder.path());
      CAPTURE(config);
      check_case(folder.path(), folder.path() / "expected.safetensors", config, 0);
      ++cases;
    }
  }
  CHECK(cases >= 2);
}

TEST_CASE("golden train: forward and gradients of the vanilla models") {
  int cases = 0;
  for (const auto& folder : fs::directory_iterator(testing::golden_folder() / "train")) {
    if (!fs::exists(folder.path() / "expected.safetensors")) continue;
    CAPTURE(folder.path());
    check_case(folder.path(), folder.path() / "expected.safetensors", "config.json", 0.1f);
    ++cases;
  }
  CHECK(cases >= 1);
}

TEST_CASE("golden comparison notices an error") {
  const fs::path file = testing::golden_folder() / "models" / "marian" / "expected.safetensors";
  const Tensor logits = SafeTensors::open(file).tensor("out.logits");
  Tensor wrong = logits.clone();
  wrong.data<float>()[7] += 1e-3f;
  CHECK(excess(wrong, logits, bound_of("out.logits")) > 0);
  CHECK(excess(logits, logits, bound_of("out.logits")) <= 0);
}
