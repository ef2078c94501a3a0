// What operations find around them: threads, kernels, memory, the active tape.
#pragma once

#include <attend/base/thread_pool.hpp>
#include <attend/kernels/kernels.hpp>
#include <attend/tensor/storage.hpp>

#include <memory>
#include <string>

namespace attend {

class Tape;

/// The one thread-local: Context::current() is the innermost ContextScope of this thread, or a default made on first
/// use. Two contexts with other thread counts can live in one process. A context serves one thread at a time.
class Context {
 public:
  struct Options {
    int threads = 0;              ///< including the caller; 0 = one per available core (ATTEND_THREADS overrides)
    std::string instruction_set;  ///< "base", "avx2", "avx512"; empty = the best one (ATTEND_ISA)
  };

  Context() : Context(Options{}) {}
  explicit Context(const Options& options);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  static Context& current();

  ThreadPool& pool() noexcept { return pool_; }
  const kernels::KernelTable& kernels() const noexcept { return *kernel_context_.table; }
  kernels::KernelContext& kernel_context() noexcept { return kernel_context_; }
  const std::shared_ptr<Allocator>& allocator(Device device = Device::cpu);
  Tape* tape() const noexcept { return tape_; }

 private:
  friend class ContextScope;
  friend class Tape;
  friend class NoTape;
  ThreadPool pool_;
  kernels::Scratch scratch_;
  kernels::KernelContext kernel_context_;
  std::shared_ptr<Allocator> allocator_;
  std::shared_ptr<Allocator> fake_allocator_;
  Tape* tape_ = nullptr;
};

/// Makes a context current for the enclosing block, on this thread.
class ContextScope {
 public:
  explicit ContextScope(Context& context);
  ~ContextScope();
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;

 private:
  Context* previous_;
};

}  // namespace attend
