// This machine, as doctor and bench describe it.
#pragma once

#include <attend/kernels/limits.hpp>

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace attend::cli {

std::string processor_name();

/// Processor, kernels, threads and limits (FLOP/s and bytes/s, of one thread and of all).
nlohmann::ordered_json machine_json(const kernels::MachineLimits& limits);
/// The same as lines of text, each with its label.
std::vector<std::string> machine_lines(const kernels::MachineLimits& limits);
/// "limits" alone.
nlohmann::ordered_json limits_json(const kernels::MachineLimits& limits);
std::string limits_line(const kernels::MachineLimits& limits);

}  // namespace attend::cli
