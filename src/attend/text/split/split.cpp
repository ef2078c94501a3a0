// "Split": cut at the matches of a pattern, with five ways to treat what matched.
#include "attend/text/pattern.hpp"
#include "attend/text/split/gpt2_scanner.hpp"
#include "attend/text/split/pre_tokenizer.hpp"

namespace attend {
namespace {

enum class Behavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

Behavior read_behavior(const json::Json& config, std::string_view where) {
  const std::string name = json::string_member(config, "behavior", where);
  if (name == "Removed") return Behavior::removed;
  if (name == "Isolated") return Behavior::isolated;
  if (name == "MergedWithPrevious") return Behavior::merged_with_previous;
  if (name == "MergedWithNext") return Behavior::merged_with_next;
  if (name == "Contiguous") return Behavior::contiguous;
  fail<FormatError>("{}: unknown \"behavior\" {}", where, name);
}

struct Stretch {
  size_t begin, end;
  bool match;
};

class Split : public PreTokenizer {
 public:
  explicit Split(const json::Json& config)
      : pattern_(read_pattern(config, where)),
        behavior_(read_behavior(config, where)),
        invert_(json::bool_member_or(config, "invert", where, false)) {
    const json::Json& pattern = config["pattern"];
    gpt2_ = pattern.contains("Regex") && pattern["Regex"] == gpt2_pattern && behavior_ == Behavior::isolated;
  }

  void split(Pieces& pieces) const override {
    if (gpt2_) return pieces.cut([](std::string_view text, auto&& emit) { scan_gpt2(text, emit); });
    std::vector<Stretch> stretches;
    pieces.cut([&](std::string_view text, auto&& emit) {
      if (behavior_ == Behavior::isolated) {
        size_t done = 0;
        pattern_.for_each(text, [&](size_t begin, size_t end) {
          emit(done, begin);
          emit(begin, end);
          done = end;
        });
        return emit(done, text.size());
      }
      find_stretches(text, stretches);
      emit_stretches(stretches, emit);
    });
  }

 private:
  static constexpr std::string_view where = "pre_tokenizer Split";

  void find_stretches(std::string_view text, std::vector<Stretch>& stretches) const {
    stretches.clear();
    size_t done = 0;
    auto add = [&](size_t begin, size_t end, bool match) {
      if (begin < end) stretches.push_back({begin, end, match != invert_});
    };
    pattern_.for_each(text, [&](size_t begin, size_t end) {
      add(done, begin, false);
      add(begin, end, true);
      done = end;
    });
    add(done, text.size(), false);
  }

  template <class Emit>
  void emit_stretches(const std::vector<Stretch>& stretches, Emit&& emit) const {
    if (behavior_ == Behavior::removed) {
      for (const Stretch& s : stretches)
        if (!s.match) emit(s.begin, s.end);
      return;
    }
    // A piece is a run of stretches; decide where the runs break.
    const size_t count = stretches.size();
    for (size_t i = 0; i < count;) {
      size_t last = i;
      while (last + 1 < count && joins(stretches[last], stretches[last + 1])) ++last;
      emit(stretches[i].begin, stretches[last].end);
      i = last + 1;
    }
  }

  /// Whether `b` goes into the piece that ends with its left neighbour `a`. Matches in a row stay apart unless merged
  /// as contiguous: only the one that touches a non-match is merged with it.
  bool joins(const Stretch& a, const Stretch& b) const {
    switch (behavior_) {
      case Behavior::contiguous:
        return a.match == b.match;
      case Behavior::merged_with_previous:
        return !a.match && b.match;
      case Behavior::merged_with_next:
        return a.match && !b.match;
      default:
        return false;
    }
  }

  Regex pattern_;
  Behavior behavior_;
  bool invert_;
  bool gpt2_ = false;
};

}  // namespace

std::unique_ptr<PreTokenizer> make_split(const json::Json& config) { return std::make_unique<Split>(config); }

}  // namespace attend
