// Where the time of a computation goes: every kernel call, by operation and shape.
//
//   Profile profile;
//   {
//     ProfileScope scope(profile);
//     train_step();
//   }
//   for (const Profile::Entry& entry : profile.operations()) …
#pragma once

#include <attend/kernels/work.hpp>

#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace attend {

/// Adds up what kernels cost while a ProfileScope carries it. Results do not change: the same kernels run in the same
/// order.
class Profile {
 public:
  struct Entry {
    std::string operation;           ///< "matmul dW", "norm_backward"
    std::array<int64_t, 3> shape{};  ///< m×n×k of a product, rows×width of others; all 0 in operations()
    int64_t calls = 0;
    double seconds = 0;
    double flops = 0;  ///< as kernels::Work counts them
    double bytes = 0;
  };

  void add(const kernels::Work& work, double seconds);
  void clear() { entries_.clear(); }
  /// Of all kernel calls together.
  double seconds() const;
  double flops() const;
  /// By operation and shape, longest first.
  std::vector<Entry> entries() const;
  /// By operation, longest first.
  std::vector<Entry> operations() const;

 private:
  std::map<std::pair<std::string, std::array<int64_t, 3>>, Entry> entries_;
};

/// The current context's kernels are profiled inside this block; scopes nest (the inner one counts).
class ProfileScope {
 public:
  explicit ProfileScope(Profile& profile);
  ~ProfileScope();
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 private:
  Profile* previous_;
};

}  // namespace attend
