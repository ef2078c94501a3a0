// Twenty steps of PyTorch's optimisers on fixed batches, step by step (golden/README.md, "train").
#include "golden.hpp"

#include <attend/io/config.hpp>
#include <attend/models/family.hpp>
#include <attend/nn/padded_batch.hpp>
#include <attend/train/optimiser.hpp>
#include <attend/train/schedule.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>

using namespace attend;
namespace fs = std::filesystem;

namespace {

struct Case {
  fs::path folder, weights;
};

Tensor first_of(const SafeTensors& file, const std::string& batch, std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (file.contains(batch + name)) return file.tensor(batch + name);
  return {};
}

// A key's bias adds the same to all scores of a query, so its true gradient is 0: what Adam makes of the rounding
// noise says nothing. The elements [first, second) of these parameters are left out.
std::pair<int64_t, int64_t> noise_only(const std::string& name, int64_t size) {
  if (name.ends_with("k_proj.bias")) return {0, size};
  if (name.ends_with("in_proj_bias")) return {size / 3, 2 * size / 3};
  return {0, 0};
}

// Steps through the trajectory; compares losses and norms, then step1.*, final.*, adam_m.* and adam_v.*.
void follow(const Case& c) {
  const Config setting = Config::read(c.folder / "trajectory.json");
  const SafeTensors file = SafeTensors::open(c.folder / "trajectory.safetensors");
  Transformer model = load_model(c.weights, {.trainable = true});
  const auto betas = setting.require<std::vector<float>>("betas");
  AdamW optimiser(parameters(model), {.beta1 = betas[0],
                                      .beta2 = betas[1],
                                      .epsilon = setting.require<float>("eps"),
                                      .weight_decay = setting.require<float>("weight_decay"),
                                      .clip = setting.value_or("clip", 0.0f)});
  Schedule schedule{.warmup = setting.value_or<int64_t>("warmup_steps", 0),
                    .steps = setting.require<int64_t>("total_steps"),
                    .width = model.config().width};
  const auto kind = setting.require<std::string>("schedule");
  bool known = false;
  for (const auto& entry : enum_names(ScheduleKind{}))
    if (entry.name == kind) schedule.kind = entry.value, known = true;
  REQUIRE(known);
  const double lr = setting.require<double>("lr");
  const auto accumulation = setting.value_or<int64_t>("grad_accumulation", 1),
             count = setting.require<int64_t>("n_batches");
  CrossEntropyOptions options{.label_smoothing = setting.value_or("label_smoothing", 0.0f)};

  auto compare = [&](const std::string& prefix, double worst_allowed, double mean_allowed,
                     const std::function<Tensor(const Parameter&)>& of) {
    for (const auto& [name, tensor] : by_file_name(model, of)) {
      if (!file.contains(prefix + name)) continue;
      const auto [from, to] = noise_only(name, tensor.elements());
      const Tensor want = file.tensor(prefix + name);
      REQUIRE(want.elements() == tensor.elements());
      double worst = 0, mean = 0;
      for (int64_t i = 0; i < want.elements(); ++i) {
        if (i >= from && i < to) continue;
        const double difference = std::abs(want.data<float>()[i] - tensor.data<float>()[i]);
        worst = std::max(worst, difference);
        mean += difference / static_cast<double>(want.elements());
      }
      CAPTURE(prefix + name);
      CHECK(worst <= worst_allowed);
      CHECK(mean <= mean_allowed);
    }
  };
  auto weight = [](const Parameter& parameter) { return *parameter.tensor; };

  const auto log = setting.require<nlohmann::json>("log");
  const double peak = std::max(lr * 0.0316, 1e-3);  // noam: lr is a factor
  for (int64_t step = 0; step < static_cast<int64_t>(log.size()); ++step) {
    CAPTURE(step);
    Gradients gradients;
    double loss = 0;
    for (int64_t a = 0; a < accumulation; ++a) {
      const std::string batch = fmt::format("batch.{}.", (step * accumulation + a) % count);
      const PaddedBatch source(first_of(file, batch, {"input_ids", "src"}),
                               first_of(file, batch, {"attention_mask", "src_mask"}), "source");
      const PaddedBatch target(first_of(file, batch, {"decoder_input_ids", "tgt_in"}),
                               first_of(file, batch, {"decoder_attention_mask"}), "target");
      Pass pass;
      Tape tape;
      const Tensor part = model.loss(pass, {source.ids(), source.sequences()}, {target.ids(), target.sequences()},
                                     target.pack(first_of(file, batch, {"labels"})), options);
      tape.backward(part, gradients, 1.0f / static_cast<float>(accumulation));
      loss += part.item() / static_cast<double>(accumulation);
    }
    const auto& want = log[static_cast<size_t>(step)];
    const double rate = lr * schedule(step);
    CHECK(rate == doctest::Approx(want["lr"].get<double>()).epsilon(1e-6));
    CHECK(std::abs(loss - want["loss"].get<double>()) <= (step < 5 ? 2e-5 : 2e-4));
    const double norm = optimiser.step(gradients, rate);
    CHECK(norm == doctest::Approx(want["grad_norm"].get<double>()).epsilon(1e-3));
    if (step == 0) compare("step1.", 2e-3 * peak / 1e-3, 1e-5, weight);
  }
  compare("final.", 2e-3 * peak / 1e-3, 1e-5 * peak / 1e-3, weight);
  std::map<std::string, Tensor> moments;
  for (const auto& [name, tensor] : optimiser.state()) moments[name] = tensor;
  auto moment = [&](const char* which) {
    return [&, which](const Parameter& parameter) {
      return parameter.tensor->tracked() ? moments.at(which + parameter.name) : Tensor{};
    };
  };
  compare("adam_m.", 1e-4, 1e-5, moment("m."));
  compare("adam_v.", 1e-4, 1e-5, moment("v."));
}

}  // namespace

TEST_CASE("golden train: trajectories of the families there are") {
  int cases = 0;
  for (const auto& folder : fs::directory_iterator(testing::golden_folder() / "train")) {
    if (!fs::exists(folder.path() / "trajectory.json")) continue;
    const fs::path weights = fs::exists(folder.path() / "init") ? folder.path() / "init" : folder.path();
    const auto type = Config::read(weights / "config.json").require<std::string>("model_type");
    const bool known = std::any_of(families().begin(), families().end(),
                                   [&](const Family* family) { return family->model_type == type; });
    if (!known) {
      std::cout << "not yet: train/" << folder.path().filename().string() << "\n";
      continue;
    }
    CAPTURE(folder.path());
    follow({folder.path(), weights});
    ++cases;
  }
  CHECK(cases >= 1);
}
