#include <attend/base/error.hpp>
#include <attend/base/hash.hpp>
#include <attend/data/batches.hpp>
#include <attend/data/prefetch.hpp>
#include <attend/text/train_bpe.hpp>

#include <doctest/doctest.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>

#include "base/scratch.hpp"
#include "data/toy.hpp"

using namespace attend;
using namespace attend::testing;
using Ids = std::vector<int32_t>;

namespace {

Ids ids(const Tensor& tensor) { return {tensor.values<int32_t>().begin(), tensor.values<int32_t>().end()}; }

// Everything a batch says, for comparing.
std::vector<Ids> contents(const PackedBatch& batch) {
  std::vector<Ids> all = {ids(batch.source_ids),      ids(batch.source_offsets), ids(batch.source_positions),
                          ids(batch.decoder_ids),     ids(batch.labels),         ids(batch.target_offsets),
                          ids(batch.target_positions)};
  for (const auto& origin : batch.origins)
    all.push_back({origin.source, origin.direction, static_cast<int32_t>(origin.pair)});
  return all;
}

std::vector<std::vector<Ids>> take(BatchSource& batches, int count) {
  std::vector<std::vector<Ids>> all;
  for (int i = 0; i < count; ++i) all.push_back(contents(batches.next().value()));
  return all;
}

BatchOptions options(int64_t max_tokens = 120, int64_t pool = 64, uint64_t seed = 3) {
  return {.layout = {.start = 999, .eos = 998}, .max_tokens = max_tokens, .pool = pool, .seed = seed};
}

struct Data {
  TextEncoder encoder = number_encoder();
  ScratchFolder folder = {};
  std::shared_ptr<const PairCorpus> small = toy_corpus(folder / "small.tsv", 37, encoder);
  std::shared_ptr<const PairCorpus> large = toy_corpus(folder / "large.tsv", 400, encoder);
  std::vector<TrainingSource> two() const {
    return {{small, 3, {{false, {900}}, {true, {901}}}}, {large, 1, {Direction{}}}};
  }
};

// A BPE for the toy lines, whose tokens stay below the special ids of options().
Tokenizer toy_bpe() {
  BpeTrainerOptions settings = translator_bpe_options(800, {});
  settings.min_frequency = 1;
  BpeTrainer trainer(std::move(settings));
  trainer.add(toy_lines(400));
  return trainer.train();
}

TextEncoder encoder_of(const Tokenizer& tokenizer) {
  return {[tokenizer](std::string_view text, Ids& ids) {
            const Ids more = tokenizer.encode_ids(text, false);
            ids.insert(ids.end(), more.begin(), more.end());
          },
          "toy bpe", 1000};
}

BatchOptions split_options(const Tokenizer& tokenizer, double probability, int64_t max_length = 1000) {
  BatchOptions result = options(200);
  result.splits = std::make_shared<const SubwordSplits>(tokenizer, probability);
  result.max_length = max_length;
  return result;
}

// Fails after a few batches.
class Failing : public BatchSource {
 public:
  Failing(std::unique_ptr<BatchSource> source, int good) : source_(std::move(source)), good_(good) {}
  std::optional<PackedBatch> next() override {
    if (good_-- == 0) fail<FormatError>("the disk is gone");
    return source_->next();
  }
  nlohmann::json state() const override { return source_->state(); }
  void restore(const nlohmann::json& state) override { source_->restore(state); }

 private:
  std::unique_ptr<BatchSource> source_;
  int good_;
};

}  // namespace

TEST_CASE("the numbers from 0 in another order for each key, each once") {
  for (int64_t size : {1, 2, 3, 5, 16, 17, 100, 1025}) {
    std::set<std::vector<int64_t>> orders;
    for (uint64_t key = 0; key < 4; ++key) {
      std::vector<int64_t> order;
      for (int64_t i = 0; i < size; ++i) order.push_back(permuted(i, size, key));
      auto sorted = order;
      std::sort(sorted.begin(), sorted.end());
      for (int64_t i = 0; i < size; ++i) REQUIRE(sorted[static_cast<size_t>(i)] == i);
      orders.insert(order);
    }
    if (size >= 16) CHECK(orders.size() == 4);
  }
  // No visible pattern: how often a place keeps its number or its neighbour.
  int fixed = 0, neighbours = 0;
  for (int64_t i = 0; i + 1 < 10000; ++i) {
    fixed += permuted(i, 10000, 5) == i;
    neighbours += std::abs(permuted(i, 10000, 5) - permuted(i + 1, 10000, 5)) == 1;
  }
  CHECK(fixed < 10);
  CHECK(neighbours < 15);
}

