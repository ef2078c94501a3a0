// A pool of worker threads that hands out ranges of tiles dynamically.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace attend {

/// Fork/join over tiles. The work is split by its shape only (the caller fixes the tiles), never by the number of
/// threads, so results do not depend on it; which thread runs a tile is decided dynamically, so a neighbour that takes
/// a core costs its share and not more. Waiting threads spin for a bounded time, then sleep.
class ThreadPool {
 public:
  /// One range of tiles: [begin, end), run by `worker` in [0, threads()).
  using Task = void (*)(void* context, int64_t begin, int64_t end, int worker) noexcept;

  /// `threads` includes the calling thread; 0 = one per available core (respects the process's affinity mask).
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const noexcept;

  /// Runs task(context, begin, end, worker) over [0, tiles), at most `grain` tiles a call, and returns when all are
  /// done. The caller works too. Calls from inside a task, or from a second thread, run alone on the calling thread.
  void run(int64_t tiles, int64_t grain, Task task, void* context) noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// parallel_for(pool, rows, 16, [&](int64_t begin, int64_t end, int worker) { … });
template <class F>
void parallel_for(ThreadPool& pool, int64_t tiles, int64_t grain, F&& body) {
  pool.run(
      tiles, grain,
      [](void* f, int64_t begin, int64_t end, int worker) noexcept {
        (*static_cast<std::remove_reference_t<F>*>(f))(begin, end, worker);
      },
      const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace attend
