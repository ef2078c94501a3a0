// Text on its way through a tokenizer: the bytes as they stand now, and where each came from.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace attend {

/// A stretch of the original text, in Unicode code points: [begin, end).
struct Span {
  uint32_t begin = 0;
  uint32_t end = 0;
  bool operator==(const Span&) const = default;
};

/// Bytes with the code points of the original text they stand for. With aligned() == false origins are not kept: that
/// is the fast path for callers that need ids only. Growing beyond 2³¹-1 bytes throws ShapeError.
class AlignedText {
 public:
  explicit AlignedText(bool aligned) : aligned_(aligned) {}

  bool aligned() const noexcept { return aligned_; }
  size_t size() const noexcept { return bytes_.size(); }
  std::string_view view(size_t begin, size_t end) const noexcept {
    return std::string_view(bytes_).substr(begin, end - begin);
  }
  std::string_view view() const noexcept { return bytes_; }

  /// The original code points behind the non-empty stretch [begin, end); {} when not aligned.
  Span origin(size_t begin, size_t end) const noexcept {
    return aligned_ ? Span{origin_[begin].begin, origin_[end - 1].end} : Span{};
  }
  Span origin(size_t position) const noexcept { return aligned_ ? origin_[position] : Span{}; }

  /// Appends a stretch of the original text that starts at code point `first`; returns the code point behind it.
  uint32_t append_original(std::string_view text, uint32_t first);

  /// Appends bytes that all stand for `origin`.
  void append(std::string_view text, Span origin);

  /// Appends [begin, end) of another text with its origins.
  void append(const AlignedText& other, size_t begin, size_t end);

  void clear() noexcept;

 private:
  void check_room(size_t more);

  bool aligned_;
  std::string bytes_;
  std::vector<Span> origin_;  // one per byte when aligned
};

/// Writes a changed copy of a source text, character by character. `change` says how an output character relates to the
/// source: 0 replaces the next source character, +1 is new and belongs to the one before, -n replaces the next one and
/// swallows n more behind it. (The alignment law of Hugging Face's NormalizedString, so that offsets agree.)
class Rewriter {
 public:
  Rewriter(const AlignedText& source, AlignedText& target) : Rewriter(source, target, 0, source.size()) {}
  Rewriter(const AlignedText& source, AlignedText& target, size_t begin, size_t end)
      : source_(source), target_(target), begin_(begin), end_(end), cursor_(begin) {}

  void put(char32_t c, int change);
  void put(std::string_view bytes, int change);

  /// Copies the next `bytes` source bytes as they are.
  void keep(size_t bytes);

 private:
  void skip_character() noexcept;

  const AlignedText& source_;
  AlignedText& target_;
  size_t begin_;
  size_t end_;
  size_t cursor_;
};

}  // namespace attend
