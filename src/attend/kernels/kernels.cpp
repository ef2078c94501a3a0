#include "attend/kernels/kernels.hpp"

#include <cstdlib>
#include <exception>

namespace attend::kernels {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

Scratch::~Scratch() {
  for (int i = 0; i < slots_; ++i) std::free(blocks_[i].data);
  std::free(blocks_);
}

void Scratch::reserve(int slots) noexcept {
  if (slots <= slots_) return;
  void* grown = std::realloc(blocks_, static_cast<size_t>(slots) * sizeof(Block));
  if (grown == nullptr) std::terminate();  // a few hundred bytes: nothing could go on
  blocks_ = static_cast<Block*>(grown);
  for (int i = slots_; i < slots; ++i) blocks_[i] = Block{};
  slots_ = slots;
}

void* Scratch::get(int slot, size_t bytes) noexcept {
  Block& block = blocks_[slot];
  if (block.bytes < bytes) {
    std::free(block.data);
    block.bytes = round_up(bytes + bytes / 4, 4096);
    block.data = std::aligned_alloc(kAlignment, block.bytes);
    if (block.data == nullptr) std::terminate();  // kernels ask for a few MB at most
  }
  return block.data;
}

}  // namespace attend::kernels
