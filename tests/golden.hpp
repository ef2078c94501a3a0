// Where the golden files are: ATTEND_GOLDEN, else ../shared/golden in full, else the subset kept in tests/golden.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace attend::testing {

inline std::filesystem::path golden_folder() {
  if (const char* folder = std::getenv("ATTEND_GOLDEN"); folder && *folder) return folder;
  if (std::filesystem::exists("../shared/golden")) return "../shared/golden";
  return "tests/golden";
}

}  // namespace attend::testing
