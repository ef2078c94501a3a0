// What generation remembers: keys and values of every layer, by sequence slot, in pages.
#pragma once

#include <attend/tensor/tensor.hpp>

#include <cstdint>
#include <span>
#include <vector>

namespace attend {

/// Keys and values of some sequences in pages of `page_size` tokens that sequences may share (copy on write).
/// All layers use one page table: page p of layer l holds the same tokens.
class PagedStore {
 public:
  static constexpr int64_t page_size = 16;

  PagedStore(int64_t layers, int64_t key_width, int64_t value_width, Device device = Device::cpu);

  struct Sequence {
    std::vector<int32_t> pages;
    int32_t length = 0;
  };

  /// Makes room for `tokens` more tokens: own pages from the current length on. Adds them to the length.
  void extend(Sequence& sequence, int64_t tokens);
  /// A second sequence with the same past: shares the pages.
  Sequence fork(const Sequence& sequence);
  void release(Sequence& sequence) noexcept;

  /// Writes row `row + i` of keys and values [rows, width] to position `begin + i` of the sequence in this layer.
  void write(int64_t layer, const Sequence& sequence, int64_t begin, const Tensor& keys, const Tensor& values,
             int64_t row, int64_t tokens);

  const Tensor& keys(int64_t layer) const { return keys_[static_cast<size_t>(layer)]; }
  const Tensor& values(int64_t layer) const { return values_[static_cast<size_t>(layer)]; }
  int64_t key_width() const noexcept { return key_width_; }
  int64_t value_width() const noexcept { return value_width_; }

 private:
  int32_t take_page();
  /// The first `tokens` of a page, in all layers.
  void copy_page(int32_t from, int32_t to, int64_t tokens);

  int64_t key_width_, value_width_;
  Device device_;
  std::vector<Tensor> keys_, values_;  // per layer [pages · page_size, width]
  std::vector<int32_t> uses_;          // per page
  std::vector<int32_t> unused_;
};

/// The state of a decoder: per slot the keys and values of its own tokens and of the source it attends to.
class Cache {
 public:
  Cache(int64_t layers, int64_t key_width, int64_t value_width, Device device = Device::cpu);

  int allocate();
  /// A new slot with the same past and source; costs a list of pages, not a copy of them.
  int fork(int slot);
  void free(int slot) noexcept;
  int64_t length(int slot) const;

  /// The next pass appends `counts[i]` tokens to slots[i] (in this order in the packed batch). Called by the model.
  void begin(std::span<const int> slots, std::span<const int64_t> counts);
  std::span<const int> active() const noexcept { return active_; }
  std::span<const int64_t> counts() const noexcept { return counts_; }

  /// What a kernel needs to read the active slots, on the cache's device: lengths i32 [n] and page table i32 [n,
  /// max_pages].
  struct View {
    Tensor lengths, pages;
    int64_t max_pages;
  };
  const View& self_view() const noexcept { return self_view_; }
  const View& source_view() const noexcept { return source_view_; }

  PagedStore& self() noexcept { return self_; }
  PagedStore& source() noexcept { return source_; }
  PagedStore::Sequence& self_sequence(int slot) { return slots_[static_cast<size_t>(slot)].self; }
  PagedStore::Sequence& source_sequence(int slot) { return slots_[static_cast<size_t>(slot)].source; }

 private:
  struct Slot {
    PagedStore::Sequence self, source;
    bool used = false;
  };
  template <class Part>
  View view_of(Part part) const;

  Device device_;
  PagedStore self_, source_;
  std::vector<Slot> slots_;
  std::vector<int> active_;
  std::vector<int64_t> counts_;
  View self_view_, source_view_;
};

}  // namespace attend
