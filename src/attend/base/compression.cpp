#include "attend/base/compression.hpp"

#include <lzma.h>
#include <simdjson.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "attend/base/error.hpp"
#include "attend/base/file.hpp"

namespace attend {

// decode() takes bytes from the front of `input`, fills up to `size` bytes of `out` and returns how many. With
// `last` no input follows what is given. complete() says whether the stream may end here.
struct InputStream::Decoder {
  virtual ~Decoder() = default;
  virtual size_t decode(std::string_view& input, bool last, char* out, size_t size) = 0;
  virtual bool complete() const = 0;
  virtual const char* format() const = 0;

 protected:
  explicit Decoder(std::string name) : name_(std::move(name)) {}
  [[noreturn]] void fail_corrupt(const char* reason) const {
    fail<FormatError>("{}: damaged {} data ({})", name_, format(), reason);
  }
  std::string name_;
};

namespace {

constexpr size_t chunk = size_t{1} << 16;
constexpr uint64_t memory_limit = uint64_t{256} << 20;
constexpr int zstd_window_log = 27;  // 128 MiB of history, what the zstd program accepts without asking

class GzipDecoder final : public InputStream::Decoder {
 public:
  explicit GzipDecoder(std::string name) : Decoder(std::move(name)) {
    if (inflateInit2(&stream_, 15 + 16) != Z_OK) throw std::bad_alloc();
  }
  ~GzipDecoder() override { inflateEnd(&stream_); }

  size_t decode(std::string_view& input, bool, char* out, size_t size) override {
    if (between_members_) {
      input.remove_prefix(std::min(input.find_first_not_of('\0'), input.size()));  // tapes pad with zeros
      if (input.empty()) return 0;
      inflateReset(&stream_);
      between_members_ = false;
    }
    constexpr size_t most = std::numeric_limits<uInt>::max();
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    stream_.avail_in = static_cast<uInt>(std::min(input.size(), most));
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = static_cast<uInt>(std::min(size, most));
    const int result = inflate(&stream_, Z_NO_FLUSH);
    if (result == Z_MEM_ERROR) throw std::bad_alloc();
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
      fail_corrupt(stream_.msg ? stream_.msg : "bad header");
    between_members_ = result == Z_STREAM_END;
    input.remove_prefix(static_cast<size_t>(reinterpret_cast<const char*>(stream_.next_in) - input.data()));
    return static_cast<size_t>(reinterpret_cast<char*>(stream_.next_out) - out);
  }
  bool complete() const override { return between_members_; }
  const char* format() const override { return "gzip"; }

 private:
  z_stream stream_{};
  bool between_members_ = false;
};

class XzDecoder final : public InputStream::Decoder {
 public:
  explicit XzDecoder(std::string name) : Decoder(std::move(name)) {
    if (lzma_stream_decoder(&stream_, memory_limit, LZMA_CONCATENATED) != LZMA_OK) throw std::bad_alloc();
  }
  ~XzDecoder() override { lzma_end(&stream_); }

  size_t decode(std::string_view& input, bool last, char* out, size_t size) override {
    if (ended_) return 0;
    stream_.next_in = reinterpret_cast<const uint8_t*>(input.data());
    stream_.avail_in = input.size();
    stream_.next_out = reinterpret_cast<uint8_t*>(out);
    stream_.avail_out = size;
    const lzma_ret result = lzma_code(&stream_, last ? LZMA_FINISH : LZMA_RUN);
    switch (result) {
      case LZMA_OK:
      case LZMA_BUF_ERROR:  // no progress: the caller sees that the input ended too early
        break;
      case LZMA_STREAM_END:
        ended_ = true;
        break;
      case LZMA_MEM_ERROR:
        throw std::bad_alloc();
      case LZMA_MEMLIMIT_ERROR:
        fail<FormatError>("{}: xz data that needs more than {} MiB to decompress", name_, memory_limit >> 20);
      case LZMA_OPTIONS_ERROR:
        fail_corrupt("unknown filter or flag");
      case LZMA_FORMAT_ERROR:
        fail_corrupt("bad header");
      default:
        fail_corrupt("checksum or structure is wrong");
    }
    input.remove_prefix(input.size() - stream_.avail_in);
    return size - stream_.avail_out;
  }
  bool complete() const override { return ended_; }
  const char* format() const override { return "xz"; }

 private:
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool ended_ = false;
};

class ZstdDecoder final : public InputStream::Decoder {
 public:
  explicit ZstdDecoder(std::string name) : Decoder(std::move(name)), stream_(ZSTD_createDStream()) {
    if (!stream_) throw std::bad_alloc();
    ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, zstd_window_log);
  }
  ~ZstdDecoder() override { ZSTD_freeDStream(stream_); }

  size_t decode(std::string_view& input, bool, char* out, size_t size) override {
    if (input.empty() && between_frames_) return 0;
    ZSTD_inBuffer in{input.data(), input.size(), 0};
    ZSTD_outBuffer to{out, size, 0};
    const size_t result = ZSTD_decompressStream(stream_, &to, &in);
    if (ZSTD_isError(result)) fail_corrupt(ZSTD_getErrorName(result));
    between_frames_ = result == 0;
    input.remove_prefix(in.pos);
    return to.pos;
  }
  bool complete() const override { return between_frames_; }
  const char* format() const override { return "zstd"; }

