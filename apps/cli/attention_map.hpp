// Attention weights as a picture of text: rows that look, columns that are looked at.
#pragma once

#include <attend/tensor/tensor.hpp>

#include <string>
#include <vector>

#include "terminal.hpp"

namespace attend::cli {

/// weights f32 [rows, columns] under the columns' labels and beside the rows': coloured blocks, or numbers without
/// colours. Columns that do not fit into `width` go to further blocks below. Lines end with "\n".
std::string attention_map(const Tensor& weights, const std::vector<std::string>& rows,
                          const std::vector<std::string>& columns, Colors colors, int width);

}  // namespace attend::cli
