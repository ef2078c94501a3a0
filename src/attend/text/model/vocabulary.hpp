// Tokens and their ids.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace attend {

/// A two-way table. Ids need not be dense, but their holes are bounded, because tables are made as long as the largest
/// id asks for.
class Vocabulary {
 public:
  Vocabulary() = default;
  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;

  void reserve(size_t count);

  /// Adds a token; a token or id that exists already is overwritten. Throws FormatError for an id that is negative or
  /// beyond max_id.
  void add(std::string_view token, int64_t id);

  /// -1 when the token is unknown.
  int32_t find(std::string_view token) const noexcept {
    const auto found = ids_.find(token);
    return found == ids_.end() ? -1 : found->second;
  }

  /// nullptr when no token has this id.
  const std::string* token(int64_t id) const noexcept {
    return id < 0 || id >= static_cast<int64_t>(tokens_.size()) ? nullptr : tokens_[id];
  }

  /// Number of tokens.
  int32_t size() const noexcept { return static_cast<int32_t>(ids_.size()); }
  /// One past the largest id.
  int32_t id_end() const noexcept { return static_cast<int32_t>(tokens_.size()); }

  static constexpr int64_t max_id = (1 << 24) - 1;

 private:
  std::deque<std::string> storage_;
  std::unordered_map<std::string_view, int32_t> ids_;
  std::vector<const std::string*> tokens_;
};

}  // namespace attend
