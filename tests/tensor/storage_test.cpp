// The allocator: blocks are recycled, never early, and outlive whoever made them.
#include <attend/base/error.hpp>
#include <attend/tensor/context.hpp>
#include <attend/tensor/tape.hpp>
#include <attend/tensor/tensor.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <optional>
#include <thread>

namespace attend {
namespace {

// A small operation, because ops/ stands above this room: y = scale·x.
Tensor scaled(const Tensor& x, float scale) {
  auto apply = [scale](const Tensor& from) {
    Tensor to(from.shape());
    Context& context = Context::current();
    context.kernels().axpby(context.kernel_context(),
                            {from.elements(), scale, from.data<float>(), 0, to.data<float>()});
    return to;
  };
  Tensor y = apply(x);
  if (Tape::recording({&x}))
    Tape::record({&y}, [=, id = y.id()](Backward& backward) { backward.add(x, apply(backward.gradient(id))); });
  return y;
}

TEST_CASE("a block is reused when its last handle is gone, not before") {
  Context context({.threads = 1});
  ContextScope scope(context);
  const auto& allocator = context.allocator();
  std::optional<Tensor> first(Tensor::full({100}, 1));
  const void* memory = first->memory();
  std::optional<Tensor> view(first->rows(50, 100));
  CHECK_FALSE(first->storage().unique());
  first.reset();
  CHECK(view->storage().unique());
  const Tensor second({100});
  CHECK(second.memory() != memory);  // the view still lives there
  CHECK(view->data<float>()[0] == 1);
  CHECK(allocator->statistics().system_allocations == 2);
  view.reset();
  const Tensor third({100});
  CHECK(third.memory() == memory);
  CHECK(allocator->statistics().system_allocations == 2);
}

TEST_CASE("statistics") {
  const auto allocator = std::make_shared<Allocator>();
  {
    const Storage a(allocator, 1000), b(allocator, 1000);
    const auto now = allocator->statistics();
    CHECK(now.system_allocations == 2);
    CHECK(now.bytes_used >= 2000);
    CHECK(now.bytes_used <= 2 * 1250);  // at most a quarter on top
    CHECK(now.bytes_reserved == now.bytes_used);
  }
  auto now = allocator->statistics();
  CHECK(now.bytes_used == 0);
  CHECK(now.peak_bytes_used >= 2000);
  CHECK(now.bytes_reserved == now.peak_bytes_used);
  allocator->release_unused();
  CHECK(allocator->statistics().bytes_reserved == 0);
  const Storage none(allocator, 0);
  CHECK(none.data() != nullptr);
}

TEST_CASE("size classes waste at most a quarter and hold what was asked for") {
  const auto allocator = std::make_shared<Allocator>();
  for (size_t bytes = 1; bytes < 300000; bytes += 1 + bytes / 7) {
    CAPTURE(bytes);
    const int64_t before = allocator->statistics().bytes_used;
    const Storage storage(allocator, bytes);
    std::memset(storage.data(), 0xff, bytes);
    const int64_t capacity = allocator->statistics().bytes_used - before;
    CHECK(capacity >= static_cast<int64_t>(bytes));
    CHECK(capacity % 64 == 0);
    CHECK(capacity <= static_cast<int64_t>(bytes + std::max<size_t>(64, bytes / 4)));
  }
}

// Sanitizers stop the program at such sizes.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("more memory than there is gives an error, and the allocator goes on") {
  const auto allocator = std::make_shared<Allocator>();
  CHECK_THROWS_AS(Storage(allocator, size_t{1} << 60), Error);
  CHECK(allocator->statistics().bytes_used == 0);
  CHECK(Storage(allocator, 64).data() != nullptr);
}
#endif

TEST_CASE("a steady training step takes nothing from the system") {
  Context context({.threads = 2});
  ContextScope scope(context);
  const Tensor w = Tensor::full({3000}, 1).set_tracked();
  auto step = [&] {
    Tape tape;
    Tensor h = w;
    for (int layer = 0; layer < 20; ++layer) h = scaled(h, 0.9f);
    Tensor loss = Tensor::full({}, h.data<float>()[0]);
    Tape::record({&loss}, [=](Backward& backward) { backward.add(h, Tensor::full({3000}, 1)); });
    return tape.backward(loss).of(w).data<float>()[0];
  };
  const float first = step();
  step();
  const int64_t before = context.allocator()->statistics().system_allocations;
  for (int i = 0; i < 20; ++i) CHECK(step() == first);
  CHECK(context.allocator()->statistics().system_allocations == before);
  CHECK(before <= 70);
}

TEST_CASE("values outlive the tape, the context and the thread that made them") {
  std::optional<Tensor> value, gradient;
  std::thread([&] {
    Context context({.threads = 2});
    ContextScope scope(context);
    const Tensor x = Tensor::full({1}, 3).set_tracked();
    Tape tape;
    value = scaled(x, 2);
    gradient = tape.backward(*value).of(x);
  }).join();
  CHECK(value->item() == 6);
  CHECK(gradient->item() == 2);
  const Tensor copy = value->clone();  // in this thread's context
  value.reset();
  CHECK(copy.item() == 6);
}

TEST_CASE("many threads use one allocator") {
  const auto allocator = std::make_shared<Allocator>();
  auto churn = [&](unsigned char mark) {
    for (size_t i = 0; i < 2000; ++i) {
      const size_t bytes = 64 + i * 37 % 4000;
      const Storage storage(allocator, bytes);
      std::memset(storage.data(), mark, bytes);
      const Storage copy = storage;
      if (static_cast<unsigned char>(copy.data()[bytes - 1]) != mark) return false;
    }
    return true;
  };
  bool good[3] = {};
  std::vector<std::thread> threads;
  for (unsigned char t = 0; t < 3; ++t) threads.emplace_back([&, t] { good[t] = churn(t); });
  for (auto& thread : threads) thread.join();
  for (bool each : good) CHECK(each);
  CHECK(allocator->statistics().bytes_used == 0);
}

}  // namespace
}  // namespace attend
