// Standard input, answered while it is still being written.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace attend::cli {

/// Calls answer(lines, number of the first) for the lines of standard input, in order, several at a time where they
/// are there already; it never waits for more input while there is something to answer. Lines before a broken one are
/// answered before the error is thrown: FormatError "standard input:LINE: …" for invalid UTF-8 or more than 1 MiB.
void for_input_lines(const std::function<void(std::span<const std::string>, int64_t)>& answer);

}  // namespace attend::cli
