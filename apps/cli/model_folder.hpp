// What commands that run a model share: where models are found by name, and the text of a flag.
#pragma once

#include <attend/base/fields.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace attend::cli {

/// Of a flag for the products of a model that runs.
inline constexpr Doc kPrecisionDoc{.en = "of matrix products: f32, bf16 or int8, the fastest and least exact",
                                   .ko = "행렬 곱의 정밀도: f32, bf16, 또는 가장 빠르고 가장 덜 정확한 int8"};

/// Folders that hold models: $ATTEND_HOME/pretrained if ATTEND_HOME is set, and the places beside the running program
/// (a build inside the project, an installation).
std::vector<std::filesystem::path> model_places();

/// A model's folder: `name` itself if it is a path that exists, else that name under the places. Throws ConfigError
/// naming where it looked.
std::filesystem::path find_model(const std::string& name);

/// Folders with a config.json under the places, sorted.
std::vector<std::filesystem::path> models_found();

}  // namespace attend::cli
