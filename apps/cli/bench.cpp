// attend bench: how fast this machine is, how fast attend trains on it, and where the time goes.
#include <attend/base/error.hpp>
#include <attend/kernels/limits.hpp>
#include <attend/tensor/context.hpp>
#include <attend/tensor/profile.hpp>
#include <attend/train/optimiser.hpp>
#include <attend/train/options.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <optional>

#include "bench_models.hpp"
#include "commands.hpp"
#include "machine.hpp"

namespace attend::cli {
namespace {

using Json = nlohmann::ordered_json;

struct BenchFlags {
  BenchShape train = BenchShape::none;
  BenchSize size;
  Precision dtype = Precision::f32;
  int steps = 3;
  bool profile = false, worker = false, json = false;

  static void fields(auto& self, auto&& f) {
    f("train", self.train, Doc{.en = "measure training steps of a model", .ko = "모델의 학습 단계 속도를 잽니다"});
    BenchSize::fields(self.size, f);
    f("dtype", self.dtype,
      Doc{.en = "of matrix products: f32, or bf16 summed in f32",
          .ko = "행렬 곱의 정밀도: f32, 또는 f32로 더하는 bf16"});
    f("steps", self.steps,
      Doc{.en = "steps that count, after one to warm up",
          .ko = "한 단계 준비한 뒤 잴 단계 수",
          .min = 1,
          .max = 10000});
    f("profile", self.profile, Doc{.en = "time of every operation", .ko = "연산마다 걸린 시간"});
    f("worker", self.worker,
      Doc{.en =
              "print \"ready\", then run the steps for each line of standard input and print [seconds a step, peak MB]",
          .ko = "\"ready\"를 출력한 뒤, 표준 입력 한 줄마다 단계들을 돌리고 [단계당 초, 최대 MB]를 출력"});
    f("json", self.json, Doc{.en = "one JSON object", .ko = "JSON 한 줄"});
  }
};

/// The most memory that was resident since reset_peak_memory(), in MB; 0 where the system does not say.
double peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::strtod(line.c_str() + 6, nullptr) / 1024;
  return 0;
}

void reset_peak_memory() { std::ofstream("/proc/self/clear_refs") << '5'; }

/// A model in training.
class Training {
 public:
  Training(BenchShape shape, const BenchSize& size)
      : model_(make_bench_model(shape, size)),
        optimiser_(model_->parameters(),
                   {.beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f, .weight_decay = 0.01f, .clip = 0}) {}

  const BenchModel& model() const { return *model_; }

