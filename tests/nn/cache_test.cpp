#include <attend/base/error.hpp>
#include <attend/nn/cache.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

using namespace attend;

namespace {

// The keys of a sequence, read through its pages.
std::vector<float> keys_of(const PagedStore& store, const PagedStore::Sequence& sequence) {
  std::vector<float> keys;
  for (int32_t i = 0; i < sequence.length; ++i) {
    const int64_t row = sequence.pages[static_cast<size_t>(i / PagedStore::page_size)] * PagedStore::page_size +
                        i % PagedStore::page_size;
    keys.push_back(store.keys(0).data<float>()[row]);
  }
  return keys;
}

void append(PagedStore& store, PagedStore::Sequence& sequence, float value) {
  store.extend(sequence, 1);
  const Tensor row = Tensor::full({1, 1}, value);
  store.write(0, sequence, sequence.length - 1, row, row, 0, 1);
}

}  // namespace

TEST_CASE("paged store: forks share the past and part at the first write") {
  PagedStore store(1, 1, 1);
  PagedStore::Sequence a;
  for (int i = 0; i < 40; ++i) append(store, a, static_cast<float>(i));
  PagedStore::Sequence b = store.fork(a), c = store.fork(b);
  CHECK(b.pages == a.pages);
  append(store, b, 100);
  append(store, c, 200);
  append(store, a, 300);
  std::vector<float> past(40);
  for (int i = 0; i < 40; ++i) past[static_cast<size_t>(i)] = static_cast<float>(i);
  for (auto& [sequence, last] : {std::pair{&a, 300.f}, std::pair{&b, 100.f}, std::pair{&c, 200.f}}) {
    std::vector<float> want = past;
    want.push_back(last);
    CHECK(keys_of(store, *sequence) == want);
  }
  CHECK(a.pages[0] == b.pages[0]);  // full pages stay shared
  CHECK(a.pages[2] != b.pages[2]);
  store.release(a);
  store.release(b);
  CHECK(keys_of(store, c).back() == 200);
}

TEST_CASE("paged store: released pages are used again") {
  PagedStore store(2, 3, 5);
  PagedStore::Sequence a, b;
  store.extend(a, 100);
  const std::vector<int32_t> pages = a.pages;
  store.release(a);
  CHECK(a.length == 0);
  store.extend(b, 100);
  CHECK(std::vector<int32_t>(b.pages.rbegin(), b.pages.rend()) == pages);  // last given back, first taken
  PagedStore::Sequence fork = store.fork(b);
  store.release(b);
  store.extend(a, 16);
  for (int32_t page : a.pages) CHECK(std::find(fork.pages.begin(), fork.pages.end(), page) == fork.pages.end());
}

TEST_CASE("cache: slots, lengths, views") {
  Cache cache(1, 4, 4);
  const int first = cache.allocate(), second = cache.allocate();
  CHECK(first != second);
  const std::vector<int> slots{first, second};
  cache.begin(slots, std::vector<int64_t>{20, 3});
  CHECK(cache.length(first) == 20);
  CHECK(cache.length(second) == 3);
  CHECK(cache.self_view().max_pages == 2);
  CHECK(cache.self_view().lengths.values<int32_t>()[1] == 3);
  const int copy = cache.fork(first);
  CHECK(cache.length(copy) == 20);
  cache.free(second);
  CHECK(cache.allocate() == second);
  CHECK(cache.length(second) == 0);
  CHECK_THROWS_AS(cache.begin(slots, std::vector<int64_t>{1}), ShapeError);
}
