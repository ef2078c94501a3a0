#include "attend/base/thread_pool.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace attend {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Work that the compiler cannot drop and that takes about the same time everywhere.
double busy_work(int64_t steps) {
  double x = 1;
  for (int64_t i = 0; i < steps; ++i) x = x * 1.0000001 + 1e-9;
  return x;
}

TEST_CASE("every tile runs exactly once, in ranges of at most the grain, by a known worker") {
  for (int threads : {1, 2, 3, 4}) {
    ThreadPool pool(threads);
    CHECK(pool.threads() == threads);
    for (int64_t tiles : {0, 1, 2, 7, 100, 1001})
      for (int64_t grain : {0, 1, 3, 64, 5000}) {
        std::vector<std::atomic<int>> seen(static_cast<size_t>(tiles));
        std::atomic<bool> wrong{false};
        parallel_for(pool, tiles, grain, [&](int64_t begin, int64_t end, int worker) {
          if (begin >= end || end - begin > std::max<int64_t>(grain, 1) || worker < 0 || worker >= threads)
            wrong = true;
          for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
        });
        CHECK(!wrong);
        for (const auto& count : seen) CHECK(count == 1);
      }
  }
}

TEST_CASE("a worker's number belongs to one thread at a time") {
  ThreadPool pool(4);
  std::vector<std::atomic<int>> inside(4);
  std::atomic<bool> wrong{false};
  for (int round = 0; round < 200; ++round)
    parallel_for(pool, 32, 1, [&](int64_t, int64_t, int worker) {
      if (inside[static_cast<size_t>(worker)].fetch_add(1) != 0) wrong = true;
      busy_work(200);
      --inside[static_cast<size_t>(worker)];
    });
  CHECK(!wrong);
}

TEST_CASE("many short jobs, with pauses that let the workers fall asleep") {
  ThreadPool pool(3);
  int64_t total = 0;
  for (int round = 0; round < 3000; ++round) {
    std::atomic<int64_t> sum{0};
    parallel_for(pool, 10, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) sum += i;
    });
    total += sum;
    if (round % 500 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  CHECK(total == 3000 * 45);
}

TEST_CASE("a nested call runs on its own thread under the same number") {
  ThreadPool pool(3);
  std::atomic<int> inner{0};
  std::atomic<bool> wrong{false};
  parallel_for(pool, 12, 1, [&](int64_t, int64_t, int worker) {
    const auto thread = std::this_thread::get_id();
    parallel_for(pool, 20, 2, [&](int64_t begin, int64_t end, int nested) {
      if (nested != worker || std::this_thread::get_id() != thread) wrong = true;
      inner += static_cast<int>(end - begin);
    });
  });
  CHECK(!wrong);
  CHECK(inner == 12 * 20);
}

TEST_CASE("two threads may use one pool") {
  ThreadPool pool(2);
  std::atomic<int64_t> sum{0};
  const auto use = [&] {
    for (int round = 0; round < 500; ++round)
      parallel_for(pool, 50, 1, [&](int64_t begin, int64_t end, int) { sum += end - begin; });
  };
  std::thread other(use);
  use();
  other.join();
  CHECK(sum == 2 * 500 * 50);
}

TEST_CASE("pools start and end, used or not, awake or asleep") {
  for (int round = 0; round < 30; ++round) {
    ThreadPool unused(4);
    ThreadPool pool(3);
    std::atomic<int> ran{0};
    parallel_for(pool, 9, 1, [&](int64_t begin, int64_t end, int) { ran += static_cast<int>(end - begin); });
    if (round % 10 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(3));
    CHECK(ran == 9);
  }
  ThreadPool automatic;
  CHECK(automatic.threads() >= 1);
}

// With a static split each job would wait for the worker that shares its core with a neighbour. Handed out tile by
// tile, the job may take at most what one undisturbed thread needs, with generous room for a noisy machine.
TEST_CASE("busy neighbours cost their share and no more") {
  ThreadPool alone(1), pool(2);
  const auto time_of = [](ThreadPool& p) {
    const auto start = Clock::now();
    for (int job = 0; job < 20; ++job)
      parallel_for(p, 64, 1, [](int64_t, int64_t, int) {
        volatile double sink = busy_work(20000);
        (void)sink;
      });
    return seconds_since(start);
  };
  const double quiet = time_of(alone);
  std::atomic<bool> stop{false};
  std::vector<std::thread> neighbours;
  for (int i = 0; i < pool.threads(); ++i)
    neighbours.emplace_back([&] {
      while (!stop) busy_work(1000);
    });
  const double disturbed = time_of(pool);
  stop = true;
  for (auto& neighbour : neighbours) neighbour.join();
  CHECK(disturbed < 8 * quiet + 0.5);
}

}  // namespace
}  // namespace attend