 private:
  ZSTD_DStream* stream_;
  bool between_frames_ = false;
};

bool is_zstd(std::string_view bytes) {
  if (bytes.starts_with("\x28\xb5\x2f\xfd")) return true;
  return bytes.size() >= 4 && (static_cast<unsigned char>(bytes[0]) & 0xf0) == 0x50 &&
         bytes.substr(1, 3) == "\x2a\x4d\x18";  // a skippable frame
}

ByteSource source_of(const std::filesystem::path& path) {
  if (path == "-") return [](char* data, size_t size) { return read_some(0, data, size, "standard input"); };
  auto file = std::make_shared<FileDescriptor>(open_for_reading(path));
  return [file, path](char* data, size_t size) { return read_some(file->value(), data, size, path); };
}

}  // namespace

InputStream::InputStream(const std::filesystem::path& path)
    : InputStream(source_of(path), path == "-" ? "standard input" : path.string()) {}

InputStream::InputStream(ByteSource source, std::string name) : source_(std::move(source)), name_(std::move(name)) {}

InputStream::~InputStream() = default;
InputStream::InputStream(InputStream&&) noexcept = default;
InputStream& InputStream::operator=(InputStream&&) noexcept = default;

void InputStream::refill() {
  const size_t count = source_(buffer_.data(), buffer_.size());
  input_ = std::string_view(buffer_).substr(0, count);
  source_ended_ = count == 0;
}

void InputStream::detect_format() {
  constexpr size_t longest_magic = 6;
  buffer_.resize(chunk);
  size_t count = 0;  // a pipe may give its bytes one by one
  while (count < longest_magic && !source_ended_) {
    const size_t more = source_(buffer_.data() + count, buffer_.size() - count);
    source_ended_ = more == 0;
    count += more;
  }
  input_ = std::string_view(buffer_).substr(0, count);
  using namespace std::literals;
  if (input_.starts_with("\x1f\x8b"sv))
    decoder_ = std::make_unique<GzipDecoder>(name_);
  else if (input_.starts_with("\xfd\x37\x7a\x58\x5a\0"sv))
    decoder_ = std::make_unique<XzDecoder>(name_);
  else if (is_zstd(input_))
    decoder_ = std::make_unique<ZstdDecoder>(name_);
  started_ = true;
}

size_t InputStream::read(char* data, size_t size) {
  if (!started_) detect_format();
  if (!decoder_) {
    if (input_.empty() && !source_ended_) return source_(data, size);
    const size_t count = std::min(size, input_.size());
    std::copy_n(input_.data(), count, data);
    input_.remove_prefix(count);
    return count;
  }
  for (;;) {
    if (input_.empty() && !source_ended_) refill();
    const size_t before = input_.size();
    const size_t count = decoder_->decode(input_, source_ended_, data, size);
    if (count > 0) return count;
    if (!source_ended_ || input_.size() < before) continue;
    if (!decoder_->complete()) fail<FormatError>("{}: {} data ends too early", name_, decoder_->format());
    return 0;
  }
}

LineReader::LineReader(const std::filesystem::path& path, LineReaderOptions options)
    : LineReader(InputStream(path), options) {}

LineReader::LineReader(InputStream stream, LineReaderOptions options) : stream_(std::move(stream)), options_(options) {}

bool LineReader::next(std::string_view& line) {
  const auto limit = static_cast<size_t>(options_.max_line_bytes);
  size_t scanned = begin_;
  size_t line_end;  // where "\n" stands
  for (;;) {
    const void* found = end_ > scanned ? std::memchr(buffer_.data() + scanned, '\n', end_ - scanned) : nullptr;
    if (found) {
      line_end = static_cast<size_t>(static_cast<const char*>(found) - buffer_.data());
      break;
    }
    // "\r" and a byte order mark may still go from what is here.
    if (end_ - begin_ > limit + 4)
      fail<FormatError>("{}:{}: line longer than {} bytes", name(), line_number_ + 1, limit);
    if (ended_) {
      line_end = end_;
      break;
    }
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    scanned = end_;
    begin_ = 0;
    if (buffer_.size() < end_ + chunk) buffer_.resize(std::max(end_ + chunk, 2 * buffer_.size()));
    const size_t count = stream_.read(buffer_.data() + end_, chunk);
    end_ += count;
    ended_ = count == 0;
  }
  if (line_end == end_ && begin_ == end_) return false;
  line = std::string_view(buffer_).substr(begin_, line_end - begin_);
  begin_ = std::min(line_end + 1, end_);
  if (++line_number_ == 1 && line.starts_with("\xef\xbb\xbf")) {
    line.remove_prefix(3);
    if (line.empty() && line_end == end_) return --line_number_, false;  // nothing but the mark
  }
  if (line_end < end_ && line.ends_with('\r')) line.remove_suffix(1);
  if (line.size() > limit) fail<FormatError>("{}:{}: line longer than {} bytes", name(), line_number_, limit);
  if (options_.check_utf8 && !simdjson::validate_utf8(line))
    fail<FormatError>("{}:{}: not valid UTF-8", name(), line_number_);
  return true;
}

}  // namespace attend
