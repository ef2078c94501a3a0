#include <attend/base/error.hpp>
#include <attend/nn/cache.hpp>
#include <attend/ops/arguments.hpp>

#include <algorithm>

namespace attend {
namespace {

// Rows from `from_row` of one matrix to `to_row` of another, without handles on the way: a step writes many.
void copy_rows(const Tensor& from, int64_t from_row, const Tensor& to, int64_t to_row, int64_t rows) {
  const int64_t width = to.size(1);
  ops::run(to.device(), &kernels::KernelTable::copy,
           kernels::Copy{rows * width * static_cast<int64_t>(sizeof(float)),
                         static_cast<const float*>(from.memory()) + from_row * width,
                         static_cast<float*>(to.memory()) + to_row * width});
}

}  // namespace

PagedStore::PagedStore(int64_t layers, int64_t key_width, int64_t value_width, Device device)
    : key_width_(key_width),
      value_width_(value_width),
      device_(device),
      keys_(static_cast<size_t>(layers)),
      values_(static_cast<size_t>(layers)) {}

int32_t PagedStore::take_page() {
  if (unused_.empty()) {
    const auto old_pages = static_cast<int64_t>(uses_.size()), new_pages = std::max<int64_t>(16, 2 * old_pages);
    auto grow = [&](Tensor& store, int64_t width) {
      Tensor larger({new_pages * page_size, width}, DType::f32, device_);
      if (old_pages) copy_rows(store, 0, larger, 0, store.size(0));
      store = larger;
    };
    for (Tensor& store : keys_) grow(store, key_width_);
    for (Tensor& store : values_) grow(store, value_width_);
    uses_.resize(static_cast<size_t>(new_pages), 0);
    for (int64_t page = new_pages; page-- > old_pages;) unused_.push_back(static_cast<int32_t>(page));
  }
  const int32_t page = unused_.back();
  unused_.pop_back();
  uses_[static_cast<size_t>(page)] = 1;
  return page;
}

void PagedStore::copy_page(int32_t from, int32_t to, int64_t tokens) {
  for (const auto* stores : {&keys_, &values_})
    for (const Tensor& store : *stores) copy_rows(store, from * page_size, store, to * page_size, tokens);
}

void PagedStore::extend(Sequence& sequence, int64_t tokens) {
  if (tokens <= 0) return;
  if (sequence.length % page_size != 0) {  // the last page gets more tokens: it must be ours alone
    int32_t& last = sequence.pages.back();
    if (uses_[static_cast<size_t>(last)] > 1) {
      const int32_t own = take_page();
      copy_page(last, own, sequence.length % page_size);
      --uses_[static_cast<size_t>(last)];
      last = own;
    }
  }
  sequence.length += static_cast<int32_t>(tokens);
  while (static_cast<int64_t>(sequence.pages.size()) * page_size < sequence.length)
    sequence.pages.push_back(take_page());
}

PagedStore::Sequence PagedStore::fork(const Sequence& sequence) {
  for (int32_t page : sequence.pages) ++uses_[static_cast<size_t>(page)];
  return sequence;
}

void PagedStore::release(Sequence& sequence) noexcept {
  for (int32_t page : sequence.pages)
    if (--uses_[static_cast<size_t>(page)] == 0) unused_.push_back(page);
  sequence = {};
}

void PagedStore::write(int64_t layer, const Sequence& sequence, int64_t begin, const Tensor& keys, const Tensor& values,
                       int64_t row, int64_t tokens) {
  ops::device_of("cache", {&keys, &values, &keys_[static_cast<size_t>(layer)]});
  for (int64_t i = 0, count = 0; i < tokens; i += count) {
    const int64_t position = begin + i, place = position % page_size;
    const int64_t to = sequence.pages[static_cast<size_t>(position / page_size)] * page_size + place;
    count = std::min(tokens - i, page_size - place);  // the rows of a page lie together
    copy_rows(keys, row + i, keys_[static_cast<size_t>(layer)], to, count);
    copy_rows(values, row + i, values_[static_cast<size_t>(layer)], to, count);
  }
}

Cache::Cache(int64_t layers, int64_t key_width, int64_t value_width, Device device)
    : device_(device), self_(layers, key_width, value_width, device), source_(layers, key_width, value_width, device) {}

int Cache::allocate() {
  auto found = std::find_if(slots_.begin(), slots_.end(), [](const Slot& slot) { return !slot.used; });
  if (found == slots_.end()) found = slots_.insert(slots_.end(), Slot{});
  found->used = true;
  return static_cast<int>(found - slots_.begin());
}

int Cache::fork(int slot) {
  const int copy = allocate();
  Slot &from = slots_[static_cast<size_t>(slot)], &to = slots_[static_cast<size_t>(copy)];
  to.self = self_.fork(from.self);
  to.source = source_.fork(from.source);
  return copy;
}

void Cache::free(int slot) noexcept {
  Slot& old = slots_[static_cast<size_t>(slot)];
  self_.release(old.self);
  source_.release(old.source);
  old.used = false;
}

int64_t Cache::length(int slot) const { return slots_[static_cast<size_t>(slot)].self.length; }

void Cache::begin(std::span<const int> slots, std::span<const int64_t> counts) {
  if (slots.size() != counts.size()) fail<ShapeError>("cache: {} slots, {} counts", slots.size(), counts.size());
  active_.assign(slots.begin(), slots.end());
  counts_.assign(counts.begin(), counts.end());
  for (size_t i = 0; i < slots.size(); ++i) self_.extend(self_sequence(slots[i]), counts[i]);
  self_view_ = view_of([](const Slot& slot) -> const PagedStore::Sequence& { return slot.self; });
  source_view_ = view_of([](const Slot& slot) -> const PagedStore::Sequence& { return slot.source; });
}

template <class Part>
Cache::View Cache::view_of(Part part) const {
  const auto count = static_cast<int64_t>(active_.size());
  View view{Tensor({count}, DType::i32), {}, 1};
  for (int slot : active_)
    view.max_pages =
        std::max<int64_t>(view.max_pages, static_cast<int64_t>(part(slots_[static_cast<size_t>(slot)]).pages.size()));
  view.pages = Tensor::zeros({count, view.max_pages}, DType::i32);
  for (int64_t i = 0; i < count; ++i) {
    const PagedStore::Sequence& sequence = part(slots_[static_cast<size_t>(active_[static_cast<size_t>(i)])]);
    view.lengths.data<int32_t>()[i] = sequence.length;
    std::copy(sequence.pages.begin(), sequence.pages.end(), view.pages.data<int32_t>() + i * view.max_pages);
  }
  view.lengths = view.lengths.to(device_);
  view.pages = view.pages.to(device_);
  return view;
}

}  // namespace attend
