// Tokens of words seen lately.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "attend/text/model/model.hpp"

namespace attend {

/// A direct-mapped table of fixed size: a new word takes the place of the old one with its hash. Words of more than 22
/// bytes or 8 tokens are not kept. Not for several threads at once.
class WordCache {
 public:
  WordCache() : slots_(slot_count) {}

  struct Key {
    alignas(8) char bytes[24] = {};  // zero-padded, the last byte is the length
    size_t slot = 0;
  };

  static bool accepts(std::string_view word) noexcept { return word.size() <= max_word; }

  static Key key(std::string_view word) noexcept {
    Key key;
    std::memcpy(key.bytes, word.data(), word.size());
    key.bytes[23] = static_cast<char>(word.size());
    uint64_t parts[3];
    std::memcpy(parts, key.bytes, 24);
    uint64_t hash = parts[0] * 0x9E3779B97F4A7C15u;
    hash = (std::rotl(hash, 29) ^ parts[1]) * 0xBF58476D1CE4E5B9u;
    hash = (std::rotl(hash, 31) ^ parts[2]) * 0x94D049BB133111EBu;
    key.slot = (hash ^ (hash >> 29)) & (slot_count - 1);
    return key;
  }

  /// Appends the tokens of the word and returns true if they are here.
  bool find(const Key& key, ModelTokens& out) const {
    const Slot& slot = slots_[key.slot];
    if (slot.count == 0 || std::memcmp(slot.key, key.bytes, 24) != 0) return false;
    for (int i = 0; i < slot.count; ++i) out.add(slot.ids[i], slot.lengths[i]);
    return true;
  }

  void store(const Key& key, const int32_t* ids, const uint32_t* lengths, size_t count) noexcept {
    if (count == 0 || count > max_tokens) return;
    Slot& slot = slots_[key.slot];
    std::memcpy(slot.key, key.bytes, 24);
    slot.count = static_cast<uint8_t>(count);
    for (size_t i = 0; i < count; ++i) {
      slot.ids[i] = ids[i];
      slot.lengths[i] = static_cast<uint8_t>(lengths[i]);
    }
  }

 private:
  static constexpr size_t slot_count = 1 << 16;
  static constexpr size_t max_word = 22;
  static constexpr size_t max_tokens = 8;

  struct Slot {
    char key[24];
    int32_t ids[max_tokens];
    uint8_t lengths[max_tokens];
    uint8_t count = 0;
  };

  std::vector<Slot> slots_;
};

}  // namespace attend
