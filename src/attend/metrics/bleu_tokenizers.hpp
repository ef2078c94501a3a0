// The tokenizers of BLEU as sacreBLEU 2.6 defines them (those that need no dictionary).
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "attend/base/options.hpp"

namespace attend {

enum class BleuTokenizer {
  mteval_13a,     ///< mteval-v13a.pl: the usual one for languages with spaces
  international,  ///< mteval-v14.pl: splits at all punctuation and symbols of Unicode
  characters,     ///< every character is a token
  chinese,        ///< CJK characters alone, the rest as 13a
  none            ///< the line has tokens already
};

constexpr auto enum_names(BleuTokenizer) {
  return std::to_array<EnumName<BleuTokenizer>>({{BleuTokenizer::mteval_13a, "13a"},
                                                 {BleuTokenizer::international, "intl"},
                                                 {BleuTokenizer::characters, "char"},
                                                 {BleuTokenizer::chinese, "zh"},
                                                 {BleuTokenizer::none, "none"}});
}

/// The line with its tokens set apart by white space.
std::string tokenize_for_bleu(BleuTokenizer tokenizer, std::string_view line);

}  // namespace attend
