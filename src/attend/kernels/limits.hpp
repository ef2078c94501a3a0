// What the machine can do at most, measured now: what speeds of kernels and training steps are shares of.
#pragma once

#include <attend/base/thread_pool.hpp>
#include <attend/kernels/kernels.hpp>

namespace attend::kernels {

/// FLOP/s and bytes/s, of one thread and of all threads of a pool together.
struct MachineLimits {
  struct Rate {
    double one = 0, all = 0;
  };
  Rate f32;     ///< multiply-adds of f32 in registers (2 FLOPs each)
  Rate bf16;    ///< of bf16 summed in f32; the f32 rate at levels without such an instruction
  Rate read;    ///< reading memory that no cache holds
  Rate update;  ///< reading two arrays and writing one; often more than read, since both directions are busy

  /// The most bytes/s of all threads.
  double memory() const { return read.all > update.all ? read.all : update.all; }
};

/// Takes a good second and 256 MiB. The best of several runs counts: neighbours only ever take away.
MachineLimits measure_limits(const KernelTable& table, ThreadPool& pool);

}  // namespace attend::kernels
