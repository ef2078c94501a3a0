// Where models are found by name.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace attend::cli {

/// Folders that hold models: $ATTEND_HOME/pretrained if ATTEND_HOME is set, and the places beside the running program
/// (a build inside the project, an installation).
std::vector<std::filesystem::path> model_places();

/// A model's folder: `name` itself if it is a path that exists, else that name under the places. Throws ConfigError
/// naming where it looked.
std::filesystem::path find_model(const std::string& name);

/// Folders with a config.json under the places, sorted.
std::vector<std::filesystem::path> models_found();

}  // namespace attend::cli
