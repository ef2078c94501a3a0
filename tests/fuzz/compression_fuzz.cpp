// Any bytes read as a plain or compressed file of lines: either lines come out or FormatError is thrown.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "attend/base/compression.hpp"
#include "attend/base/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  if (size < 2) return 0;
  const size_t step = 1 + bytes[0];  // how much arrives at a time
  const attend::LineReaderOptions options{.max_line_bytes = 1 + bytes[1] * 64, .check_utf8 = (bytes[0] & 1) != 0};
  size_t at = 2;
  attend::InputStream stream(
      [&](char* data, size_t wanted) {
        const size_t count = std::min({wanted, step, size - at});
        std::copy_n(bytes + at, count, data);
        at += count;
        return count;
      },
      "input");
  try {
    attend::LineReader reader(std::move(stream), options);
    std::string_view line;
    // A few bytes may stand for gigabytes; a bounded part of them tests the same code.
    for (int64_t left = 1 << 22; left > 0 && reader.next(line); left -= static_cast<int64_t>(line.size()) + 1)
      if (static_cast<int64_t>(line.size()) > options.max_line_bytes) std::abort();
  } catch (const attend::FormatError&) {
  }
  return 0;
}
