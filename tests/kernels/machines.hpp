// Runs one kernel call at every level of this machine with 1, 2 and 3 threads, and random data for it.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "attend/base/thread_pool.hpp"
#include "attend/kernels/kernels.hpp"

namespace attend::kernels::test {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

struct Machine {
  Machine(const KernelTable& table, int threads) : pool(threads), context{&table, &pool, &scratch} {}
  ThreadPool pool;
  Scratch scratch;
  KernelContext context;
};

inline std::vector<const KernelTable*> levels() {
  std::vector<const KernelTable*> list;
  for (const char* name : kLevels)
    if (const KernelTable* table = cpu_kernels(name)) list.push_back(table);
  return list;
}

inline KernelContext& machine(const KernelTable& table, int threads) {
  static std::map<std::pair<std::string, int>, std::unique_ptr<Machine>> made;
  auto& entry = made[{table.level, threads}];
  if (!entry) entry = std::make_unique<Machine>(table, threads);
  return entry->context;
}

inline bool same_bits(const Floats& a, const Floats& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

/// run(context) gives all outputs of one call as one vector; check(outputs) holds them to the reference. Other thread
/// counts must give the same bits.
template <class Run, class Check>
void on_every_level(const Run& run, const Check& check) {
  for (const KernelTable* table : levels()) {
    INFO("level " << std::string(table->level));
    const Floats outputs = run(machine(*table, 1));
    check(outputs);
    for (int threads : {2, 3}) {
      INFO("threads " << threads);
      CHECK(same_bits(run(machine(*table, threads)), outputs));
    }
  }
}

/// Numbers in [-1, 1), the same every time.
inline Floats random_floats(int64_t count, uint64_t seed, float factor = 1) {
  Floats x(static_cast<size_t>(count));
  uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  for (float& value : x) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    value = factor * (static_cast<float>(state >> 40) * 0x1p-23f - 1);
  }
  return x;
}

/// The nearest number that bf16 holds.
inline float in_bf16(float x) {
  uint32_t bits = std::bit_cast<uint32_t>(x);
  bits = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000;
  return std::bit_cast<float>(bits);
}

/// Largest |actual - expected| / (1 + |expected|); infinite where NaN or infinities differ.
template <class A>
double deviation(const A& actual, const Doubles& expected) {
  if (actual.size() != expected.size()) return INFINITY;
  double worst = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double a = static_cast<double>(actual[i]), e = expected[i];
    if (std::isnan(e) ? std::isnan(a) : a == e) continue;
    const double d = std::abs(a - e) / (1 + std::abs(e));
    if (!(d <= worst)) worst = std::isnan(d) ? INFINITY : d;
  }
  return worst;
}

inline Floats joined(std::initializer_list<Floats> parts) {
  Floats all;
  for (const Floats& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

template <class V>
V slice(const V& x, size_t begin, size_t count) {
  return V(x.begin() + static_cast<std::ptrdiff_t>(begin), x.begin() + static_cast<std::ptrdiff_t>(begin + count));
}

}  // namespace attend::kernels::test
