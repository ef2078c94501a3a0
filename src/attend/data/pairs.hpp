// Sentence pairs from TSV or JSON lines, plain or compressed.
#pragma once

#include <attend/base/compression.hpp>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace attend {

enum class PairFormat { automatic, tsv, jsonl };  ///< automatic: by the name (.jsonl, .ndjson, before .gz .xz .zst)
enum class OnBad { error, skip };

struct PairOptions {
  PairFormat format = PairFormat::automatic;
  /// TSV: the number of a column (from "1"), or its name in the header line. JSON lines: a key, or a path of keys such
  /// as "translation.en".
  std::string source = "1";
  std::string target = "2";
  /// TSV: the first line is a header even though columns are given by number.
  bool header = false;
  /// Not empty: only lines that contain one of these texts count, for files that name the origin of each line.
  std::vector<std::string> only;
  /// What to do with a line that has another number of columns than the first one, is not valid UTF-8, not the JSON
  /// asked for, or longer than `max_line_bytes`. Lines beyond 64 MiB are always an error.
  OnBad on_bad = OnBad::error;
  int64_t max_line_bytes = int64_t{1} << 20;
};

struct PairCounts {
  int64_t pairs = 0;      ///< given out
  int64_t empty = 0;      ///< skipped: a side without a visible character
  int64_t others = 0;     ///< skipped: see PairOptions::only
  int64_t bad = 0;        ///< skipped: see OnBad
  std::string first_bad;  ///< "FILE:LINE: …" of the first of them
};

/// Reads one pair after the other; memory is bounded by the longest allowed line.
class PairReader {
 public:
  struct Pair {
    std::string_view source, target;  ///< valid until the next call
  };

  /// Throws SystemError for an unreadable file and ConfigError for columns that cannot be.
  explicit PairReader(const std::filesystem::path& path, PairOptions options = {});
  /// From a stream; `format` automatic goes by the stream's name.
  explicit PairReader(InputStream stream, PairOptions options = {});
  ~PairReader();

  /// False at the end. Throws FormatError "FILE:LINE: …". Lines without any character count as empty.
  bool next(Pair& pair);

  int64_t line_number() const noexcept { return lines_.line_number(); }
  const PairCounts& counts() const noexcept { return counts_; }

 private:
  struct Json;

  void read_header();
  bool counts_as_line(std::string_view line) const;
  bool split(std::string_view line, Pair& pair, std::string& problem);
  bool parse(std::string_view line, Pair& pair, std::string& problem);

  LineReader lines_;
  PairOptions options_;
  PairCounts counts_;
  bool jsonl_ = false;
  size_t source_column_ = 0, target_column_ = 1;
  size_t columns_ = 0;  // 0: not known yet
  std::unique_ptr<Json> json_;
};

}  // namespace attend