TEST_CASE("an example is laid out as the model reads it") {
  ScratchFolder folder;
  write_file(folder / "f.tsv", "1 2\t3 4 5\n6\t7\n");
  const auto corpus = std::make_shared<const PairCorpus>(PairCorpus::open(folder / "f.tsv", number_encoder()));
  EvaluationBatches forward(corpus, {false, {900}}, {.start = 999, .eos = 998}, 100);
  auto batch = forward.next().value();
  CHECK(ids(batch.source_ids) == Ids{900, 1, 2, 998, 900, 6, 998});
  CHECK(ids(batch.source_offsets) == Ids{0, 4, 7});
  CHECK(ids(batch.source_positions) == Ids{0, 1, 2, 3, 0, 1, 2});
  CHECK(ids(batch.decoder_ids) == Ids{999, 3, 4, 5, 999, 7});
  CHECK(ids(batch.labels) == Ids{3, 4, 5, 998, 7, 998});
  CHECK(ids(batch.target_offsets) == Ids{0, 4, 6});
  CHECK(ids(batch.target_positions) == Ids{0, 1, 2, 3, 0, 1});
  CHECK(batch.source_tokens() == 7);
  CHECK(batch.target_tokens() == 6);
  CHECK(batch.examples() == 2);
  CHECK(!forward.next());
  EvaluationBatches backward(corpus, {true, {}}, {.start = 999, .eos = 998, .source_eos = false}, 100);
  batch = backward.next().value();
  CHECK(ids(batch.source_ids) == Ids{3, 4, 5, 7});
  CHECK(ids(batch.labels) == Ids{1, 2, 998, 6, 998});
}

TEST_CASE("evaluation walks once through the file, in order, within the limit") {
  const Data data;
  EvaluationBatches batches(data.large, {}, {.start = 999, .eos = 998}, 64);
  int64_t next = 0;
  nlohmann::json middle;
  std::vector<Ids> after_middle;
  while (auto batch = batches.next()) {
    CHECK(batch->source_tokens() + batch->target_tokens() <= 64);
    if (middle.is_object() && after_middle.empty()) after_middle = contents(*batch);
    for (const auto& origin : batch->origins) CHECK(origin.pair == next++);
    if (next > 100 && middle.is_null()) middle = batches.state();
  }
  CHECK(next == 400);
  batches.restore(middle);
  CHECK(contents(batches.next().value()) == after_middle);
  batches.rewind();
  CHECK(batches.next()->origins[0].pair == 0);
  CHECK_THROWS_AS(batches.restore({{"pair", 401}}), ConfigError);
  CHECK_THROWS_AS(batches.restore(3), ConfigError);
}

TEST_CASE("the stream is a function of its seed") {
  const Data data;
  TrainingBatches a(data.two(), options()), b(data.two(), options()), c(data.two(), options(120, 64, 4));
  const auto first = take(a, 60);
  CHECK(first == take(b, 60));
  CHECK(first != take(c, 60));
  // And of nothing else: a later version takes up the runs of an earlier one.
  Hash64 hash;
  for (const auto& batch : first)
    for (const Ids& part : batch) hash.add(fmt::format("{}", fmt::join(part, " ")));
  CHECK(hash.text() == "c505086ba1b3de09");
  CHECK(a.state().at("stream") == "354c6bcccdbd9a69");
}

TEST_CASE("every batch is within the limit, and full where length allows") {
  const Data data;
  TrainingBatches batches(data.two(), options(120, 1000));
  int64_t tokens = 0;
  for (int i = 0; i < 100; ++i) {
    const auto batch = batches.next().value();
    REQUIRE(batch.source_tokens() + batch.target_tokens() <= 120);
    tokens += batch.source_tokens() + batch.target_tokens();
    // Sorted by length: within a batch lengths are close.
    int64_t shortest = 1000, longest = 0;
    const auto from = ids(batch.source_offsets), to = ids(batch.target_offsets);
    for (size_t e = 0; e + 1 < from.size(); ++e) {
      const int64_t length = from[e + 1] - from[e] + to[e + 1] - to[e];
      shortest = std::min(shortest, length);
      longest = std::max(longest, length);
    }
    CHECK(longest - shortest <= 3);
  }
  CHECK(tokens > 100 * 120 * 0.8);
}

