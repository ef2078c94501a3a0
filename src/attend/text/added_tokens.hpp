// Tokens that are found in the text before anything else looks at it ("added_tokens" of tokenizer.json).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace attend {

struct AddedToken {
  int32_t id = -1;
  std::string content;
  bool single_word = false;  ///< only where no word character touches it
  bool lstrip = false;       ///< takes the white space before it
  bool rstrip = false;       ///< takes the white space behind it
  bool normalized = false;   ///< is looked for in the normalised text
  bool special = false;      ///< left out by decode(skip_special_tokens)

  bool operator==(const AddedToken&) const = default;
};

/// Finds a set of strings in a text, leftmost and longest.
class AddedTokenMatcher {
 public:
  /// `pattern` is the token's content as it stands in the text that will be searched.
  void add(const AddedToken& token, std::string_view pattern);

  bool empty() const noexcept { return tokens_.empty(); }

  /// Cuts the text into stretches: emit(begin, end, id), id -1 where no token is.
  void split(std::string_view text, const std::function<void(size_t begin, size_t end, int32_t id)>& emit) const;

 private:
  struct Match {
    size_t length = 0;
    size_t token = 0;
  };
  Match longest_at(std::string_view text, size_t at) const noexcept;

  std::vector<AddedToken> tokens_;
  std::array<bool, 256> starts_{};
  std::unordered_map<uint64_t, uint32_t> edges_;  // (node, byte) → node; node 0 is the root
  std::vector<int32_t> node_token_{-1};
};

}  // namespace attend
