#include "attend/text/added_tokens.hpp"

#include <algorithm>

#include "attend/base/unicode.hpp"

namespace attend {
namespace {

uint64_t edge(uint32_t node, char byte) { return uint64_t{node} << 8 | static_cast<unsigned char>(byte); }

bool ends_with_word(std::string_view text) {
  return !text.empty() && is_word(code_point_at(text, previous_code_point(text, text.size())).value);
}

bool starts_with_word(std::string_view text) { return !text.empty() && is_word(code_point_at(text, 0).value); }

size_t white_space_at_start(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const CodePoint c = code_point_at(text, at);
    if (!is_white_space(c.value)) break;
    at += c.length;
  }
  return at;
}

size_t start_of_white_space_at_end(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    const size_t begin = previous_code_point(text, end);
    if (!is_white_space(code_point_at(text, begin).value)) break;
    end = begin;
  }
  return end;
}

}  // namespace

void AddedTokenMatcher::add(const AddedToken& token, std::string_view pattern) {
  if (pattern.empty()) return;
  uint32_t node = 0;
  for (const char byte : pattern) {
    const auto [entry, added] = edges_.try_emplace(edge(node, byte), static_cast<uint32_t>(node_token_.size()));
    if (added) node_token_.push_back(-1);
    node = entry->second;
  }
  if (node_token_[node] >= 0) return;  // the first of two equal patterns wins
  node_token_[node] = static_cast<int32_t>(tokens_.size());
  starts_[static_cast<unsigned char>(pattern[0])] = true;
  tokens_.push_back(token);
}

AddedTokenMatcher::Match AddedTokenMatcher::longest_at(std::string_view text, size_t at) const noexcept {
  Match best;
  uint32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    const auto next = edges_.find(edge(node, text[i]));
    if (next == edges_.end()) break;
    node = next->second;
    if (node_token_[node] >= 0) best = {i + 1 - at, static_cast<size_t>(node_token_[node])};
  }
  return best;
}

void AddedTokenMatcher::split(std::string_view text, const std::function<void(size_t, size_t, int32_t)>& emit) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    if (!starts_[static_cast<unsigned char>(text[at])]) {
      ++at;
      continue;
    }
    const Match match = longest_at(text, at);
    if (match.length == 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[match.token];
    size_t begin = at, end = at + match.length;
    at = end;
    if (token.single_word && (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end)))) continue;
    if (token.lstrip) begin = std::max(start_of_white_space_at_end(text.substr(0, begin)), done);
    if (token.rstrip) end += white_space_at_start(text.substr(end));
    if (begin < done) continue;  // white space that the token before has taken already
    if (done < begin) emit(done, begin, -1);
    emit(begin, end, token.id);
    done = end;
  }
  if (done < text.size()) emit(done, text.size(), -1);
}

}  // namespace attend