TEST_CASE("each source gives each of its examples once an epoch, in a new order") {
  const Data data;
  TrainingBatches batches(data.two(), options());
  // Batches are shuffled within a pool, so epochs are seen in whole pools: collect 40 of them.
  std::map<int, std::map<std::pair<int, int64_t>, int>> seen;
  std::vector<int64_t> given(2);
  for (int64_t examples = 0; examples < 64 * 40;) {
    const auto batch = batches.next().value();
    examples += batch.examples();
    for (const auto& origin : batch.origins) {
      ++seen[origin.source][{origin.direction, origin.pair}];
      ++given[static_cast<size_t>(origin.source)];
    }
  }
  for (int source : {0, 1}) {
    const int64_t size = source == 0 ? 74 : 400;
    const int64_t count = given[static_cast<size_t>(source)], whole = count / size;
    CHECK(whole >= 1);
    CHECK(std::ssize(seen[source]) == size);
    for (const auto& [example, times] : seen[source]) {
      CHECK(times >= whole);
      CHECK(times <= whole + (count % size != 0));
    }
    CHECK(batches.epochs(static_cast<size_t>(source)) == doctest::Approx(double(count) / double(size)));
  }
}

TEST_CASE("weights are shares of the examples") {
  const Data data;
  auto sources = data.two();
  sources.push_back({data.small, 0, {Direction{}}});
  TrainingBatches batches(sources, options(120, 512));
  std::vector<double> given(3);
  double total = 0;
  while (total < 20000) {
    const auto batch = batches.next().value();
    for (const auto& origin : batch.origins) ++given[static_cast<size_t>(origin.source)];
    total += static_cast<double>(batch.examples());
  }
  CHECK(given[0] / total == doctest::Approx(0.75).epsilon(0.02));
  CHECK(given[1] / total == doctest::Approx(0.25).epsilon(0.05));
  CHECK(given[2] == 0);
}

TEST_CASE("restored at any point, the stream goes on exactly") {
  const Data data;
  TrainingBatches reference(data.two(), options());
  const auto all = take(reference, 150);
  std::minstd_rand random(5);
  for (int round = 0; round < 30; ++round) {
    const int cut = static_cast<int>(random() % 100);
    CAPTURE(cut);
    TrainingBatches before(data.two(), options());
    take(before, cut);
    const std::string text = before.state().dump();
    CHECK(text.size() < 200);
    TrainingBatches after(data.two(), options());
    take(after, static_cast<int>(random() % 5));
    after.restore(nlohmann::json::parse(text));
    CHECK(after.state() == before.state());
    REQUIRE(take(after, 50) == std::vector(all.begin() + cut, all.begin() + cut + 50));
  }
}

TEST_CASE("split anew at each draw, an example says the same in other tokens, within the limits") {
  const Tokenizer tokenizer = toy_bpe();
  const Data data{encoder_of(tokenizer)};
  TrainingBatches batches(data.two(), split_options(tokenizer, 0.3, 24));
  std::map<std::tuple<int32_t, int32_t, int64_t>, std::set<Ids>> seen;
  int64_t sides = 0, whole = 0, tokens = 0, filled = 0;
  for (int i = 0; i < 400; ++i) {
    const auto batch = batches.next().value();
    REQUIRE(batch.source_tokens() + batch.target_tokens() <= 200);
    filled += batch.source_tokens() + batch.target_tokens();
    const Ids source = ids(batch.source_ids), labels = ids(batch.labels), decoder = ids(batch.decoder_ids);
    const Ids from = ids(batch.source_offsets), to = ids(batch.target_offsets);
    for (size_t e = 0; e < batch.origins.size(); ++e) {
      const auto& origin = batch.origins[e];
      const bool large = origin.source == 1, reversed = origin.direction == 1;
      Ids prefix = large ? Ids{} : Ids{900 + origin.direction};
      Ids text(source.begin() + from[e], source.begin() + from[e + 1]),
          target(labels.begin() + to[e], labels.begin() + to[e + 1]);
      REQUIRE(std::equal(prefix.begin(), prefix.end(), text.begin()));
      REQUIRE(text.back() == 998);
      REQUIRE(target.back() == 998);
      REQUIRE(decoder[static_cast<size_t>(to[e])] == 999);
      REQUIRE(std::equal(target.begin(), target.end() - 1, decoder.begin() + to[e] + 1));
      const PairCorpus& corpus = large ? *data.large : *data.small;
      Ids read_source, read_target;
      corpus.append_source(origin.pair, reversed ? read_target : read_source);
      corpus.append_target(origin.pair, reversed ? read_source : read_target);
      REQUIRE(tokenizer.decode(text) == tokenizer.decode(read_source));
      REQUIRE(tokenizer.decode(target) == tokenizer.decode(read_target));
      CHECK((std::ssize(text) <= 24 || text.size() == read_source.size() + prefix.size() + 1));
      CHECK((std::ssize(target) <= 24 || target.size() == read_target.size() + 1));
      seen[{origin.source, origin.direction, origin.pair}].insert(text);
      sides += 2;
      whole += (text.size() == read_source.size() + prefix.size() + 1) + (target.size() == read_target.size() + 1);
      tokens += std::ssize(text) + std::ssize(target);
    }
  }
  CHECK(filled == tokens);
  CHECK(filled > 400 * 200 * 0.8);  // split before batches are cut
  CHECK(whole < sides * 0.6);
  int64_t draws = 0;
  for (const auto& [origin, texts] : seen) draws += std::ssize(texts);
  CHECK(draws > 3 * std::ssize(seen));  // the small corpus comes round a dozen times
}

