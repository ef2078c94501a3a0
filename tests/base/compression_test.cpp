#include "attend/base/compression.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <lzma.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "attend/base/error.hpp"
#include "attend/base/file.hpp"
#include "base/scratch.hpp"

using namespace attend;
using attend::testing::ScratchFolder;

namespace {

std::string gzip(const std::string& plain) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, plain.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string xz(const std::string& plain) {
  std::string out(lzma_stream_buffer_bound(plain.size()), '\0');
  size_t used = 0;
  REQUIRE(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC64, nullptr, reinterpret_cast<const uint8_t*>(plain.data()),
                                  plain.size(), reinterpret_cast<uint8_t*>(out.data()), &used, out.size()) == LZMA_OK);
  out.resize(used);
  return out;
}

std::string zstd(const std::string& plain) {
  std::string out(ZSTD_compressBound(plain.size()), '\0');
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  const size_t used = ZSTD_compress2(context, out.data(), out.size(), plain.data(), plain.size());
  ZSTD_freeCCtx(context);
  REQUIRE_FALSE(ZSTD_isError(used));
  out.resize(used);
  return out;
}

// The bytes in pieces of `step`, as a slow pipe gives them.
InputStream stream_of(std::string bytes, size_t step = 1 << 20) {
  return InputStream(
      [bytes = std::move(bytes), step, at = size_t{0}](char* data, size_t size) mutable {
        const size_t count = std::min({size, step, bytes.size() - at});
        std::copy_n(bytes.data() + at, count, data);
        at += count;
        return count;
      },
      "input");
}

std::string read_all(InputStream stream, size_t step = 1000) {
  std::string all, part(step, '\0');
  while (const size_t count = stream.read(part.data(), part.size())) all.append(part, 0, count);
  return all;
}

std::vector<std::string> lines_of(InputStream stream, LineReaderOptions options = {}) {
  LineReader reader(std::move(stream), options);
  std::vector<std::string> lines;
  std::string_view line;
  while (reader.next(line)) lines.emplace_back(line);
  CHECK_FALSE(reader.next(line));
  CHECK(reader.line_number() == static_cast<int64_t>(lines.size()));
  return lines;
}

