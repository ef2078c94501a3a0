#include "attend/base/thread_pool.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace attend {
namespace {

// Long enough to bridge the gap between two kernels, short enough that a neighbour does not feel it.
constexpr int kSpins = 2000;

inline void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

int available_cores() {
#if defined(__linux__)
  for (int cores = 1024; cores <= (1 << 18); cores *= 4) {
    cpu_set_t* set = CPU_ALLOC(cores);
    if (set == nullptr) break;
    const size_t bytes = CPU_ALLOC_SIZE(cores);
    const bool known = sched_getaffinity(0, bytes, set) == 0;
    const int count = known ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (known) return std::max(count, 1);
  }
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

// The gate of the current job: [generation : 31][closed : 1][workers inside : 32]. A worker may read the job only
// while it is counted inside, and the owner leaves run() only after it has closed the gate and nobody is inside, so a
// worker that comes late never sees a job that is gone, and nobody waits for a worker that sleeps.
constexpr uint64_t kClosed = uint64_t{1} << 32;
constexpr uint64_t kInside = kClosed - 1;
constexpr uint64_t generation(uint64_t gate) { return gate >> 33; }

}  // namespace

// A worker's part of the tiles. It starts there, so that it finds in its cache what it wrote there in the job before,
// and goes on in the parts of the others when its own is done.
struct alignas(64) Share {
  std::atomic<int64_t> next{0};
  int64_t end = 0;
};

struct ThreadPool::State {
  alignas(64) std::atomic<uint64_t> gate{kClosed};
  alignas(64) std::atomic<bool> busy{false};
  std::atomic<bool> stop{false};
  std::atomic<int> sleepers{0};

  int64_t grain = 1;
  Task task = nullptr;
  void* context = nullptr;

  std::mutex mutex;
  std::condition_variable wake;
  std::vector<std::thread> workers;
  std::vector<Share> shares;  // one per worker, the owner's first

  void split(int64_t tiles) noexcept {
    const int64_t ranges = (tiles + grain - 1) / grain, count = std::ssize(shares);
    for (int64_t i = 0; i < count; ++i) {
      Share& share = shares[static_cast<size_t>(i)];
      share.next.store(ranges * i / count * grain, std::memory_order_relaxed);
      share.end = std::min(ranges * (i + 1) / count * grain, tiles);
    }
  }

  // Takes ranges until none is left.
  void drain(int worker) noexcept {
    for (size_t i = 0; i < shares.size(); ++i) {
      Share& share = shares[(static_cast<size_t>(worker) + i) % shares.size()];
      for (;;) {
        const int64_t begin = share.next.fetch_add(grain, std::memory_order_relaxed);
        if (begin >= share.end) break;
        task(context, begin, std::min(begin + grain, share.end), worker);
      }
    }
  }

  // Counts the worker in, unless the job is over already; `seen` becomes the generation met either way.
  bool enter(uint64_t& seen) noexcept {
    uint64_t now = gate.load();
    while (!(now & kClosed) && !gate.compare_exchange_weak(now, now + 1)) {
    }
    seen = generation(now);
    return !(now & kClosed);
  }

  void work(int worker) noexcept {
    uint64_t seen = 0;
    for (;;) {
      if (!wait_for_job(seen)) return;
      if (!enter(seen)) continue;
      drain(worker);
      gate.fetch_sub(1);
    }
  }

  // Until the generation differs from `seen`; false when the pool ends.
  bool wait_for_job(uint64_t seen) noexcept {
    for (int i = 0; i < kSpins; ++i) {
      if (stop.load(std::memory_order_relaxed)) return false;
      if (generation(gate.load(std::memory_order_relaxed)) != seen) return true;
      pause();
    }
    std::unique_lock lock(mutex);
    sleepers.fetch_add(1);
    wake.wait(lock, [&] { return stop.load() || generation(gate.load()) != seen; });
    sleepers.fetch_sub(1);
    return !stop.load();
  }

  // The number a nested call runs under: the one of the task that made it.
  int worker_of_caller() const noexcept {
    const auto self = std::this_thread::get_id();
    for (size_t i = 0; i < workers.size(); ++i)
      if (workers[i].get_id() == self) return static_cast<int>(i) + 1;
    return 0;
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()) {
  const int count = threads > 0 ? threads : available_cores();
  state_->workers.reserve(static_cast<size_t>(count - 1));
  state_->shares = std::vector<Share>(static_cast<size_t>(count));
  try {
    for (int i = 1; i < count; ++i) state_->workers.emplace_back([state = state_.get(), i] { state->work(i); });
  } catch (const std::system_error&) {
    // The system grants no more threads: results do not depend on their number, so go on with those there are.
  }
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(state_->mutex);
    state_->stop.store(true);
  }
  state_->wake.notify_all();
  for (std::thread& worker : state_->workers) worker.join();
}

int ThreadPool::threads() const noexcept { return static_cast<int>(state_->workers.size()) + 1; }

void ThreadPool::run(int64_t tiles, int64_t grain, Task task, void* context) noexcept {
  if (tiles <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  State& s = *state_;
  const bool alone = s.workers.empty() || tiles <= grain || s.busy.exchange(true, std::memory_order_acquire);
  if (alone) {
    const int worker = s.worker_of_caller();
    for (int64_t begin = 0; begin < tiles; begin += grain) task(context, begin, std::min(begin + grain, tiles), worker);
    return;
  }
  s.grain = grain;
  s.split(tiles);
  s.task = task;
  s.context = context;
  s.gate.store((generation(s.gate.load()) + 1) << 33);  // opens
  if (s.sleepers.load() > 0) {
    { std::lock_guard lock(s.mutex); }
    s.wake.notify_all();
  }
  s.drain(0);
  s.gate.fetch_or(kClosed);
  for (int spins = 0; (s.gate.load() & kInside) != 0; ++spins) {
    if (spins < kSpins) {
      pause();
    } else {
      std::this_thread::yield();  // somebody took a worker's core in the middle of a tile: let it run
    }
  }
  s.busy.store(false, std::memory_order_release);
}

}  // namespace attend
