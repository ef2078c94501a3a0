#include <attend/base/error.hpp>
#include <attend/io/config.hpp>
#include <attend/io/safetensors.hpp>

#include <algorithm>

namespace attend {
namespace {

// A shard is a plain file name: nothing that leads elsewhere.
bool is_plain_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of(std::string_view("/\\\0", 3)) == name.npos;
}

}  // namespace

WeightFiles WeightFiles::open(const std::filesystem::path& path) {
  WeightFiles files;
  files.name_ = path.string();
  const auto whole = path / "model.safetensors";
  const auto index_path = path / "model.safetensors.index.json";
  const bool folder = std::filesystem::is_directory(path);
  if (!folder || std::filesystem::exists(whole) || !std::filesystem::exists(index_path)) {
    files.shards_.push_back(SafeTensors::open(folder ? whole : path));
    for (const StoredTensor& entry : files.shards_[0].entries()) files.shard_of_.emplace(entry.name, 0);
    return files;
  }

  const Config index = Config::read(index_path);
  const Config map = index.object("weight_map");
  if (map.json().empty()) fail<FormatError>("{}: the weight_map is empty", index.name());
  std::map<std::string, size_t> shard_number;
  for (const auto& [tensor, shard] : map.json().items()) {
    if (!shard.is_string() || !is_plain_name(shard.get_ref<const std::string&>()))
      fail<FormatError>("{}: '{}' should name a file beside the index, not {}", index.name(), tensor, shard.dump());
    const auto [place, fresh] = shard_number.emplace(shard.get<std::string>(), files.shards_.size());
    if (fresh) files.shards_.push_back(SafeTensors::open(path / place->first));
    files.shard_of_.emplace(tensor, place->second);
  }
  std::string missing;
  for (const auto& [tensor, shard] : files.shard_of_)
    if (!files.shards_[shard].contains(tensor))
      missing += (missing.empty() ? "" : ", ") + tensor + " (" +
                 std::filesystem::path(files.shards_[shard].file_name()).filename().string() + ")";
  if (!missing.empty()) fail<FormatError>("{}: not in their shards: {}", index.name(), missing);
  return files;
}

std::vector<std::string> WeightFiles::names() const {
  std::vector<std::string> names;
  names.reserve(shard_of_.size());
  for (const auto& [name, shard] : shard_of_) names.push_back(name);
  return names;
}

const StoredTensor* WeightFiles::find(std::string_view name) const noexcept {
  const auto found = shard_of_.find(name);
  return found == shard_of_.end() ? nullptr : shards_[found->second].find(name);
}

Tensor WeightFiles::tensor(std::string_view name) const {
  const auto found = shard_of_.find(name);
  if (found == shard_of_.end()) fail<FormatError>("{}: there is no tensor '{}'", name_, name);
  return shards_[found->second].tensor(name);
}

}  // namespace attend