std::string error_of(InputStream stream, LineReaderOptions options = {}) {
  try {
    LineReader reader(std::move(stream), options);
    std::string_view line;
    while (reader.next(line)) continue;
  } catch (const FormatError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

std::string sample() {
  std::string text;
  for (int i = 0; i < 30'000; ++i) text += "문장 " + std::to_string(i * 7919 % 10007) + "\tsentence\n";
  return text;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("every format gives the plain bytes, however they arrive") {
  const std::string plain = sample();
  for (const auto& packed : {plain, gzip(plain), xz(plain), zstd(plain)}) {
    CHECK(read_all(stream_of(packed)) == plain);
    CHECK(read_all(stream_of(packed, 977), 313) == plain);
  }
  const std::string little = "ab\n";
  for (const auto& packed : {little, gzip(little), xz(little), zstd(little)})
    CHECK(read_all(stream_of(packed, 1), 1) == little);
  for (const auto& packed : {std::string(), gzip(""), xz(""), zstd("")}) CHECK(read_all(stream_of(packed)).empty());
}

TEST_CASE("members that follow each other are one stream") {
  const std::string plain = sample();
  for (const auto pack : {gzip, xz, zstd}) {
    const std::string packed = pack("first ") + pack("") + pack(plain) + pack("last");
    CHECK(read_all(stream_of(packed)) == "first " + plain + "last");
    CHECK(read_all(stream_of(packed, 7)) == "first " + plain + "last");
  }
  CHECK(read_all(stream_of(gzip("a") + std::string(700, '\0'))) == "a");
  const std::string skippable("\x50\x2a\x4d\x18\x03\0\0\0abc", 11);
  CHECK(read_all(stream_of(skippable + zstd("a") + skippable + zstd("b"))) == "ab");
}

TEST_CASE("truncated streams are errors at every length") {
  for (const auto pack : {gzip, xz, zstd}) {
    const std::string packed = pack("some text, some text");
    for (size_t length = 6; length < packed.size(); ++length) {
      const std::string message = error_of(stream_of(packed.substr(0, length)));
      INFO(length, " of ", packed.size(), ": ", message);
      CHECK(message.starts_with("input: "));
      CHECK(message.ends_with(" data ends too early"));
    }
  }
}

TEST_CASE("damaged streams are errors that name the file") {
  const std::string plain = sample();
  for (const auto pack : {gzip, xz, zstd}) {
    std::string packed = pack(plain);
    packed[packed.size() / 2] ^= 0x20;
    std::string message;
    try {
      const std::string read = read_all(stream_of(packed));
      message = "nothing was thrown";
    } catch (const FormatError& error) {
      message = error.what();
    }
    INFO(message);
    CHECK(message.starts_with("input: damaged "));
    CHECK_THROWS_AS(read_all(stream_of(pack("text") + "garbage behind it")), FormatError);
  }
}

TEST_CASE("a stream that wants too much memory is refused") {
  // An xz stream whose header says that its dictionary is 1.5 GiB: encoding such a one would need gigabytes too, so the
  // size is patched into a small stream and the header's checksum is written anew.
  std::string packed = xz("some text");
  const size_t block = 12;
  const size_t header_size = (static_cast<unsigned char>(packed[block]) + 1u) * 4;
  const size_t filter = packed.find("\x21\x01", block);  // LZMA2, one byte of properties
  REQUIRE(filter < block + header_size);
  packed[filter + 2] = 37;  // 3 << 29 bytes
  const uint32_t crc = lzma_crc32(reinterpret_cast<const uint8_t*>(packed.data()) + block, header_size - 4, 0);
  for (int i = 0; i < 4; ++i) packed[block + header_size - 4 + i] = static_cast<char>(crc >> (8 * i));
  CHECK(error_of(stream_of(packed)) == "input: xz data that needs more than 256 MiB to decompress");

  // A zstd frame with a window of 2 GiB.
  const std::string wide("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00", 9);
  CHECK(error_of(stream_of(wide)).starts_with("input: damaged zstd data (Frame requires too much memory"));
}

TEST_CASE("lines end with LF or CRLF and the last may lack it") {
  CHECK(lines_of(stream_of("")) == Lines{});
  CHECK(lines_of(stream_of("\n")) == Lines{""});
  CHECK(lines_of(stream_of("a")) == Lines{"a"});
  CHECK(lines_of(stream_of("a\nb\n")) == Lines{"a", "b"});
  CHECK(lines_of(stream_of("a\r\nb\r\n\r\nc")) == Lines{"a", "b", "", "c"});
  CHECK(lines_of(stream_of("a\rb\n\nc\r", 1)) == Lines{"a\rb", "", "c\r"});
  CHECK(lines_of(stream_of(std::string("a\0b\n", 4))) == Lines{std::string("a\0b", 3)});
  const std::string plain = sample();
  CHECK(lines_of(stream_of(xz(plain), 100)).size() == 30'000);
  CHECK(lines_of(stream_of(plain, 1)).back() == lines_of(stream_of(plain)).back());
}

TEST_CASE("a byte order mark goes only from the start") {
  CHECK(lines_of(stream_of("\xef\xbb\xbf"
                           "a\n\xef\xbb\xbf"
                           "b",
                           1)) == Lines{"a",
                                        "\xef\xbb\xbf"
                                        "b"});
  CHECK(lines_of(stream_of("\xef\xbb\xbf")) == Lines{});
  CHECK(lines_of(stream_of("\xef\xbb\xbf\n")) == Lines{""});
  CHECK(lines_of(stream_of(gzip("\xef\xbb\xbf"
                                "가\n"))) == Lines{"가"});
}

TEST_CASE("a line has at most the allowed bytes") {
  const LineReaderOptions five{.max_line_bytes = 5};
  CHECK(lines_of(stream_of("12345\r\n12345\n12345", 1), five) == Lines{"12345", "12345", "12345"});
  CHECK(lines_of(stream_of("\xef\xbb\xbf"
                           "12345\r\n"),
                 five) == Lines{"12345"});
  CHECK(error_of(stream_of("1\n123456\n"), five) == "input:2: line longer than 5 bytes");
  CHECK(error_of(stream_of("1\n123456"), five) == "input:2: line longer than 5 bytes");
  // Endless lines, also from a few compressed bytes, stop at the limit.
  InputStream endless([](char* data, size_t size) { return std::fill_n(data, size, 'x'), size; }, "endless");
  CHECK(error_of(std::move(endless)) == "endless:1: line longer than 1048576 bytes");
  CHECK(error_of(stream_of(gzip(std::string(10 << 20, 'x')))) == "input:1: line longer than 1048576 bytes");
}

TEST_CASE("invalid UTF-8 is reported with its line, if asked") {
  CHECK(error_of(stream_of("가\nb\xff\n")) == "input:2: not valid UTF-8");
  CHECK(error_of(stream_of("\xed\xa0\x80")) == "input:1: not valid UTF-8");  // a surrogate
  CHECK(lines_of(stream_of("b\xff\n"), {.check_utf8 = false}) == Lines{"b\xff"});
}

TEST_CASE("files are read by what they contain, not by their name") {
  const ScratchFolder folder;
  write_file(folder / "a.txt", zstd("one\ntwo\n"));
  write_file(folder / "a.gz", "plain\n");
  LineReader packed(folder / "a.txt"), plain(folder / "a.gz");
  std::string_view line;
  REQUIRE(packed.next(line));
  CHECK(line == "one");
  REQUIRE(plain.next(line));
  CHECK(line == "plain");
  CHECK(plain.name() == (folder / "a.gz").string());
  CHECK_THROWS_WITH_AS(LineReader(folder / "absent"),
                       ((folder / "absent").string() + ": cannot open: No such file or directory").c_str(),
                       SystemError);
  LineReader directory(folder.path());
  CHECK_THROWS_WITH_AS(directory.next(line), (folder.path().string() + ": cannot read: Is a directory").c_str(),
                       SystemError);
}

TEST_CASE("'-' is standard input") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const std::string packed = gzip("from\na pipe\n");
  REQUIRE(write(ends[1], packed.data(), packed.size()) == static_cast<ssize_t>(packed.size()));
  close(ends[1]);
  const int saved = dup(0);
  REQUIRE(dup2(ends[0], 0) == 0);
  close(ends[0]);
  std::vector<std::string> lines;
  {
    LineReader reader("-");
    std::string_view line;
    while (reader.next(line)) lines.emplace_back(line);
  }
  CHECK(fcntl(0, F_GETFD) >= 0);  // still open
  REQUIRE(dup2(saved, 0) == 0);
  close(saved);
  CHECK(lines == Lines{"from", "a pipe"});
}
