#include <attend/base/error.hpp>
#include <attend/tensor/context.hpp>

#include <cstdlib>

namespace attend {
namespace {

thread_local Context* current_context = nullptr;

int threads_from_environment(int threads) {
  if (threads > 0) return threads;
  const char* text = std::getenv("ATTEND_THREADS");
  if (!text || !*text) return 0;
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (*end || value < 1 || value > 1024) fail<ConfigError>("ATTEND_THREADS: '{}' is not a number from 1 to 1024", text);
  return static_cast<int>(value);
}

}  // namespace

Context::Context(const Options& options)
    : pool_(threads_from_environment(options.threads)), allocator_(std::make_shared<Allocator>()) {
  const kernels::KernelTable* table =
      options.instruction_set.empty() ? &kernels::cpu_kernels() : kernels::cpu_kernels(options.instruction_set.c_str());
  if (!table) fail<Unsupported>("context: this machine or build has no '{}' kernels", options.instruction_set);
  scratch_.reserve(pool_.threads() + 1);  // one per worker, one shared
  kernel_context_ = {table, &pool_, &scratch_};
  fake_kernels_ = kernels::fake_kernels(*table);
}

Context::~Context() = default;

Context& Context::current() {
  if (current_context) return *current_context;
  thread_local Context default_context;
  return default_context;
}

const std::shared_ptr<Allocator>& Context::allocator(Device device) {
  if (device == Device::cpu) return allocator_;
  if (!fake_allocator_) fake_allocator_ = std::make_shared<Allocator>(Device::fake);
  return fake_allocator_;
}

ContextScope::ContextScope(Context& context) : previous_(current_context) { current_context = &context; }

ContextScope::~ContextScope() { current_context = previous_; }

ProductPrecision::ProductPrecision(Precision precision) : previous_(Context::current().precision_) {
  Context::current().precision_ = precision;
}

ProductPrecision::~ProductPrecision() { Context::current().precision_ = previous_; }

}  // namespace attend