TEST_CASE("a probability of 0 splits nothing, and what does not fit stays whole") {
  const Tokenizer tokenizer = toy_bpe();
  const Data data{encoder_of(tokenizer)};
  const auto stream = [&](const BatchOptions& how) {
    TrainingBatches batches(data.two(), how);
    return take(batches, 40);
  };
  CHECK(stream(split_options(tokenizer, 0)) == stream(options(200)));
  CHECK(stream(split_options(tokenizer, 0.2)) == stream(split_options(tokenizer, 0.2)));
  CHECK(stream(split_options(tokenizer, 0.2)) != stream(split_options(tokenizer, 0.3)));
  // Where neither side can grow nor the whole example, all stays as it is.
  CHECK(stream(split_options(tokenizer, 1, 2)) == stream(options(200)));
  BatchOptions tight = split_options(tokenizer, 1);
  tight.max_tokens = 40;
  TrainingBatches batches(data.two(), tight);
  for (int i = 0; i < 40; ++i) {
    const auto batch = batches.next().value();
    CHECK(batch.source_tokens() + batch.target_tokens() <= 40);
  }
}

TEST_CASE("the two sides of an example are split independently") {
  const Tokenizer tokenizer = toy_bpe();
  ScratchFolder folder;
  std::string lines;
  for (int i = 100; i < 300; ++i) lines += fmt::format("{0} {1} {2}\t{0} {1} {2}\n", i, i + 1, i + 2);
  write_file(folder / "same.tsv", lines);
  const auto corpus = std::make_shared<const PairCorpus>(PairCorpus::open(folder / "same.tsv", encoder_of(tokenizer)));
  TrainingBatches batches({{corpus, 1, {Direction{}}}}, split_options(tokenizer, 0.5));
  int same = 0, examples = 0;
  while (examples < 500) {
    const auto batch = batches.next().value();
    const Ids source = ids(batch.source_ids), labels = ids(batch.labels);
    const Ids from = ids(batch.source_offsets), to = ids(batch.target_offsets);
    for (size_t e = 0; e < batch.origins.size(); ++e, ++examples)
      same += std::equal(source.begin() + from[e], source.begin() + from[e + 1], labels.begin() + to[e],
                         labels.begin() + to[e + 1]);
  }
  CHECK(same < examples / 3);
}

TEST_CASE("split batches are the same after a restore and when made ahead") {
  const Tokenizer tokenizer = toy_bpe();
  const Data data{encoder_of(tokenizer)};
  const BatchOptions how = split_options(tokenizer, 0.2);
  TrainingBatches reference(data.two(), how);
  const auto all = take(reference, 90);
  for (const int cut : {0, 1, 17, 40}) {
    CAPTURE(cut);
    TrainingBatches before(data.two(), how);
    take(before, cut);
    Prefetch after(std::make_unique<TrainingBatches>(data.two(), how), 3);
    take(after, 5);
    after.restore(nlohmann::json::parse(before.state().dump()));
    CHECK(take(after, 50) == std::vector(all.begin() + cut, all.begin() + cut + 50));
    for (const BatchOptions& other : {options(200), split_options(tokenizer, 0.3), split_options(tokenizer, 0.2, 99)})
      CHECK_THROWS_WITH_AS(TrainingBatches(data.two(), other).restore(before.state()),
                           doctest::Contains("other data, weights or batch options"), ConfigError);
  }
}

