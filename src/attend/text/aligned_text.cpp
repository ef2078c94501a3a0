#include "attend/text/aligned_text.hpp"

#include "attend/base/error.hpp"
#include "attend/base/unicode.hpp"

namespace attend {

void AlignedText::check_room(size_t more) {
  constexpr size_t limit = INT32_MAX;  // pieces hold 32-bit positions
  if (more > limit - bytes_.size())
    fail<ShapeError>("tokenizer: a text of more than {} bytes; split it into lines first", limit);
}

uint32_t AlignedText::append_original(std::string_view text, uint32_t first) {
  check_room(text.size());
  bytes_.append(text);
  if (!aligned_) return first;
  origin_.reserve(origin_.size() + text.size());
  for (size_t i = 0; i < text.size(); ++first) {
    const int length = code_point_at(text, i).length;
    origin_.insert(origin_.end(), length, Span{first, first + 1});
    i += length;
  }
  return first;
}

void AlignedText::append(std::string_view text, Span origin) {
  check_room(text.size());
  bytes_.append(text);
  if (aligned_) origin_.insert(origin_.end(), text.size(), origin);
}

void AlignedText::append(const AlignedText& other, size_t begin, size_t end) {
  check_room(end - begin);
  bytes_.append(other.bytes_, begin, end - begin);
  if (aligned_) origin_.insert(origin_.end(), other.origin_.begin() + begin, other.origin_.begin() + end);
}

void AlignedText::clear() noexcept {
  bytes_.clear();
  origin_.clear();
}

void Rewriter::skip_character() noexcept {
  if (cursor_ < end_) cursor_ += code_point_at(source_.view(0, end_), cursor_).length;
}

void Rewriter::put(std::string_view bytes, int change) {
  Span origin;
  if (change <= 0 && cursor_ < end_) {
    origin = source_.origin(cursor_);
  } else if (cursor_ > begin_) {
    origin = source_.origin(cursor_ - 1);
  } else if (cursor_ < end_) {
    const uint32_t start = source_.origin(cursor_).begin;
    origin = {start, start};
  }
  target_.append(bytes, origin);
  if (change <= 0)
    for (int i = change; i <= 0; ++i) skip_character();
}

void Rewriter::put(char32_t c, int change) {
  std::string bytes;
  append_utf8(bytes, c);
  put(bytes, change);
}

void Rewriter::keep(size_t bytes) {
  target_.append(source_, cursor_, cursor_ + bytes);
  cursor_ += bytes;
}

}  // namespace attend
