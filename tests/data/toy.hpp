// A small corpus with recognisable numbers in place of words.
#pragma once

#include <attend/base/file.hpp>
#include <attend/data/corpus.hpp>

#include <fmt/core.h>

#include <charconv>
#include <memory>
#include <string>

namespace attend::testing {

/// Words are numbers, and the ids are these numbers.
inline TextEncoder number_encoder(int32_t vocab_size = 1000) {
  return {[](std::string_view text, std::vector<int32_t>& ids) {
            for (size_t begin = 0; begin < text.size();) {
              const size_t end = std::min(text.find(' ', begin), text.size());
              int32_t id = 0;
              std::from_chars(text.data() + begin, text.data() + end, id);
              if (end > begin) ids.push_back(id);
              begin = end + 1;
            }
          },
          "numbers", vocab_size};
}

/// Pair i: source "i i …", target "i+500 …", with lengths that vary.
inline std::string toy_lines(int pairs) {
  std::string text;
  for (int i = 0; i < pairs; ++i) {
    for (int n = 0; n <= i * 7 % 11; ++n) text += fmt::format("{}{}", n ? " " : "", i);
    for (int n = 0; n <= i * 5 % 13; ++n) text += fmt::format("{}{}", n ? " " : "\t", 500 + i);
    text += '\n';
  }
  return text;
}

inline std::shared_ptr<const PairCorpus> toy_corpus(const std::filesystem::path& file, int pairs,
                                                    const TextEncoder& encoder = number_encoder()) {
  write_file(file, toy_lines(pairs));
  return std::make_shared<const PairCorpus>(PairCorpus::open(file, encoder));
}

}  // namespace attend::testing
