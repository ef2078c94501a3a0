// NFC, NFD, NFKC, NFKD (Unicode Standard Annex 15) with the origin of every character kept.
#include <utf8proc.h>

#include <algorithm>

#include "attend/base/error.hpp"
#include "attend/base/unicode.hpp"
#include "attend/text/normalize/normalizer.hpp"

namespace attend {
namespace {

struct Character {
  char32_t value;
  int change;  // as in Rewriter
  int combining_class;
};

int combining_class(char32_t c) { return utf8proc_get_property(static_cast<utf8proc_int32_t>(c))->combining_class; }

bool is_hangul_syllable(char32_t c) { return c >= 0xAC00 && c <= 0xD7A3; }
bool is_hangul_vowel_or_final(char32_t c) { return (c >= 0x1161 && c <= 0x1175) || (c >= 0x11A8 && c <= 0x11C2); }
bool is_han(char32_t c) { return c >= 0x4E00 && c <= 0x9FFF; }

/// Code points whose decompositions are younger than the Unicode version of the reference library; models have seen
/// them as they are.
bool is_newer_than_reference(char32_t c) {
  return c == 0x32FF || (c >= 0xA7F2 && c <= 0xA7F4) || c == 0xAB69 || (c >= 0x10781 && c <= 0x107BA) || c == 0x11938 ||
         (c >= 0x1E030 && c <= 0x1E06D) || c == 0x1F16C || (c >= 0x1FBF0 && c <= 0x1FBF9);
}

/// a + b as one code point, or 0.
char32_t compose(char32_t a, char32_t b) {
  if (a >= 0x1100 && a < 0x1113 && b >= 0x1161 && b < 0x1176) return 0xAC00 + ((a - 0x1100) * 21 + (b - 0x1161)) * 28;
  if (is_hangul_syllable(a) && (a - 0xAC00) % 28 == 0 && b > 0x11A7 && b < 0x11C3) return a + (b - 0x11A7);
  if (a < 0x3C || b < 0x300) return 0;
  utf8proc_int32_t pair[2] = {static_cast<utf8proc_int32_t>(a), static_cast<utf8proc_int32_t>(b)};
  const auto length =
      utf8proc_normalize_utf32(pair, 2, static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  return length == 1 ? static_cast<char32_t>(pair[0]) : 0;
}

class UnicodeForm : public Normalizer {
 public:
  UnicodeForm(bool composed, bool compatible) : composed_(composed), compatible_(compatible) {}

  void apply(const AlignedText& source, size_t begin, size_t end, AlignedText& target) const override {
    const std::string_view text = source.view(0, end);
    Rewriter out(source, target, begin, end);
    std::vector<Character> segment;
    size_t stable_bytes = 0;
    CodePoint first = begin < end ? code_point_at(text, begin) : CodePoint{};
    for (size_t at = begin; at < end;) {
      // A segment is a character and everything behind it that may combine with it.
      size_t next = at + first.length;
      bool single = true;
      CodePoint following{};
      while (next < end) {
        following = code_point_at(text, next);
        if (!following.valid || starts_segment(following.value)) break;
        next += following.length;
        single = false;
      }
      if (single && (!first.valid || is_stable(first.value))) {
        stable_bytes += next - at;
      } else {
        out.keep(stable_bytes);
        stable_bytes = 0;
        if (!first.valid) out.keep(first.length);
        segment.clear();
        for (size_t i = first.valid ? at : at + first.length; i < next;) {
          const CodePoint c = code_point_at(text, i);
          decompose(c.value, segment);
          i += c.length;
        }
        order(segment);
        if (composed_) recompose(segment);
        for (const Character& c : segment) out.put(c.value, c.change);
      }
      at = next;
      first = following;
    }
    out.keep(stable_bytes);
  }

 private:
  /// Characters that this form never changes when they stand alone; a quick subset.
  bool is_stable(char32_t c) const {
    if (c < 0x80 || is_han(c)) return true;
    return composed_ && (is_hangul_syllable(c) || (!compatible_ && c < 0x300));
  }

  /// False for characters that may combine with the one before or be moved before it; may be false without need.
  bool starts_segment(char32_t c) const {
    if (c < 0x300 || is_hangul_syllable(c) || is_han(c)) return true;
    std::vector<Character> parts;
    decompose(c, parts);
    return !is_mark(parts[0].value) && !is_hangul_vowel_or_final(parts[0].value);
  }

  void decompose(char32_t c, std::vector<Character>& out) const {
    utf8proc_int32_t parts[32];
    const int options = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (compatible_ ? UTF8PROC_COMPAT : 0);
    auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts, 32,
                                         static_cast<utf8proc_option_t>(options), nullptr);
    if (count < 1 || count > 32 || is_newer_than_reference(c)) {
      parts[0] = static_cast<utf8proc_int32_t>(c);
      count = 1;
    }
    for (utf8proc_ssize_t i = 0; i < count; ++i) {
      const auto part = static_cast<char32_t>(parts[i]);
      out.push_back({part, i > 0, combining_class(part)});
    }
  }

  /// Canonical ordering: stable by combining class between starters.
  static void order(std::vector<Character>& segment) {
    for (auto run = segment.begin(); run != segment.end();) {
      if (run->combining_class == 0) {
        ++run;
        continue;
      }
      const auto stop = std::find_if(run, segment.end(), [](const Character& c) { return c.combining_class == 0; });
      std::stable_sort(run, stop, [](const auto& a, const auto& b) { return a.combining_class < b.combining_class; });
      run = stop;
    }
  }

  static void recompose(std::vector<Character>& segment) {
    size_t starter = 0, kept = 0;
    bool has_starter = false;
    int last_class = -1;  // of the characters kept behind the starter; -1: none
    for (const Character& c : segment) {
      const bool blocked = last_class >= c.combining_class;
      if (has_starter && !blocked) {
        if (const char32_t joined = compose(segment[starter].value, c.value)) {
          segment[starter].value = joined;
          segment[starter].change += c.change - 1;
          continue;
        }
      }
      if (c.combining_class == 0) {
        has_starter = true;
        starter = kept;
        last_class = -1;
      } else {
        last_class = c.combining_class;
      }
      segment[kept++] = c;
    }
    segment.resize(kept);
  }

  bool composed_;
  bool compatible_;
};

}  // namespace

std::unique_ptr<Normalizer> make_nfc(const json::Json&) { return std::make_unique<UnicodeForm>(true, false); }
std::unique_ptr<Normalizer> make_nfd(const json::Json&) { return std::make_unique<UnicodeForm>(false, false); }
std::unique_ptr<Normalizer> make_nfkc(const json::Json&) { return std::make_unique<UnicodeForm>(true, true); }
std::unique_ptr<Normalizer> make_nfkd(const json::Json&) { return std::make_unique<UnicodeForm>(false, true); }

}  // namespace attend