TEST_CASE("states of other streams and impossible options are refused") {
  const Data data;
  TrainingBatches batches(data.two(), options());
  const auto expected = take(batches, 3);
  const auto state = batches.state();
  TrainingBatches other(data.two(), options(120, 65));
  CHECK_THROWS_WITH_AS(other.restore(state), doctest::Contains("other data, weights or batch options"), ConfigError);
  auto sources = data.two();
  sources[0].weight = 2;
  CHECK_THROWS_AS(TrainingBatches(sources, options()).restore(state), ConfigError);
  for (const auto& [key, value] : std::map<std::string, nlohmann::json>{
           {"batch", 1000}, {"batch", "x"}, {"drawn", {1}}, {"drawn", {-1, 0}}, {"stream", nullptr}}) {
    auto broken = state;
    broken[key] = value;
    CHECK_THROWS_AS(batches.restore(broken), ConfigError);
  }
  CHECK_THROWS_AS(batches.restore(nlohmann::json::array()), ConfigError);

  CHECK_THROWS_WITH_AS(TrainingBatches(data.two(), options(10)), doctest::Contains("cannot hold an example of"),
                       ConfigError);
  CHECK_THROWS_AS(TrainingBatches({}, options()), ConfigError);
  CHECK_THROWS_AS(TrainingBatches({{data.small, 0, {Direction{}}}}, options()), ConfigError);
  CHECK_THROWS_AS(TrainingBatches({{data.small, -1, {Direction{}}}}, options()), ConfigError);
  CHECK_THROWS_AS(TrainingBatches({{data.small, 1, {}}}, options()), ConfigError);
  CHECK_THROWS_AS(TrainingBatches(data.two(), options(120, 0)), ConfigError);
}

TEST_CASE("prefetching changes neither batches nor states") {
  const Data data;
  TrainingBatches plain(data.two(), options());
  for (int depth : {1, 4}) {
    TrainingBatches reference(data.two(), options());
    Prefetch ahead(std::make_unique<TrainingBatches>(data.two(), options()), depth);
    CHECK(ahead.state() == reference.state());
    nlohmann::json saved;
    for (int i = 0; i < 80; ++i) {
      REQUIRE(contents(ahead.next().value()) == contents(reference.next().value()));
      REQUIRE(ahead.state() == reference.state());
      if (i == 40) saved = ahead.state();
    }
    ahead.restore(saved);
    reference.restore(saved);
    CHECK(take(ahead, 30) == take(reference, 30));
    CHECK_THROWS_AS(ahead.restore({{"stream", "x"}}), ConfigError);
    CHECK(take(ahead, 5) == take(reference, 5));
  }
  CHECK_THROWS_AS(Prefetch(std::make_unique<TrainingBatches>(data.two(), options()), 0), ConfigError);
}

TEST_CASE("prefetching ends as its source ends, also by an exception, and may be dropped early") {
  const Data data;
  const auto evaluation = [&] {
    return std::make_unique<EvaluationBatches>(data.small, Direction{}, ExampleLayout{.start = 999, .eos = 998}, 64);
  };
  Prefetch whole(evaluation(), 2);
  int64_t pairs = 0;
  while (auto batch = whole.next()) pairs += batch->examples();
  CHECK(pairs == 37);
  CHECK(!whole.next());
  whole.restore({{"pair", 30}});
  CHECK(whole.next()->origins[0].pair == 30);

  Prefetch failing(std::make_unique<Failing>(evaluation(), 3), 2);
  for (int i = 0; i < 3; ++i) CHECK(failing.next());
  for (int i = 0; i < 2; ++i) CHECK_THROWS_WITH_AS(failing.next(), "the disk is gone", FormatError);

  for (int taken = 0; taken < 3; ++taken) {
    Prefetch dropped(std::make_unique<TrainingBatches>(data.two(), options()), 3);
    PackedBatch kept;
    for (int i = 0; i < taken; ++i) kept = dropped.next().value();
  }
}
