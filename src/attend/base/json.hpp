// JSON (RFC 8259) from files that are not trusted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace attend {

constexpr int max_json_depth = 64;  ///< arrays and objects inside each other

/// Parses one document. Anything that is not valid UTF-8 JSON, or is nested deeper than max_json_depth, throws
/// FormatError "WHERE:LINE:COLUMN: …". Memory is bounded by a small multiple of the bytes.
nlohmann::json parse_json(std::string_view bytes, std::string_view where);

/// parse_json of a file of at most `max_bytes`.
nlohmann::json read_json(const std::filesystem::path& path, int64_t max_bytes = int64_t{64} << 20);

}  // namespace attend
