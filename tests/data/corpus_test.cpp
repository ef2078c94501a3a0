#include <attend/base/error.hpp>
#include <attend/data/corpus.hpp>

#include <doctest/doctest.h>

#include <sys/resource.h>

#include <fstream>
#include <stdexcept>

#include "base/scratch.hpp"
#include "data/toy.hpp"

using namespace attend;
using namespace attend::testing;
namespace fs = std::filesystem;

namespace {

std::vector<int32_t> source(const PairCorpus& corpus, int64_t pair) {
  std::vector<int32_t> ids;
  corpus.append_source(pair, ids);
  return ids;
}
std::vector<int32_t> target(const PairCorpus& corpus, int64_t pair) {
  std::vector<int32_t> ids;
  corpus.append_target(pair, ids);
  return ids;
}

int files_in(const fs::path& folder) {
  return static_cast<int>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

}  // namespace

TEST_CASE("pairs come back as ids, in order") {
  ScratchFolder folder;
  write_file(folder / "f.tsv", "1 2 3\t4\n5\t6 7\n");
  for (int32_t vocab : {1000, 100000}) {  // two and four bytes an id
    const auto corpus = PairCorpus::open(folder / "f.tsv", number_encoder(vocab));
    REQUIRE(corpus.size() == 2);
    CHECK(source(corpus, 0) == std::vector<int32_t>{1, 2, 3});
    CHECK(target(corpus, 0) == std::vector<int32_t>{4});
    CHECK(source(corpus, 1) == std::vector<int32_t>{5});
    CHECK(target(corpus, 1) == std::vector<int32_t>{6, 7});
    CHECK(corpus.source_length(0) == 3);
    CHECK(corpus.counts().source_tokens == 4);
    CHECK(corpus.counts().longest_pair == 4);
    CHECK_THROWS_AS(source(corpus, 2), ShapeError);
    CHECK_THROWS_AS(source(corpus, -1), ShapeError);
  }
  write_file(folder / "big.tsv", "70000\t99999\n");
  CHECK(source(PairCorpus::open(folder / "big.tsv", number_encoder(100000)), 0)[0] == 70000);
  CHECK_THROWS_AS(PairCorpus::open(folder / "big.tsv", number_encoder(1000)), ShapeError);
}

TEST_CASE("filters count what they leave out") {
  ScratchFolder folder;
  write_file(folder / "f.tsv", "1\t2\n1 1 1 1 1\t2 2\n1\t2 2 2 2\n\t3\n1 1\t2 2 2 2\nbad\n");
  CorpusOptions options;
  options.max_tokens = 4;
  options.max_ratio = 3;
  options.pairs.on_bad = OnBad::skip;
  const auto corpus = PairCorpus::open(folder / "f.tsv", number_encoder(), options);
  CHECK(corpus.size() == 2);
  CHECK(target(corpus, 1).size() == 4);
  CHECK(corpus.counts().too_long == 1);
  CHECK(corpus.counts().ratio == 1);
  CHECK(corpus.counts().lines.empty == 1);
  CHECK(corpus.counts().lines.bad == 1);
  CHECK(corpus.counts().lines.pairs == 2);
  options.max_tokens = 0;
  CHECK_THROWS_AS(PairCorpus::open(folder / "f.tsv", number_encoder(), options), ConfigError);
  write_file(folder / "empty.tsv", "\t\n");
  CHECK_THROWS_WITH_AS(PairCorpus::open(folder / "empty.tsv", number_encoder()), doctest::Contains("no pair left"),
                       FormatError);
}

TEST_CASE("the cache is used for the same contents only, and made again when damaged") {
  ScratchFolder folder;
  write_file(folder / "f.tsv", toy_lines(50));
  CorpusOptions options;
  options.cache_folder = folder / "cache";
  int calls = 0;
  TextEncoder encoder = number_encoder();
  encoder.encode = [&calls, inner = encoder.encode](std::string_view text, std::vector<int32_t>& ids) {
    __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    inner(text, ids);
  };
  const auto first = PairCorpus::open(folder / "f.tsv", encoder, options);
  CHECK(calls == 100);
  const auto again = PairCorpus::open(folder / "f.tsv", encoder, options);
  CHECK(calls == 100);
  CHECK(again.fingerprint() == first.fingerprint());
  CHECK(again.counts().source_tokens == first.counts().source_tokens);
  for (int64_t i = 0; i < 50; ++i) REQUIRE(source(again, i) == source(first, i));

  encoder.fingerprint = "other";
  CHECK(PairCorpus::open(folder / "f.tsv", encoder, options).fingerprint() != first.fingerprint());
  CHECK(calls == 200);
  encoder.fingerprint = "numbers";
  options.max_tokens = 100;
  PairCorpus::open(folder / "f.tsv", encoder, options);
  CHECK(calls == 300);
  options.max_tokens = 256;
  write_file(folder / "f.tsv", toy_lines(51));
  CHECK(PairCorpus::open(folder / "f.tsv", encoder, options).size() == 51);

  write_file(folder / "f.tsv", toy_lines(50));
  const fs::path pairs = folder.path() / "cache" / (first.fingerprint() + ".pairs");
  for (int cut : {0, 5, 100}) {
    calls = 0;
    const auto all = fs::file_size(pairs);
    fs::resize_file(pairs, static_cast<uintmax_t>(cut));
    CHECK(PairCorpus::open(folder / "f.tsv", encoder, options).size() == 50);
    CHECK(calls == 100);
    CHECK(fs::file_size(pairs) == all);
  }
  // A record that points outside is found when it is used.
  std::fstream stream(pairs, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekp(6).put('\x7f');
  stream.close();
  CHECK_THROWS_AS(source(PairCorpus::open(folder / "f.tsv", encoder, options), 0), FormatError);
}

TEST_CASE("without a cache folder nothing stays behind, also after an error") {
  ScratchFolder folder;
  fs::create_directory(folder / "tmp");
  REQUIRE(::setenv("TMPDIR", (folder / "tmp").c_str(), 1) == 0);
  write_file(folder / "f.tsv", "1\t2\n");
  {
    const auto corpus = PairCorpus::open(folder / "f.tsv", number_encoder());
    CHECK(files_in(folder / "tmp") == 0);
    CHECK(source(corpus, 0) == std::vector<int32_t>{1});
  }
  write_file(folder / "f.tsv", "1\t2\n3\n");
  CHECK_THROWS_AS(PairCorpus::open(folder / "f.tsv", number_encoder()), FormatError);
  TextEncoder broken = number_encoder();
  broken.encode = [](std::string_view, std::vector<int32_t>&) { throw std::runtime_error("tokenizer"); };
  write_file(folder / "f.tsv", "1\t2\n");
  CHECK_THROWS_WITH(PairCorpus::open(folder / "f.tsv", broken), "tokenizer");
  CHECK(files_in(folder / "tmp") == 0);
  ::unsetenv("TMPDIR");
}

TEST_CASE("memory does not grow with the corpus") {
  ScratchFolder folder;
  const auto peak = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;  // KiB
  };
  {
    std::ofstream file(folder / "f.tsv");
    std::string side;
    for (int n = 0; n < 100; ++n) side += std::to_string(100 + n) + " ";
    for (int i = 0; i < 40000; ++i) file << side << '\t' << side << '\n';
  }
  const auto before = peak();
  const auto corpus = PairCorpus::open(folder / "f.tsv", number_encoder());
  CHECK(corpus.size() == 40000);
  CHECK(fs::file_size(folder / "f.tsv") > 30'000'000);
#ifndef __SANITIZE_ADDRESS__  // which keeps freed memory for a while
  CHECK(peak() - before < 24 * 1024);
#else
  (void)before;
#endif
}
