#include <attend/base/error.hpp>
#include <attend/tensor/context.hpp>
#include <attend/tensor/random.hpp>
#include <attend/tensor/tape.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <thread>

namespace attend {
namespace {

// A product of [rows, 64] with [64, 48], big enough to be split among threads.
std::vector<float> product(uint64_t seed) {
  Tensor a({150, 64}), b({64, 48}), c({150, 48});
  fill_normal(a, Random{seed, 0}.key("a"), 1);
  fill_normal(b, Random{seed, 0}.key("b"), 1);
  kernels::Matmul args{150, 48, 64, a.data<float>(), 64, false, b.data<float>(), 48, false, c.data<float>(), 48};
  Context& context = Context::current();
  context.kernels().matmul(context.kernel_context(), args);
  return {c.values<float>().begin(), c.values<float>().end()};
}

TEST_CASE("a context is current inside its scope, and scopes nest") {
  Context& outer = Context::current();
  CHECK(&Context::current() == &outer);  // the default is made once
  Context one({.threads = 1}), two({.threads = 2});
  {
    ContextScope first(one);
    CHECK(&Context::current() == &one);
    {
      ContextScope second(two);
      CHECK(&Context::current() == &two);
      CHECK(Context::current().pool().threads() == 2);
    }
    CHECK(&Context::current() == &one);
    CHECK(Context::current().pool().threads() == 1);
  }
  CHECK(&Context::current() == &outer);
}

TEST_CASE("contexts with other thread counts, on two threads, give the same bits") {
  const std::vector<float> expected = product(1);
  Context one({.threads = 1}), three({.threads = 3});
  std::vector<float> results[2];
  int counts[2] = {};
  auto work = [&](Context& context, int which) {
    ContextScope scope(context);
    for (int i = 0; i < 20; ++i) results[which] = product(1);
    counts[which] = Context::current().pool().threads();
  };
  std::thread other([&] { work(three, 1); });
  work(one, 0);
  other.join();
  CHECK(counts[0] == 1);
  CHECK(counts[1] == 3);
  for (const auto& result : results) CHECK(std::memcmp(result.data(), expected.data(), expected.size() * 4) == 0);
  CHECK(product(2) != expected);
}

TEST_CASE("every thread has a default context of its own") {
  Context* here = &Context::current();
  Context* there = nullptr;
  std::thread([&] { there = &Context::current(); }).join();
  CHECK(there != here);
}

TEST_CASE("instruction sets by name") {
  Context context({.threads = 1, .instruction_set = "base"});
  CHECK(std::string(context.kernels().level) == "base");
  CHECK_THROWS_WITH_AS(Context({.threads = 1, .instruction_set = "sse9"}),
                       "context: this machine or build has no 'sse9' kernels", Unsupported);
}

TEST_CASE("ATTEND_THREADS") {
  const char* before = std::getenv("ATTEND_THREADS");
  const std::string kept = before ? before : "";
  setenv("ATTEND_THREADS", "3", 1);
  CHECK(Context().pool().threads() == 3);
  CHECK(Context({.threads = 2}).pool().threads() == 2);  // said in the program: that counts
  for (const char* wrong : {"0", "-1", "two", "3x", "99999", "1e2"}) {
    CAPTURE(std::string(wrong));
    setenv("ATTEND_THREADS", wrong, 1);
    CHECK_THROWS_WITH_AS(Context(), fmt::format("ATTEND_THREADS: '{}' is not a number from 1 to 1024", wrong).c_str(),
                         ConfigError);
  }
  setenv("ATTEND_THREADS", "", 1);
  CHECK(Context().pool().threads() >= 1);
  before ? setenv("ATTEND_THREADS", kept.c_str(), 1) : unsetenv("ATTEND_THREADS");
}

// An operation for tapes: y = a + b, elementwise.
Tensor sum(const Tensor& a, const Tensor& b) {
  Tensor y(a.shape());
  for (int64_t i = 0; i < y.elements(); ++i) y.data<float>()[i] = a.data<float>()[i] + b.data<float>()[i];
  if (Tape::recording({&a, &b}))
    Tape::record({&y}, [=, id = y.id()](Backward& backward) {
      backward.add(a, backward.gradient(id));
      backward.add(b, backward.gradient(id));
    });
  return y;
}

TEST_CASE("nothing records without a tape, inside NoTape, or without tracked inputs") {
  const Tensor w = Tensor::full({1}, 2).set_tracked(), x = Tensor::full({1}, 1);
  CHECK_FALSE(sum(w, x).tracked());
  Tape tape;
  CHECK_FALSE(sum(x, x).tracked());
  {
    NoTape pause;
    CHECK(Context::current().tape() == nullptr);
    CHECK_FALSE(sum(w, x).tracked());
    {
      Tape inner;
      CHECK(sum(w, x).tracked());
      CHECK(inner.operations() == 1);
    }
    CHECK(Context::current().tape() == nullptr);
  }
  CHECK(Context::current().tape() == &tape);
  CHECK(tape.operations() == 0);
  CHECK(sum(w, x).tracked());
  CHECK(tape.operations() == 1);
}

TEST_CASE("tapes nest: the inner one records") {
  const Tensor w = Tensor::full({1}, 2).set_tracked();
  Tape outer;
  const Tensor y = sum(w, w);
  {
    Tape inner;
    const Gradients gradients = inner.backward(sum(y, w));
    CHECK(gradients.of(w).item() == 1);
    CHECK(gradients.of(y).item() == 1);  // computed outside: a parameter for the inner tape
  }
  CHECK(outer.operations() == 1);
  CHECK(outer.backward(y).of(w).item() == 2);
}

TEST_CASE("handles that share a gradient do not share its sums") {
  const Tensor a = Tensor::full({2}, 1).set_tracked(), b = Tensor::full({2}, 1).set_tracked();
  Tape tape;
  Tensor s = sum(a, b), t = sum(s, a), u = sum(t, t);
  Tensor loss = Tensor::full({}, 0);
  const Tensor upstream = Tensor::full({2}, 1);
  Tape::record({&loss}, [=](Backward& backward) { backward.add(u, upstream); });
  const Gradients gradients = tape.backward(loss);
  CHECK(gradients.of(a).data<float>()[1] == 4);
  CHECK(gradients.of(b).data<float>()[1] == 2);
  CHECK(upstream.data<float>()[1] == 1);
}

TEST_CASE("a gradient of another size is a mistake of the operation") {
  const Tensor a = Tensor::full({2}, 1).set_tracked();
  Tape tape;
  Tensor loss = Tensor::full({}, 0);
  Tape::record({&loss}, [=](Backward& backward) { backward.add(a, Tensor::full({3}, 1)); });
  CHECK_THROWS_WITH_AS(tape.backward(loss), "backward: gradient [3] of a tensor [2]", ShapeError);
}

TEST_CASE("saved values are freed as soon as they have served") {
  Context context({.threads = 1});
  ContextScope scope(context);
  const Tensor w = Tensor::full({10000}, 1).set_tracked();
  Tape tape;
  Tensor h = w;
  for (int i = 0; i < 10; ++i) h = sum(h, w);
  Tensor loss = Tensor::full({}, 0);
  Tape::record({&loss}, [h](Backward& backward) { backward.add(h, Tensor::full({10000}, 1)); });
  h = {};
  const int64_t before = context.allocator()->statistics().bytes_used;
  const Gradients gradients = tape.backward(loss);
  CHECK(tape.operations() == 0);
  CHECK(context.allocator()->statistics().bytes_used < before - 8 * 40000);
  CHECK(gradients.of(w).data<float>()[9999] == 11);
}

}  // namespace
}  // namespace attend
