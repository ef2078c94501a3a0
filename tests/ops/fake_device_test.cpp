// The fake device proves that operations do not assume host memory (the table runs on it in check()). Here: that it
// proves it, and what happens where host and device meet.
#include "op_case.hpp"

#include <attend/base/error.hpp>
#include <attend/ops/arguments.hpp>
#include <attend/ops/dropout.hpp>

#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace attend::testing {
namespace {

// True if `action` ends the process that runs it.
bool faults(const std::function<void()>& action) {
  const pid_t child = fork();
  if (child == 0) {
    close(STDOUT_FILENO);
    close(STDERR_FILENO);
    for (int number : {SIGSEGV, SIGBUS, SIGABRT}) std::signal(number, SIG_DFL);
    action();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

TEST_CASE("memory of the fake device faults when the host touches it, and host memory in its kernels") {
  Context alone({.threads = 1});
  ContextScope scope(alone);
  const Tensor host = Tensor::full({4}, 2), there = host.to(Device::fake);
  auto* at = static_cast<volatile float*>(there.memory());
  CHECK(faults([&] { (void)at[0]; }));
  CHECK(faults([&] { at[3] = 1; }));
  auto sum = [&](const Tensor& x, const Tensor& y) {
    ops::run(Device::fake, &kernels::KernelTable::axpby,
             kernels::Axpby{4, 1, static_cast<const float*>(x.memory()), 1, static_cast<float*>(y.memory())});
  };
  CHECK(faults([&] { sum(host, there); }));
  CHECK(faults([&] { sum(there, host); }));
  CHECK_FALSE(faults([&] { sum(there, there); }));
  sum(there, there);
  CHECK(floats(there) == std::vector<float>(4, 4));
}

TEST_CASE("inputs of one operation lie together; indices may come from the host") {
  auto there = [](Shape shape) { return Tensor::full(shape, 1).to(Device::fake); };
  auto here = [](Shape shape) { return Tensor::full(shape, 1); };
  const Tensor two = Tensor::from({2}, std::vector<int32_t>{0, 2}), ids = Tensor::from({2}, std::vector<int32_t>{1, 0});
  const char* together = "one input lies on fake, another on cpu; bring them together with to()";
  auto refused = [&](const char* name, const std::function<void()>& call) {
    CHECK_THROWS_WITH_AS(call(), fmt::format("{}: {}", name, together).c_str(), Unsupported);
  };
  refused("linear", [&] { linear(there({2, 3}), here({4, 3})); });
  refused("linear", [&] { linear(there({2, 3}), there({4, 3}), here({4})); });
  refused("norm", [&] { norm(there({2, 3}), here({3}), {}); });
  refused("add", [&] { add(there({2, 3}), here({2, 3})); });
  refused("embedding", [&] { embedding(ids, there({2, 3}), here({4, 3}), ids); });
  refused("attention", [&] { attention(there({2, 3}), here({2, 3}), there({2, 3}), two, two, {}); });
  refused("attention", [&] { attention(there({2, 3}), there({2, 3}), here({2, 3}), two, two, {}); });
  refused("attention", [&] {
    attention(there({2, 3}), there({2, 3}), there({2, 3}), two, two, {.bias = here({1, 1, 2, 2})});
  });
  refused("linear_cross_entropy", [&] { linear_cross_entropy(there({2, 3}), here({4, 3}), {}, ids); });
  CHECK_THROWS_WITH_AS(embedding(ids.to(Device::fake), here({2, 3})), "embedding: ids lie on fake, the rest on cpu",
                       Unsupported);

  const Tensor table = Tensor::from({2, 1}, std::vector<float>{5, 6});
  CHECK(floats(embedding(ids, table.to(Device::fake))) == std::vector<float>{6, 5});
  CHECK_THROWS_AS(embedding(Tensor::from({1}, std::vector<int32_t>{2}), table.to(Device::fake)), ShapeError);
  CHECK_THROWS_AS(attention(there({2, 3}), there({2, 3}), there({2, 3}), ids, two, {}), ShapeError);
}

TEST_CASE("targets on the device are counted by who put them there") {
  const Tensor logits = Tensor::from({2, 2}, std::vector<float>{1, 2, 3, 5}).to(Device::fake);
  const Tensor targets = Tensor::from({2}, std::vector<int32_t>{1, -100});
  const double expected = cross_entropy(logits.to(Device::cpu), targets).item();
  CHECK(cross_entropy(logits, targets).item() == expected);
  const Tensor moved = targets.to(Device::fake);
  CHECK(cross_entropy(logits, moved, {.count = 1}).item() == expected);
  CHECK(cross_entropy(logits, moved, {.mean = false}).item() == expected);
  CHECK_THROWS_WITH_AS(cross_entropy(logits, moved), "cross_entropy: the targets lie on fake; say how many count",
                       ConfigError);
}

TEST_CASE("views, copies, conversions and dropout stay on the device, forward and backward") {
  const Tensor start = Tensor::from({2, 3}, std::vector<float>{1, -2, 3, 0.5f, 0.25f, -1}).set_tracked();
  const std::vector<Tensor (*)(const Tensor&)> ways{
      [](const Tensor& x) {
        return x.rows(1, 2).view({3, 1});
      },
      [](const Tensor& x) { return x.clone(); },
      [](const Tensor& x) { return x.to(DType::bf16).to(DType::f16).to(DType::f32); },
      [](const Tensor& x) { return dropout(x, {.probability = 0.5f, .key = 3}); },
      [](const Tensor& x) {
        return add(x, x.view({6}).rows(0, 6).view({2, 3}));
      },
  };
  for (auto way : ways) {
    std::vector<std::vector<float>> values, gradients;
    for (Device device : {Device::cpu, Device::fake}) {
      const Tensor x = start.to(device).set_tracked();
      Tape tape;
      const Tensor y = way(x);
      CHECK(y.device() == device);
      Tensor weights(y.shape());
      float next = 1;
      for (float& weight : weights.values<float>()) weight = next++;
      const Tensor gradient = tape.backward(weighted_sum({y}, {weights})).of(x);
      CHECK(gradient.device() == device);
      values.push_back(floats(y));
      gradients.push_back(floats(gradient));
    }
    CHECK(values[0] == values[1]);
    CHECK(gradients[0] == gradients[1]);
  }
  Tensor numbers = Tensor::from({2}, std::vector<int64_t>{7, -8}).to(Device::fake);
  CHECK(floats(numbers.to(DType::f32)) == std::vector<float>{7, -8});
  numbers.rows(1, 2).assign(Tensor::from({1}, std::vector<int64_t>{9}));
  CHECK(numbers.rows(1, 2).item() == 9);
  CHECK_THROWS_WITH_AS(numbers.assign(Tensor::full({2}, 1)), "assign: [2] of f32 does not fit [2] of i64", ShapeError);
}

}  // namespace
}  // namespace attend::testing
