// Memory behind tensors: reference-counted blocks from a recycling allocator.
#pragma once

#include <attend/base/dtype.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace attend {

/// Hands out 64-byte aligned blocks and keeps the returned ones for the next request of the same size class, so that a
/// steady training or decoding step takes nothing from the system. Thread-safe. Storage holds its allocator alive.
class Allocator : public std::enable_shared_from_this<Allocator> {
 public:
  explicit Allocator(Device device = Device::cpu);
  ~Allocator();
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  struct Statistics {
    int64_t system_allocations = 0;  ///< blocks ever asked from the system
    int64_t bytes_reserved = 0;      ///< bytes held from the system now
    int64_t bytes_used = 0;          ///< bytes in living blocks now
    int64_t peak_bytes_used = 0;
  };
  Statistics statistics() const;
  Device device() const noexcept;
  /// Gives all unused blocks back to the system.
  void release_unused();

 private:
  friend class Storage;
  void* take(size_t bytes, size_t* capacity);
  void give(void* data, size_t capacity) noexcept;
  struct State;
  std::unique_ptr<State> state_;
};

/// A shared handle to a block; the block is recycled when its last handle dies, never before.
class Storage {
 public:
  Storage() = default;
  /// A fresh block (contents undefined) of the allocator.
  Storage(std::shared_ptr<Allocator> allocator, size_t bytes);
  /// Memory owned by `keeper` (a mapped file): read-only by convention, freed with the last handle.
  Storage(std::shared_ptr<const void> keeper, const void* data, size_t bytes);

  std::byte* data() const noexcept { return data_; }
  size_t bytes() const noexcept { return bytes_; }
  Device device() const noexcept { return device_; }
  /// True if no other handle shares the block.
  bool unique() const noexcept { return keeper_.use_count() == 1; }

 private:
  std::shared_ptr<const void> keeper_;
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
  Device device_ = Device::cpu;
};

}  // namespace attend
