#include "machine.hpp"

#include <attend/tensor/context.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <thread>

namespace attend::cli {

using Json = nlohmann::ordered_json;

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (const size_t colon = line.find(": "); line.starts_with("model name") && colon != line.npos)
      return line.substr(colon + 2);
  return "unknown";
}

Json limits_json(const kernels::MachineLimits& limits) {
  auto rate = [](const kernels::MachineLimits::Rate& r) { return Json{{"one_thread", r.one}, {"all_threads", r.all}}; };
  return {{"f32_flops_per_second", rate(limits.f32)},
          {"bf16_flops_per_second", rate(limits.bf16)},
          {"read_bytes_per_second", rate(limits.read)},
          {"update_bytes_per_second", rate(limits.update)}};
}

std::string limits_line(const kernels::MachineLimits& limits) {
  auto rate = [](const kernels::MachineLimits::Rate& r) {
    return fmt::format("{:.0f} ({:.0f})", r.all * 1e-9, r.one * 1e-9);
  };
  return fmt::format("limits     f32 {} GF/s, bf16 {} GF/s, reading {} GB/s, updating {} GB/s: all threads (one)",
                     rate(limits.f32), rate(limits.bf16), rate(limits.read), rate(limits.update));
}

Json machine_json(const kernels::MachineLimits& limits) {
  Context& context = Context::current();
  return {{"processor", processor_name()},
          {"kernels", context.kernels().level},
          {"threads", context.pool().threads()},
          {"limits", limits_json(limits)}};
}

std::vector<std::string> machine_lines(const kernels::MachineLimits& limits) {
  Context& context = Context::current();
  return {fmt::format("processor  {}", processor_name()), fmt::format("kernels    {}", context.kernels().level),
          fmt::format("threads    {}, of {} cores", context.pool().threads(), std::thread::hardware_concurrency()),
          limits_line(limits)};
}

}  // namespace attend::cli
