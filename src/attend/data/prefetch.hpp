// Batches made ahead of time on a thread of their own.
#pragma once

#include <attend/data/batches.hpp>

#include <memory>

namespace attend {

/// Hands out the batches of another source in its order. The thread runs at most `depth` batches ahead. What the source
/// throws comes out of next() after the batches before it, and again at each later call. One thread may use it.
class Prefetch : public BatchSource {
 public:
  explicit Prefetch(std::unique_ptr<BatchSource> source, int depth = 4);
  ~Prefetch() override;

  std::optional<PackedBatch> next() override;
  /// Belongs to the last batch handed out, not to those that wait.
  nlohmann::json state() const override;
  void restore(const nlohmann::json& state) override;

 private:
  struct Shared;
  void start();
  void stop();
  std::unique_ptr<Shared> shared_;
};

}  // namespace attend
