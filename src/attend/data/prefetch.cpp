#include <attend/base/error.hpp>
#include <attend/data/prefetch.hpp>
#include <attend/tensor/context.hpp>

#include <nlohmann/json.hpp>

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

namespace attend {

struct Prefetch::Shared {
  struct Item {
    std::optional<PackedBatch> batch;
    nlohmann::json state;
    std::exception_ptr error;
    bool last() const noexcept { return error || !batch; }
  };

  std::unique_ptr<BatchSource> source;  // the thread's alone while it runs
  size_t depth;
  nlohmann::json state;  // the user's alone

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Item> ready;
  bool stopping = false;
  std::thread thread;

  void run() {
    Context context({.threads = 1, .instruction_set = {}});
    const ContextScope scope(context);
    for (bool more = true; more;) {
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return stopping || ready.size() < depth; });
        if (stopping) return;
      }
      Item item;
      try {
        item.batch = source->next();
        item.state = source->state();
      } catch (...) {
        item.error = std::current_exception();
      }
      more = !item.last();
      const std::lock_guard lock(mutex);
      ready.push_back(std::move(item));
      changed.notify_all();
    }
  }
};

Prefetch::Prefetch(std::unique_ptr<BatchSource> source, int depth) : shared_(std::make_unique<Shared>()) {
  if (depth < 1) fail<ConfigError>("prefetch: a depth of {}, not at least 1", depth);
  shared_->source = std::move(source);
  shared_->depth = static_cast<size_t>(depth);
  shared_->state = shared_->source->state();
  start();
}

Prefetch::~Prefetch() { stop(); }

void Prefetch::start() {
  shared_->stopping = false;
  shared_->thread = std::thread([shared = shared_.get()] { shared->run(); });
}

void Prefetch::stop() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->stopping = true;
    shared_->changed.notify_all();
  }
  if (shared_->thread.joinable()) shared_->thread.join();
  shared_->ready.clear();
}

std::optional<PackedBatch> Prefetch::next() {
  std::unique_lock lock(shared_->mutex);
  shared_->changed.wait(lock, [&] { return !shared_->ready.empty(); });
  Shared::Item& first = shared_->ready.front();
  if (first.error) std::rethrow_exception(first.error);
  shared_->state = first.state;
  if (first.last()) return std::nullopt;  // stays, for later calls
  auto batch = std::move(first.batch);
  shared_->ready.pop_front();
  shared_->changed.notify_all();
  return batch;
}

nlohmann::json Prefetch::state() const { return shared_->state; }

void Prefetch::restore(const nlohmann::json& state) {
  stop();
  try {
    shared_->source->restore(state);
  } catch (...) {
    shared_->source->restore(shared_->state);  // as before
    start();
    throw;
  }
  shared_->state = shared_->source->state();
  start();
}

}  // namespace attend
