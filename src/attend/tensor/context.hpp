// What operations find around them: threads, kernels, memory, the active tape.
#pragma once

#include <attend/base/thread_pool.hpp>
#include <attend/kernels/kernels.hpp>
#include <attend/tensor/precision.hpp>
#include <attend/tensor/profile.hpp>
#include <attend/tensor/storage.hpp>

#include <chrono>
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
    std::string instruction_set;  ///< one of kernels::kLevels; empty = the best one (ATTEND_ISA)
  };

  Context() : Context(Options{}) {}
  explicit Context(const Options& options);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  static Context& current();

  ThreadPool& pool() noexcept { return pool_; }
  const kernels::KernelTable& kernels(Device device = Device::cpu) const noexcept {
    return device == Device::cpu ? *kernel_context_.table : fake_kernels_;
  }
  kernels::KernelContext& kernel_context() noexcept { return kernel_context_; }
  const std::shared_ptr<Allocator>& allocator(Device device = Device::cpu);
  Tape* tape() const noexcept { return tape_; }
  /// Of matrix products: see ProductPrecision.
  Precision precision() const noexcept { return precision_; }
  /// The format in which products without int8 panels take their factors.
  kernels::Format product() const noexcept {
    return precision_ == Precision::bf16 ? kernels::Format::bf16 : kernels::Format::f32;
  }
  Profile* profile() const noexcept { return profile_; }

  /// Runs one kernel: run(device, &kernels::KernelTable::norm, kernels::Norm{…}). All kernels are called through here.
  /// The profile times those of the CPU: a device need not be done when the call returns.
  template <class Args>
  void run(Device device, void (*kernels::KernelTable::*kernel)(kernels::KernelContext&, const Args&) noexcept,
           const Args& args) {
    if (!profile_ || device != Device::cpu) return (kernels(device).*kernel)(kernel_context_, args);
    const auto start = std::chrono::steady_clock::now();
    (kernels(device).*kernel)(kernel_context_, args);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    profile_->add(kernels::work_of(args), elapsed.count());
  }

 private:
  friend class ContextScope;
  friend class ProductPrecision;
  friend class Tape;
  friend class NoTape;
  friend class ProfileScope;
  ThreadPool pool_;
  kernels::Scratch scratch_;
  kernels::KernelContext kernel_context_;
  kernels::KernelTable fake_kernels_;
  std::shared_ptr<Allocator> allocator_;
  std::shared_ptr<Allocator> fake_allocator_;
  Tape* tape_ = nullptr;
  Precision precision_ = Precision::f32;
  Profile* profile_ = nullptr;
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
