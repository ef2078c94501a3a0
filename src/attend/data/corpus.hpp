// A file of sentence pairs as token ids on disk: encoded once, memory-mapped, whatever its size.
#pragma once

#include <attend/base/memory_map.hpp>
#include <attend/data/pairs.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace attend {

/// What a corpus asks of a tokenizer.
struct TextEncoder {
  /// Appends the ids of a text, without special tokens. Called from several threads at once.
  std::function<void(std::string_view text, std::vector<int32_t>& ids)> encode;
  /// Tells one tokenizer from another: a hash of tokenizer.json, for example.
  std::string fingerprint;
  int32_t vocab_size = 0;
};

struct CorpusOptions {
  PairOptions pairs;
  int64_t max_tokens = 256;  ///< pairs with a longer side are left out
  double max_ratio = 0;      ///< pairs whose longer side has more than this many times the tokens of the other; 0 = all
  /// Where encoded files are kept for the next time; empty: in the temporary folder, gone with the process.
  std::filesystem::path cache_folder;
};

/// What became of the lines of a file.
struct CorpusCounts {
  PairCounts lines;
  int64_t too_long = 0;
  int64_t ratio = 0;
  int64_t source_tokens = 0;
  int64_t target_tokens = 0;
  int64_t longest_pair = 0;  ///< tokens of both sides
};

/// The pairs of one file that passed its filters, by number.
class PairCorpus {
 public:
  /// Encodes `path`, or takes the cached result of the same contents, tokenizer and options. Memory stays bounded.
  /// Throws what PairReader throws, FormatError if no pair is left, ConfigError for options that cannot be.
  static PairCorpus open(const std::filesystem::path& path, const TextEncoder& encoder,
                         const CorpusOptions& options = {});

  int64_t size() const noexcept { return size_; }
  int64_t source_length(int64_t pair) const { return record(pair).source; }
  int64_t target_length(int64_t pair) const { return record(pair).target; }
  /// Appends the ids of one side.
  void append_source(int64_t pair, std::vector<int32_t>& ids) const;
  void append_target(int64_t pair, std::vector<int32_t>& ids) const;

  const CorpusCounts& counts() const noexcept { return counts_; }
  /// The same for the same contents, tokenizer and options.
  const std::string& fingerprint() const noexcept { return fingerprint_; }

 private:
  struct Record {
    uint64_t begin;  // of the source's ids; the target's follow
    uint32_t source, target;
  };
  PairCorpus(MemoryMap ids, MemoryMap records) : ids_(std::move(ids)), records_(std::move(records)) {}
  static PairCorpus load(const std::filesystem::path& base, const std::string& fingerprint);
  const Record& record(int64_t pair) const;
  void append(uint64_t begin, uint64_t count, std::vector<int32_t>& ids) const;

  MemoryMap ids_, records_;
  std::string name_;
  std::string fingerprint_;
  CorpusCounts counts_;
  int64_t size_ = 0;
  uint64_t id_bytes_ = 2;
};

}  // namespace attend
