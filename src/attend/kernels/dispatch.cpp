// Chooses the kernels: the levels that the build has, the CPU supports and ATTEND_ISA allows, laid over each other.
#include <cstdlib>
#include <cstring>

#include "attend/kernels/kernels.hpp"

namespace attend::kernels {

namespace base {
extern const KernelTable table;
}
#if defined(__x86_64__)
namespace avx2 {
extern const KernelTable table;
}
namespace avx2_vnni {
extern const KernelTable table;
}
namespace avx512 {
extern const KernelTable table;
}
namespace avx512_vnni {
extern const KernelTable table;
}
namespace avx512_bf16 {
extern const KernelTable table;
}
#endif

namespace {

constexpr int kLevelCount = sizeof(kLevels) / sizeof(kLevels[0]);
constexpr int kEntryCount = [] {
  int count = 0;
  KernelTable::entries([&](const char*, auto) { ++count; });
  return count;
}();

// A level with all below it that the CPU supports, and where each entry comes from.
struct Laid {
  KernelTable table{};
  const char* origins[kEntryCount] = {};
  bool supported = false;
};

class Levels {
 public:
  Levels() noexcept {
    add(base::table, true);
#if defined(__x86_64__)
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    add(avx2::table, avx2);
    add(avx2_vnni::table, avx2 && __builtin_cpu_supports("avxvnni"));
    add(avx512::table, avx512);
    add(avx512_vnni::table, avx512 && __builtin_cpu_supports("avx512vnni"));
    add(avx512_bf16::table, avx512 && __builtin_cpu_supports("avx512bf16"));
#endif
  }

  const Laid* begin() const noexcept { return laid_; }
  const Laid* end() const noexcept { return laid_ + count_; }

 private:
  const Laid* last_supported() const noexcept {
    for (int i = count_; i-- > 0;)
      if (laid_[i].supported) return &laid_[i];
    return nullptr;
  }

  void add(const KernelTable& table, bool supported) noexcept {
    Laid& laid = laid_[count_];
    if (const Laid* below = last_supported()) laid = *below;
    laid.table.level = table.level;
    laid.supported = supported;
    int i = 0;
    KernelTable::entries([&](const char*, auto entry) {
      if (table.*entry != nullptr) {
        laid.table.*entry = table.*entry;
        laid.origins[i] = table.level;
      }
      ++i;
    });
    ++count_;
  }

  Laid laid_[kLevelCount];
  int count_ = 0;
};

const Levels& levels() noexcept {
  static const Levels all;
  return all;
}

}  // namespace

const KernelTable& cpu_kernels_up_to(const char* limit) noexcept {
  const KernelTable* best = nullptr;
  for (const Laid& laid : levels()) {
    if (laid.supported) best = &laid.table;
    if (limit != nullptr && std::strcmp(limit, laid.table.level) == 0) break;
  }
  return *best;
}

const KernelTable& cpu_kernels() noexcept {
  static const KernelTable& table = cpu_kernels_up_to(std::getenv("ATTEND_ISA"));
  return table;
}

const KernelTable* cpu_kernels(const char* level) noexcept {
  for (const Laid& laid : levels())
    if (std::strcmp(level, laid.table.level) == 0) return laid.supported ? &laid.table : nullptr;
  return nullptr;
}

const char* level_of(const KernelTable& table, const char* name) noexcept {
  const char* level = nullptr;
  for (const Laid& laid : levels()) {
    if (std::strcmp(table.level, laid.table.level) != 0) continue;
    int i = 0;
    KernelTable::entries([&](const char* entry, auto) {
      if (std::strcmp(entry, name) == 0) level = laid.origins[i];
      ++i;
    });
  }
  return level;
}

}  // namespace attend::kernels
