#include "model_folder.hpp"

#include <attend/base/error.hpp>

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>

namespace attend::cli {

namespace fs = std::filesystem;

std::vector<fs::path> model_places() {
  std::vector<fs::path> places;
  const auto add = [&](const fs::path& path) {
    const fs::path clean = path.lexically_normal();
    if (std::find(places.begin(), places.end(), clean) == places.end()) places.push_back(clean);
  };
  if (const char* home = std::getenv("ATTEND_HOME"); home && *home) add(fs::path(home) / "pretrained");
  std::error_code error;
  if (const fs::path program = fs::read_symlink("/proc/self/exe", error); !error) {
    add(program.parent_path() / "../../pretrained");
    add(program.parent_path() / "../share/attend/pretrained");
  }
  return places;
}

fs::path find_model(const std::string& name) {
  std::error_code error;
  if (fs::exists(name, error)) return name;
  const bool path = name.find('/') != name.npos;
  std::vector<std::string> looked;
  for (const fs::path& place : model_places()) {
    if (path) break;
    if (fs::exists(place / name / "config.json", error)) return place / name;
    looked.push_back(place.string());
  }
  if (path) fail<ConfigError>("no model folder {}", name);
  fail<ConfigError>("no model \"{}\" here or in {}; give its folder with --model", name, fmt::join(looked, ", "));
}

std::vector<fs::path> models_found() {
  std::vector<fs::path> found;
  std::error_code error;
  for (const fs::path& place : model_places())
    for (fs::directory_iterator entry(place, error), end; !error && entry != end; entry.increment(error)) {
      std::error_code ignored;
      if (fs::exists(entry->path() / "config.json", ignored)) found.push_back(entry->path());
    }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace attend::cli