  /// Forward, backward, AdamW. Returns the seconds it took.
  double step() {
    const auto start = std::chrono::steady_clock::now();
    {
      Tape tape;
      Pass pass = Pass::training(1, static_cast<uint64_t>(optimiser_.steps()));
      const Tensor loss = model_->loss(pass);
      optimiser_.step(tape.backward(loss), 1e-4);
    }
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

 private:
  std::unique_ptr<BenchModel> model_;
  AdamW optimiser_;
};

template <NamedEnum E>
std::string_view name_in_list(E value) {
  for (const auto& entry : enum_names(value))
    if (entry.value == value) return entry.name;
  return {};
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

void work(Training& training, int steps, Output& out) {
  auto say = [&](const std::string& line) {
    out.line(line);
    out.flush();
  };
  for (int i = 0; i < 2; ++i) training.step();
  say("ready");
  for (std::string line; std::getline(std::cin, line);) {
    reset_peak_memory();
    double seconds = 0;
    for (int i = 0; i < steps; ++i) seconds += training.step();
    say(Json::array({seconds / steps, peak_memory()}).dump());
  }
}

/// How an operation stands to what bounds it: arithmetic or memory.
struct Standing {
  bool arithmetic = false;
  double rate = 0;   // FLOP/s or bytes/s
  double share = 0;  // of the limit
};

/// The most arithmetic and the most traffic a second: the measured limits, for products in one precision.
struct Ceiling {
  double flops, bytes;
};

Standing standing(const Profile::Entry& entry, const Ceiling& ceiling) {
  const double arithmetic = entry.flops / ceiling.flops, reading = entry.bytes / ceiling.bytes;
  const bool by_arithmetic = arithmetic >= reading;
  return {by_arithmetic, (by_arithmetic ? entry.flops : entry.bytes) / entry.seconds,
          std::max(arithmetic, reading) / entry.seconds};
}

std::string shape_text(const Profile::Entry& entry) {
  std::string text;
  for (const int64_t size : entry.shape)
    if (size) text += (text.empty() ? "" : "×") + std::to_string(size);
  return text;
}

Json json_of(const std::vector<Profile::Entry>& entries, const Ceiling& ceiling, int steps, double wall) {
  Json list = Json::array();
  for (const Profile::Entry& entry : entries) {
    const Standing s = standing(entry, ceiling);
    Json row{{"operation", entry.operation}};
    if (entry.shape[0]) row["shape"] = entry.shape;
    row.update({{"calls", static_cast<double>(entry.calls) / steps},
                {"seconds", entry.seconds / steps},
                {"share", entry.seconds / wall},
                {"flops", entry.flops / steps},
                {"bytes", entry.bytes / steps},
                {"bound", s.arithmetic ? "arithmetic" : "memory"},
                {"share_of_limit", s.share}});
    list.push_back(std::move(row));
  }
  return list;
}

std::vector<std::string> table_of(const std::vector<Profile::Entry>& entries, const Ceiling& ceiling, int steps,
                                  double wall) {
  std::vector<std::string> lines;
  for (const Profile::Entry& entry : entries) {
    const Standing s = standing(entry, ceiling);
    lines.push_back(fmt::format("{:<24} {:>16} {:>6} {:>9.2f} {:>6.1f} {:>8.1f} {} {:>5.0f}", entry.operation,
                                shape_text(entry), entry.calls / steps, entry.seconds / steps * 1e3,
                                entry.seconds / wall * 100, s.rate * 1e-9, s.arithmetic ? "GF/s" : "GB/s",
                                s.share * 100));
  }
  return lines;
}

void measure_training(const BenchFlags& flags, Training& training, const kernels::MachineLimits& limits, Call& call) {
  training.step();
  reset_peak_memory();
  Profile profile;
  std::vector<double> seconds;
  double wall = 0;
  {
    std::optional<ProfileScope> scope;
    if (flags.profile) scope.emplace(profile);
    for (int i = 0; i < flags.steps; ++i) wall += seconds.emplace_back(training.step());
  }
  const BenchModel& model = training.model();
  const double step = median(seconds), peak_mb = peak_memory(), rate = model.flops / step;
  const std::string_view name = name_in_list(flags.train), dtype = name_in_list(flags.dtype);
  const Ceiling ceiling{(flags.dtype == Precision::bf16 ? limits.bf16 : limits.f32).all, limits.memory()};

  if (flags.json) {
    Json report{{"shape", name},
                {"dtype", dtype},
                {"parameters", model.parameter_count},
                {"batch", model.size.batch},
                {"length", model.size.length},
                {"layers", model.size.layers},
                {"tokens", model.tokens},
                {"flops", model.flops},
                {"seconds", seconds},
                {"tokens_per_second", static_cast<double>(model.tokens) / step},
                {"flops_per_second", rate},
                {"share_of_peak", rate / ceiling.flops},
                {"peak_mb", peak_mb},
                {"machine", machine_json(limits)}};
    if (flags.profile)
      report["profile"] = {{"operations", json_of(profile.operations(), ceiling, flags.steps, wall)},
                           {"shapes", json_of(profile.entries(), ceiling, flags.steps, wall)},
                           {"outside_seconds", (wall - profile.seconds()) / flags.steps}};
    return call.out.line(report.dump());
  }
  for (const std::string& line : machine_lines(limits)) call.out.line(line);
  call.out.line(fmt::format("model      {}, {}: {:.1f} M parameters, {} tokens a step", name, dtype,
                            static_cast<double>(model.parameter_count) * 1e-6, model.tokens));
  call.out.line(fmt::format("speed      {:.0f} tokens/s: {:.3f} s a step (median of {}; {:.3f} to {:.3f})",
                            static_cast<double>(model.tokens) / step, step, flags.steps,
                            *std::ranges::min_element(seconds), *std::ranges::max_element(seconds)));
  call.out.line(
      fmt::format("arithmetic {:.0f} GF/s, {:.0f} % of the {} peak", rate * 1e-9, rate / ceiling.flops * 100, dtype));
  call.out.line(fmt::format("memory     {:.0f} MB at most", peak_mb));
  if (!flags.profile) return;
  const std::string head = fmt::format("{:<24} {:>16} {:>6} {:>9} {:>6} {:>13} {:>5}", "operation", "shape", "calls",
                                       "ms", "%", "rate", "% max");
  call.out.line("");
  call.out.line("One step by operation (% max: of the peak, or of what memory gives; more than 100 from a cache)");
  call.out.line(head);
  for (const std::string& line : table_of(profile.operations(), ceiling, flags.steps, wall)) call.out.line(line);
  const double outside = wall - profile.seconds();
  call.out.line(fmt::format("{:<24} {:>16} {:>6} {:>9.2f} {:>6.1f}", "outside kernels", "", "",
                            outside / flags.steps * 1e3, outside / wall * 100));
  call.out.line("");
  call.out.line("Products by shape");
  call.out.line(head);
  auto shapes = profile.entries();
  std::erase_if(shapes, [](const Profile::Entry& entry) { return entry.flops == 0; });
  for (const std::string& line : table_of(shapes, ceiling, flags.steps, wall)) call.out.line(line);
}

void run(BenchFlags& flags, Call& call) {
  if (flags.train == BenchShape::none && (flags.profile || flags.worker))
    throw UsageError(fmt::format("{} needs --train MODEL", flags.profile ? "--profile" : "--worker"));
  if (flags.dtype == Precision::int8) throw UsageError("--dtype int8: training is measured in f32 or bf16");
  const ProductPrecision precision(flags.dtype);
  if (flags.worker) {
    Training training(flags.train, flags.size);
    return work(training, flags.steps, call.out);
  }
  Context& context = Context::current();
  const kernels::MachineLimits limits = kernels::measure_limits(context.kernels(), context.pool());
  if (flags.train != BenchShape::none) {
    Training training(flags.train, flags.size);
    return measure_training(flags, training, limits, call);
  }
  if (flags.json) return call.out.line(machine_json(limits).dump());
  for (const std::string& line : machine_lines(limits)) call.out.line(line);
}

}  // namespace

Command bench_command() {
  return make_command<BenchFlags>("bench", "",
                                  {"Measure this machine's limits, training speed and where its time goes.",
                                   "이 컴퓨터의 한계와 학습 속도, 시간이 쓰이는 곳을 잽니다."},
                                  "attend bench --train gpt --profile", run);
}

}  // namespace attend::cli
