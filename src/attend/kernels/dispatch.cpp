// Chooses the kernel table: the best level that the build has, the CPU supports and ATTEND_ISA allows.
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
namespace avx512 {
extern const KernelTable table;
}
#endif

namespace {

struct Level {
  const KernelTable* table;
  bool supported;
};
constexpr int kMaxLevels = 3;

// Lowest first.
int levels(Level (&out)[kMaxLevels]) noexcept {
  int count = 0;
  out[count++] = {&base::table, true};
#if defined(__x86_64__)
  const bool avx2_usable =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  const bool avx512_usable = avx2_usable && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  out[count++] = {&avx2::table, avx2_usable};
  out[count++] = {&avx512::table, avx512_usable};
#endif
  return count;
}

}  // namespace

const KernelTable& cpu_kernels_up_to(const char* limit) noexcept {
  Level list[kMaxLevels];
  const int count = levels(list);
  int best = 0;
  for (int i = 0; i < count; ++i) {
    if (list[i].supported) best = i;
    if (limit != nullptr && std::strcmp(limit, list[i].table->level) == 0) break;
  }
  return *list[best].table;
}

const KernelTable& cpu_kernels() noexcept {
  static const KernelTable& table = cpu_kernels_up_to(std::getenv("ATTEND_ISA"));
  return table;
}

const KernelTable* cpu_kernels(const char* level) noexcept {
  Level list[kMaxLevels];
  const int count = levels(list);
  for (int i = 0; i < count; ++i)
    if (std::strcmp(level, list[i].table->level) == 0) return list[i].supported ? list[i].table : nullptr;
  return nullptr;
}

}  // namespace attend::kernels
