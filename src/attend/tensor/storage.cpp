#include <attend/base/error.hpp>
#include <attend/kernels/kernels.hpp>
#include <attend/tensor/storage.hpp>

#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>
#include <vector>

namespace attend {
namespace {

constexpr size_t alignment = 64;

// Four classes per power of two: at most 25 % of a block is unused.
size_t size_class(size_t bytes) {
  if (bytes <= 256) return (bytes + alignment - 1) / alignment * alignment + (bytes == 0 ? alignment : 0);
  const size_t step = std::bit_floor(bytes - 1) / 4;
  return (bytes + step - 1) / step * step;
}

}  // namespace

struct Allocator::State {
  Device device;
  mutable std::mutex mutex;
  std::map<size_t, std::vector<void*>> unused;
  Statistics statistics;
};

Allocator::Allocator(Device device) : state_(std::make_unique<State>()) { state_->device = device; }

Allocator::~Allocator() { release_unused(); }

Allocator::Statistics Allocator::statistics() const {
  std::lock_guard lock(state_->mutex);
  return state_->statistics;
}

Device Allocator::device() const noexcept { return state_->device; }

void Allocator::release_unused() {
  std::lock_guard lock(state_->mutex);
  for (auto& [capacity, blocks] : state_->unused) {
    for (void* block : blocks) std::free(block);
    state_->statistics.bytes_reserved -= static_cast<int64_t>(capacity * blocks.size());
  }
  state_->unused.clear();
}

void* Allocator::take(size_t bytes, size_t* capacity) {
  *capacity = size_class(bytes);
  std::lock_guard lock(state_->mutex);
  auto& statistics = state_->statistics;
  void* block = nullptr;
  if (auto found = state_->unused.find(*capacity); found != state_->unused.end() && !found->second.empty()) {
    block = found->second.back();
    found->second.pop_back();
  } else {
    block = std::aligned_alloc(alignment, *capacity);
    if (!block)
      fail<SystemError>("out of memory: {} bytes were asked for, {} are in use", bytes, statistics.bytes_used);
    ++statistics.system_allocations;
    statistics.bytes_reserved += static_cast<int64_t>(*capacity);
    state_->unused[*capacity].reserve(8);
  }
  statistics.bytes_used += static_cast<int64_t>(*capacity);
  statistics.peak_bytes_used = std::max(statistics.peak_bytes_used, statistics.bytes_used);
  return block;
}

void Allocator::give(void* data, size_t capacity) noexcept {
  std::lock_guard lock(state_->mutex);
  state_->statistics.bytes_used -= static_cast<int64_t>(capacity);
  state_->unused[capacity].push_back(data);
}

Storage::Storage(std::shared_ptr<Allocator> allocator, size_t bytes) : bytes_(bytes), device_(allocator->device()) {
  size_t capacity = 0;
  void* block = allocator->take(bytes, &capacity);
  const uintptr_t address = reinterpret_cast<uintptr_t>(block);
  data_ = reinterpret_cast<std::byte*>(device_ == Device::fake ? address + kernels::fake_offset : address);
  keeper_ = std::shared_ptr<const void>(block, [allocator = std::move(allocator), capacity](const void* p) {
    allocator->give(const_cast<void*>(p), capacity);
  });
}

Storage::Storage(std::shared_ptr<const void> keeper, const void* data, size_t bytes)
    : keeper_(std::move(keeper)), data_(static_cast<std::byte*>(const_cast<void*>(data))), bytes_(bytes) {}

}  // namespace attend
