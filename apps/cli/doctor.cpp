// attend doctor: what attend finds on this machine.
#include <attend/io/config.hpp>
#include <attend/io/safetensors.hpp>
#include <attend/kernels/kernels.hpp>
#include <attend/models/family.hpp>
#include <attend/tensor/context.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <ranges>
#include <thread>

#include "commands.hpp"
#include "machine.hpp"
#include "model_folder.hpp"

namespace attend::cli {
namespace {

using Json = nlohmann::ordered_json;

struct DoctorFlags {
  bool json = false;
  static void fields(auto& self, auto&& f) { f("json", self.json, Doc{.en = "one JSON object", .ko = "JSON 한 줄"}); }
};

/// Those that kernels use or will use.
std::vector<std::string> processor_features() {
  std::vector<std::string> features;
#if defined(__x86_64__)
  const std::pair<const char*, bool> known[] = {
      {"avx2", __builtin_cpu_supports("avx2") != 0},
      {"fma", __builtin_cpu_supports("fma") != 0},
      {"f16c", __builtin_cpu_supports("f16c") != 0},
      {"avxvnni", __builtin_cpu_supports("avxvnni") != 0},
      {"avx512f", __builtin_cpu_supports("avx512f") != 0},
      {"avx512bw", __builtin_cpu_supports("avx512bw") != 0},
      {"avx512dq", __builtin_cpu_supports("avx512dq") != 0},
      {"avx512vl", __builtin_cpu_supports("avx512vl") != 0},
      {"avx512vnni", __builtin_cpu_supports("avx512vnni") != 0},
      {"avx512bf16", __builtin_cpu_supports("avx512bf16") != 0},
  };
  for (const auto& [name, here] : known)
    if (here) features.emplace_back(name);
#endif
  return features;
}

/// What a folder holds, without reading its weights; the reason where it cannot be opened.
Json model_at(const std::filesystem::path& folder) {
  Json model{{"folder", folder.string()}};
  try {
    const Config config = Config::read(folder / "config.json");
    model["model_type"] = family_of(config.require<std::string>("model_type"), config.name()).model_type;
    const WeightFiles files = WeightFiles::open(folder);
    int64_t parameters = 0;
    for (const std::string& name : files.names()) {
      int64_t elements = 1;
      for (const uint64_t size : files.find(name)->shape) elements *= static_cast<int64_t>(size);
      parameters += elements;
    }
    model["parameters"] = parameters;
  } catch (const Error& error) {
    model["error"] = error.what();
  }
  return model;
}

/// The entries of the kernel table by the level they come from, the highest level first.
Json kernel_entries(const kernels::KernelTable& table) {
  Json entries = Json::object();
  for (const char* level : std::views::reverse(kernels::kLevels))
    kernels::KernelTable::entries([&](const char* name, auto) {
      if (std::string_view(kernels::level_of(table, name)) == level) entries[level].push_back(name);
    });
  return entries;
}

void run(DoctorFlags& flags, Call& call) {
  Context& context = Context::current();
  std::vector<std::string> levels;
  for (const char* level : kernels::kLevels)
    if (kernels::cpu_kernels(level)) levels.emplace_back(level);
  const kernels::MachineLimits limits = kernels::measure_limits(context.kernels(), context.pool());
  Json models = Json::array();
  for (const auto& folder : models_found()) models.push_back(model_at(folder));
  Json places = Json::array();
  for (const auto& place : model_places()) places.push_back(place.string());
  const Json report{{"version", ATTEND_VERSION},
                    {"processor", processor_name()},
                    {"features", processor_features()},
                    {"kernels", context.kernels().level},
                    {"kernel_levels", levels},
                    {"kernel_entries", kernel_entries(context.kernels())},
                    {"threads", context.pool().threads()},
                    {"cores", std::thread::hardware_concurrency()},
                    {"limits", limits_json(limits)},
                    {"models", models},
                    {"model_places", places}};
  if (flags.json) return call.out.line(report.dump());

  call.out.line(fmt::format("attend     {}", ATTEND_VERSION));
  call.out.line(fmt::format("processor  {}", processor_name()));
  call.out.line(fmt::format("features   {}", fmt::join(processor_features(), " ")));
  const char* mask = std::getenv("ATTEND_ISA");
  call.out.line(fmt::format("kernels    {}, of {}{}", context.kernels().level, fmt::join(levels, " "),
                            mask ? fmt::format(" (ATTEND_ISA={})", mask) : ""));
  for (const auto& [level, names] : report["kernel_entries"].items())
    call.out.line(fmt::format("           {}: {}", level, fmt::join(names.get<std::vector<std::string>>(), " ")));
  call.out.line(
      fmt::format("threads    {}, of {} cores", context.pool().threads(), std::thread::hardware_concurrency()));
  call.out.line(limits_line(limits));
  const char* label = "models     ";
  for (const Json& model : models) {
    const std::string folder = model["folder"];
    call.out.line(label + (model.contains("error") ? fmt::format("{}: {}", folder, model["error"].get<std::string>())
                                                   : fmt::format("{}: {}, {:.1f} M parameters", folder,
                                                                 model["model_type"].get<std::string>(),
                                                                 model["parameters"].get<double>() / 1e6)));
    label = "           ";
  }
  if (models.empty()) {
    call.out.line("models     none in:");
    for (const auto& place : model_places()) call.out.line("           " + place.string());
  }
}

}  // namespace

Command doctor_command() {
  return make_command<DoctorFlags>("doctor", "",
                                   {"Show what attend finds here: processor, kernels, threads, its limits, models.",
                                    "이 컴퓨터에서 찾은 것을 보여 줍니다: 프로세서, 커널, 스레드, 성능 한계, 모델."},
                                   "attend doctor", run);
}

}  // namespace attend::cli
