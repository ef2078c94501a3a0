// What somebody meant who wrote a name that nothing has.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace attend {

/// Inserting, deleting or replacing a byte, or swapping two neighbours, is one step.
size_t edit_distance(std::string_view a, std::string_view b);

/// "; did you mean "…"?" with the nearest of the candidates, or nothing where none is near.
std::string suggestion(std::string_view wrong, const std::vector<std::string>& candidates);

}  // namespace attend
