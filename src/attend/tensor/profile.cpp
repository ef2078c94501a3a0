#include <attend/tensor/context.hpp>
#include <attend/tensor/profile.hpp>

#include <algorithm>

namespace attend {
namespace {

void count(Profile::Entry& into, const Profile::Entry& more) {
  into.calls += more.calls;
  into.seconds += more.seconds;
  into.flops += more.flops;
  into.bytes += more.bytes;
}

std::vector<Profile::Entry> longest_first(std::vector<Profile::Entry> entries) {
  std::ranges::stable_sort(entries, std::greater{}, &Profile::Entry::seconds);
  return entries;
}

}  // namespace

void Profile::add(const kernels::Work& work, double seconds) {
  Entry& entry = entries_[{work.operation, work.shape}];
  entry.operation = work.operation;
  entry.shape = work.shape;
  count(entry, {{}, {}, 1, seconds, work.flops, work.bytes});
}

double Profile::seconds() const {
  double sum = 0;
  for (const auto& [key, entry] : entries_) sum += entry.seconds;
  return sum;
}

double Profile::flops() const {
  double sum = 0;
  for (const auto& [key, entry] : entries_) sum += entry.flops;
  return sum;
}

std::vector<Profile::Entry> Profile::entries() const {
  std::vector<Entry> all;
  for (const auto& [key, entry] : entries_) all.push_back(entry);
  return longest_first(std::move(all));
}

std::vector<Profile::Entry> Profile::operations() const {
  std::vector<Entry> all;
  for (const auto& [key, entry] : entries_) {  // sorted by operation
    if (all.empty() || all.back().operation != entry.operation) {
      all.emplace_back();
      all.back().operation = entry.operation;
    }
    count(all.back(), entry);
  }
  return longest_first(std::move(all));
}

ProfileScope::ProfileScope(Profile& profile) : previous_(Context::current().profile_) {
  Context::current().profile_ = &profile;
}

ProfileScope::~ProfileScope() { Context::current().profile_ = previous_; }

}  // namespace attend
