// Bytes and lines from plain or compressed files: gzip (RFC 1952), xz, Zstandard (RFC 8878).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace attend {

/// Fills up to `size` bytes and returns how many; 0 = no more will come.
using ByteSource = std::function<size_t(char* data, size_t size)>;

/// A source of plain bytes, decompressed on the way. The format is told by the first bytes, never by the name;
/// anything unknown is plain. Concatenated members or frames are read as one stream. Truncated or damaged data throws
/// FormatError "NAME: …"; a stream that asks for more than 256 MiB to decompress is refused.
class InputStream {
 public:
  /// Opens a file ("-" = standard input); throws SystemError.
  explicit InputStream(const std::filesystem::path& path);
  /// Reads from `source`; `name` appears in errors.
  InputStream(ByteSource source, std::string name);
  ~InputStream();
  InputStream(InputStream&&) noexcept;
  InputStream& operator=(InputStream&&) noexcept;

  /// Fills up to `size` (> 0) bytes and returns how many; 0 = end.
  size_t read(char* data, size_t size);

  const std::string& name() const noexcept { return name_; }

  struct Decoder;

 private:
  void refill();
  void detect_format();

  ByteSource source_;
  std::string name_;
  std::string buffer_;      // bytes as they lie in the file
  std::string_view input_;  // the part of buffer_ that is still to be decoded
  bool started_ = false;
  bool source_ended_ = false;
  std::unique_ptr<Decoder> decoder_;  // null: plain
};

struct LineReaderOptions {
  int64_t max_line_bytes = int64_t{1} << 20;  ///< a longer line throws FormatError
  bool check_utf8 = true;                     ///< a line that is not valid UTF-8 throws FormatError
};

/// Lines of an InputStream. "\n" and "\r\n" end a line, the last one may lack it; a UTF-8 byte order mark at the start
/// is dropped. Errors read "NAME:LINE: …". Memory is bounded by the longest allowed line.
class LineReader {
 public:
  explicit LineReader(const std::filesystem::path& path, LineReaderOptions options = {});
  explicit LineReader(InputStream stream, LineReaderOptions options = {});

  /// The next line without its end in `line`, valid until the next call; false at the end.
  bool next(std::string_view& line);

  /// Number of the line that next() gave last; the first is 1.
  int64_t line_number() const noexcept { return line_number_; }
  const std::string& name() const noexcept { return stream_.name(); }

 private:
  InputStream stream_;
  LineReaderOptions options_;
  std::string buffer_;
  size_t begin_ = 0;  // buffer_[begin_, end_) is read and not yet given out
  size_t end_ = 0;
  bool ended_ = false;
  int64_t line_number_ = 0;
};

}  // namespace attend
