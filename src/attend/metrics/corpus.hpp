// What the metrics of translations share: hypotheses beside one or more lists of references.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "attend/base/error.hpp"

namespace attend {

/// The sacreBLEU whose scores and signatures are given.
constexpr std::string_view sacrebleu_version = "2.6.0";

/// Throws ShapeError unless there is something to compare and every list of references is as long as the hypotheses.
inline void require_same_lines(std::string_view operation, std::span<const std::string> hypotheses,
                               std::span<const std::vector<std::string>> references) {
  if (hypotheses.empty()) fail<ShapeError>("{}: no hypotheses", operation);
  if (references.empty()) fail<ShapeError>("{}: no references", operation);
  for (size_t r = 0; r < references.size(); ++r)
    if (references[r].size() != hypotheses.size())
      fail<ShapeError>("{}: {} hypotheses do not fit {} lines of reference {}", operation, hypotheses.size(),
                       references[r].size(), r + 1);
}

/// The references of hypothesis `i`.
inline std::vector<const std::string*> references_of(size_t i, std::span<const std::vector<std::string>> references) {
  std::vector<const std::string*> of_sentence;
  for (const auto& lines : references) of_sentence.push_back(&lines[i]);
  return of_sentence;
}

}  // namespace attend
