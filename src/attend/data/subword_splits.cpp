#include <attend/base/error.hpp>
#include <attend/data/subword_splits.hpp>
#include <attend/tensor/random.hpp>

namespace attend {

SubwordSplits::SubwordSplits(const Tokenizer& tokenizer, double probability) : probability_(probability) {
  if (!(probability >= 0 && probability <= 1))
    fail<ConfigError>("subword dropout: a probability of {}, not from 0 to 1", probability);
  const std::vector<TokenMerge> merges = tokenizer.merges();
  if (merges.empty()) fail<ConfigError>("subword dropout: the tokenizer has no merges to undo; use a BPE, or 0");
  const auto size = static_cast<size_t>(tokenizer.vocab_size());
  parts_.resize(size);
  std::vector<char> added(size), merged(size);
  for (const AddedToken& token : tokenizer.added_tokens()) added[static_cast<size_t>(token.id)] = true;
  for (const TokenMerge& merge : merges) merged[static_cast<size_t>(merge.merged)] = true;
  // Parts are tokens without merges, or with parts themselves: whatever a file says, no split goes round in a circle.
  const auto usable = [&](int32_t id) {
    return !added[static_cast<size_t>(id)] && (!merged[static_cast<size_t>(id)] || splittable(id));
  };
  for (const auto& [left, right, id] : merges)
    if (!added[static_cast<size_t>(id)] && !splittable(id) && usable(left) && usable(right))
      parts_[static_cast<size_t>(id)] = {left, right};
}

std::vector<int32_t> SubwordSplits::split(std::span<const int32_t> ids, uint64_t key, int64_t most) const {
  std::vector<int32_t> result, open;  // open: parts still to be looked at, the next one last
  result.reserve(ids.size());
  uint64_t decision = 0;
  int64_t length = std::ssize(ids);
  for (const int32_t id : ids) {
    open.push_back(id);
    while (!open.empty()) {
      const int32_t token = open.back();
      open.pop_back();
      if (!splittable(token) || Random::uniform(key, decision++) >= probability_) {
        result.push_back(token);
        continue;
      }
      if (++length > most) return {ids.begin(), ids.end()};
      const Parts parts = parts_[static_cast<size_t>(token)];
      open.push_back(parts.right);
      open.push_back(parts.left);
    }
  }
  return result;
}

}  // namespace attend
