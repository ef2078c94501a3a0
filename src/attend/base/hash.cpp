#include <attend/base/file.hpp>
#include <attend/base/hash.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

namespace attend {
namespace {

constexpr uint64_t prime1 = 0x9e3779b185ebca87, prime2 = 0xc2b2ae3d27d4eb4f, prime3 = 0x165667b19e3779f9,
                   prime4 = 0x85ebca77c2b2ae63, prime5 = 0x27d4eb2f165667c5;

uint64_t round(uint64_t lane, uint64_t input) noexcept { return std::rotl(lane + input * prime2, 31) * prime1; }

template <class T>
T load(const unsigned char* data) noexcept {
  T value;
  std::memcpy(&value, data, sizeof value);
  return value;
}

}  // namespace

Hash64::Hash64(uint64_t seed) noexcept
    : lanes_{seed + prime1 + prime2, seed + prime2, seed, seed - prime1}, seed_(seed) {}

void Hash64::stripe(const unsigned char* data) noexcept {
  for (size_t i = 0; i < 4; ++i) lanes_[i] = round(lanes_[i], load<uint64_t>(data + 8 * i));
}

void Hash64::add(const void* data, size_t size) noexcept {
  const auto* at = static_cast<const unsigned char*>(data);
  total_ += size;
  if (pending_size_ > 0) {
    const size_t fill = std::min(size, pending_.size() - pending_size_);
    std::copy_n(at, fill, pending_.begin() + static_cast<std::ptrdiff_t>(pending_size_));
    pending_size_ += fill;
    at += fill;
    size -= fill;
    if (pending_size_ < pending_.size()) return;
    stripe(pending_.data());
    pending_size_ = 0;
  }
  for (; size >= pending_.size(); at += pending_.size(), size -= pending_.size()) stripe(at);
  std::copy_n(at, size, pending_.begin());
  pending_size_ = size;
}

void Hash64::add(std::string_view text) noexcept {
  const uint64_t size = text.size();
  add(&size, sizeof size);
  add(text.data(), text.size());
}

uint64_t Hash64::value() const noexcept {
  uint64_t hash = seed_ + prime5;
  if (total_ >= pending_.size()) {
    hash = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) + std::rotl(lanes_[3], 18);
    for (uint64_t lane : lanes_) hash = (hash ^ round(0, lane)) * prime1 + prime4;
  }
  hash += total_;
  const unsigned char* at = pending_.data();
  const unsigned char* end = at + pending_size_;
  for (; end - at >= 8; at += 8) hash = std::rotl(hash ^ round(0, load<uint64_t>(at)), 27) * prime1 + prime4;
  if (end - at >= 4) {
    hash = std::rotl(hash ^ load<uint32_t>(at) * prime1, 23) * prime2 + prime3;
    at += 4;
  }
  for (; at < end; ++at) hash = std::rotl(hash ^ *at * prime5, 11) * prime1;
  hash = (hash ^ (hash >> 33)) * prime2;
  hash = (hash ^ (hash >> 29)) * prime3;
  return hash ^ (hash >> 32);
}

std::string Hash64::text() const { return fmt::format("{:016x}", value()); }

FileDigest digest_file(const std::filesystem::path& path) {
  const FileDescriptor file = open_for_reading(path);
  std::vector<char> buffer(1 << 18);
  Hash64 hash;
  FileDigest digest;
  while (const size_t count = read_some(file.value(), buffer.data(), buffer.size(), path)) {
    hash.add(buffer.data(), count);
    digest.bytes += count;
  }
  digest.hash = hash.text();
  return digest;
}

}  // namespace attend
