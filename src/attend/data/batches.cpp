#include <attend/base/error.hpp>
#include <attend/base/hash.hpp>
#include <attend/data/batches.hpp>
#include <attend/tensor/random.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cmath>

namespace attend {
namespace {

using Origin = PackedBatch::Origin;

const Direction& direction_of(const TrainingSource& source, const Origin& origin) {
  return source.directions[static_cast<size_t>(origin.direction)];
}

// Tokens of an example that are not its text's: of the source side, and of the target side (eos).
int64_t source_frame(const Direction& direction, const ExampleLayout& layout) {
  return std::ssize(direction.prefix) + (layout.source_eos ? 1 : 0);
}
constexpr int64_t target_frame = 1;

int64_t length_of(const TrainingSource& source, const Origin& origin, const ExampleLayout& layout) {
  return source.corpus->source_length(origin.pair) + source.corpus->target_length(origin.pair) +
         source_frame(direction_of(source, origin), layout) + target_frame;
}

// What an example says, without prefix and eos.
struct Text {
  std::vector<int32_t> source, target;
};

Text text_of(const TrainingSource& source, const Origin& origin) {
  Text text;
  const bool reversed = direction_of(source, origin).reversed;
  source.corpus->append_source(origin.pair, reversed ? text.target : text.source);
  source.corpus->append_target(origin.pair, reversed ? text.source : text.target);
  return text;
}

// The text as the draw-th example of the stream says it. It is made twice, for its length and for its batch: remembered
// for a whole pool it would need more memory than time.
Text split_text_of(const TrainingSource& source, const Origin& origin, uint64_t draw, const BatchOptions& options) {
  Text whole = text_of(source, origin);
  if (!options.splits) return whole;
  const Random random{options.seed, draw};
  const int64_t frame = source_frame(direction_of(source, origin), options.layout);
  Text text{options.splits->split(whole.source, random.key("split source"), options.max_length - frame),
            options.splits->split(whole.target, random.key("split target"), options.max_length - target_frame)};
  const bool fits = std::ssize(text.source) + frame + std::ssize(text.target) + target_frame <= options.max_tokens;
  return fits ? text : whole;
}

int64_t split_length_of(const TrainingSource& source, const Origin& origin, uint64_t draw,
                        const BatchOptions& options) {
  if (!options.splits) return length_of(source, origin, options.layout);  // without a look at the ids
  const Text text = split_text_of(source, origin, draw, options);
  return std::ssize(text.source) + source_frame(direction_of(source, origin), options.layout) +
         std::ssize(text.target) + target_frame;
}

// Collects examples and makes tensors of them.
class Packer {
 public:
  explicit Packer(const ExampleLayout& layout) : layout_(layout) {}

  void add(const Origin& origin, const std::vector<int32_t>& prefix, const Text& text) {
    source_.append(prefix);
    source_.append(text.source);
    if (layout_.source_eos) source_.ids.push_back(layout_.eos);
    source_.close();

    decoder_.push_back(layout_.start);
    decoder_.insert(decoder_.end(), text.target.begin(), text.target.end());
    target_.append(text.target);
    target_.ids.push_back(layout_.eos);
    target_.close();
    batch_.origins.push_back(origin);
  }

  PackedBatch take() {
    batch_.source_ids = tensor(source_.ids);
    batch_.source_offsets = tensor(source_.offsets);
    batch_.source_positions = tensor(source_.positions);
    batch_.decoder_ids = tensor(decoder_);
    batch_.labels = tensor(target_.ids);
    batch_.target_offsets = tensor(target_.offsets);
    batch_.target_positions = tensor(target_.positions);
    return std::move(batch_);
  }

 private:
  struct Side {
    std::vector<int32_t> ids, offsets = {0}, positions;
    void append(const std::vector<int32_t>& more) { ids.insert(ids.end(), more.begin(), more.end()); }
    void close() {
      for (int32_t position = 0; positions.size() < ids.size(); ++position) positions.push_back(position);
      offsets.push_back(static_cast<int32_t>(ids.size()));
    }
  };
  static Tensor tensor(const std::vector<int32_t>& values) { return Tensor::from({std::ssize(values)}, values); }

  ExampleLayout layout_;
  Side source_, target_;
  std::vector<int32_t> decoder_;
  PackedBatch batch_;
};

void check_fits(const TrainingSource& source, const ExampleLayout& layout, int64_t max_tokens) {
  if (source.directions.empty()) fail<ConfigError>("batches: a corpus without a direction");
  int64_t longest = 0;
  for (const auto& direction : source.directions)
    longest = std::max(longest, source.corpus->counts().longest_pair + source_frame(direction, layout) + target_frame);
  if (longest > max_tokens)
    fail<ConfigError>("batches: max_tokens {} cannot hold an example of {} tokens; raise it, or leave out longer pairs",
                      max_tokens, longest);
  if (max_tokens > std::numeric_limits<int32_t>::max())
    fail<ConfigError>("batches: max_tokens {} is beyond 31 bits", max_tokens);
}

// Every field that changes the stream.
std::string stream_fingerprint(const std::vector<TrainingSource>& sources, const BatchOptions& options) {
  Hash64 hash;
  hash.add(fmt::format("{} {} {} {} {} {}", options.layout.start, options.layout.eos, options.layout.source_eos,
                       options.max_tokens, options.pool, options.seed));
  if (options.splits) hash.add(fmt::format("{:a} {}", options.splits->probability(), options.max_length));
  for (const auto& source : sources) {
    hash.add(source.corpus->fingerprint());
    hash.add(fmt::format("{:a}", source.weight));
    for (const auto& direction : source.directions) {
      std::string text = direction.reversed ? "r" : "f";
      for (int32_t id : direction.prefix) text += fmt::format(" {}", id);
      hash.add(text);
    }
  }
  return hash.text();
}

}  // namespace

// A Feistel network is a bijection of 2^(2·half) numbers; walking on until the result is below `size` makes it one of
// [0, size), after fewer than four steps on average.
int64_t permuted(int64_t index, int64_t size, uint64_t key) {
  const int half = std::max(1, (static_cast<int>(std::bit_width(static_cast<uint64_t>(size - 1))) + 1) / 2);
  const uint64_t mask = (uint64_t{1} << half) - 1;
  auto value = static_cast<uint64_t>(index);
  do {
    uint64_t left = value >> half, right = value & mask;
    for (uint64_t round = 0; round < 4; ++round) {
      const uint64_t next = left ^ (mix64(key + mix64(right + (round << 48))) & mask);
      left = right;
      right = next;
    }
    value = left << half | right;
  } while (value >= static_cast<uint64_t>(size));
  return static_cast<int64_t>(value);
}

TrainingBatches::TrainingBatches(std::vector<TrainingSource> sources, BatchOptions options)
    : sources_(std::move(sources)), options_(options), drawn_before_(sources_.size()), drawn_after_(sources_.size()) {
  if (sources_.empty()) fail<ConfigError>("batches: no corpus to draw from");
  if (options_.pool < 1) fail<ConfigError>("batches: a pool of {} examples", options_.pool);
  double total = 0;
  for (const auto& source : sources_) {
    if (!(source.weight >= 0) || std::isinf(source.weight))
      fail<ConfigError>("batches: a weight of {}, not a number from 0", source.weight);
    check_fits(source, options_.layout, options_.max_tokens);
    cumulative_.push_back(total += source.weight);
  }
  if (total <= 0) fail<ConfigError>("batches: all weights are 0");
  for (double& sum : cumulative_) sum /= total;
  fingerprint_ = stream_fingerprint(sources_, options_);
}

int64_t TrainingBatches::examples_of(size_t source) const {
  return sources_[source].corpus->size() * std::ssize(sources_[source].directions);
}

double TrainingBatches::epochs(size_t source) const {
  return static_cast<double>(batches_.empty() ? drawn_before_[source] : drawn_after_[source]) /
         static_cast<double>(examples_of(source));
}

void TrainingBatches::fill_pool() {
  const Random random{options_.seed, pool_};
  const uint64_t draw = random.key("draw"), tie = random.key("tie");
  drawn_after_ = drawn_before_;
  std::vector<Example> pool;
  pool.reserve(static_cast<size_t>(options_.pool));
  for (int64_t i = 0; i < options_.pool; ++i) {
    const double u = Random::uniform(draw, static_cast<uint64_t>(i));
    // The first sum above u belongs to a source with weight; at u near 1 rounding must not lead past the last such one.
    size_t s = static_cast<size_t>(std::upper_bound(cumulative_.begin(), cumulative_.end(), u) - cumulative_.begin());
    if (s == sources_.size())
      for (s = sources_.size() - 1; sources_[s].weight == 0;) --s;
    const int64_t size = examples_of(s), number = drawn_after_[s]++;
    const Random order{options_.seed, static_cast<uint64_t>(number / size)};
    const int64_t example = permuted(number % size, size, order.key(fmt::format("order {}", s)));
    const auto directions = std::ssize(sources_[s].directions);
    const Origin origin{static_cast<int32_t>(s), static_cast<int32_t>(example % directions), example / directions};
    const uint64_t draw_number = pool_ * static_cast<uint64_t>(options_.pool) + static_cast<uint64_t>(i);
    pool.push_back({origin, draw_number, split_length_of(sources_[s], origin, draw_number, options_)});
  }
  std::vector<uint32_t> by_length(pool.size());
  for (size_t i = 0; i < pool.size(); ++i) by_length[i] = static_cast<uint32_t>(i);
  std::sort(by_length.begin(), by_length.end(), [&](uint32_t a, uint32_t b) {
    if (pool[a].length != pool[b].length) return pool[a].length < pool[b].length;
    const uint64_t x = mix64(tie + mix64(a)), y = mix64(tie + mix64(b));
    return x != y ? x < y : a < b;
  });
  std::vector<std::vector<Example>> cut;
  int64_t tokens = 0;
  for (uint32_t i : by_length) {
    if (cut.empty() || tokens + pool[i].length > options_.max_tokens) {
      cut.emplace_back();
      tokens = 0;
    }
    cut.back().push_back(pool[i]);
    tokens += pool[i].length;
  }
  batches_.resize(cut.size());
  const uint64_t key = random.key("batches");
  for (size_t i = 0; i < cut.size(); ++i)
    batches_[static_cast<size_t>(permuted(static_cast<int64_t>(i), std::ssize(cut), key))] = std::move(cut[i]);
}

std::optional<PackedBatch> TrainingBatches::next() {
  if (!batches_.empty() && batch_ == batches_.size()) {
    drawn_before_ = drawn_after_;
    ++pool_;
    batch_ = 0;
    batches_.clear();
  }
  if (batches_.empty()) fill_pool();
  Packer packer(options_.layout);
  for (const auto& [origin, draw, length] : batches_[batch_]) {
    const TrainingSource& source = sources_[static_cast<size_t>(origin.source)];
    packer.add(origin, direction_of(source, origin).prefix, split_text_of(source, origin, draw, options_));
  }
  ++batch_;
  return packer.take();
}

nlohmann::json TrainingBatches::state() const {
  return {{"stream", fingerprint_}, {"pool", pool_}, {"batch", batch_}, {"drawn", drawn_before_}};
}

void TrainingBatches::restore(const nlohmann::json& state) {
  uint64_t pool = 0, batch = 0;
  std::vector<int64_t> drawn;
  std::string stream;
  try {
    stream = state.at("stream").get<std::string>();
    pool = state.at("pool").get<uint64_t>();
    batch = state.at("batch").get<uint64_t>();
    drawn = state.at("drawn").get<std::vector<int64_t>>();
  } catch (const nlohmann::json::exception&) {
    fail<ConfigError>("batches: not a state of this stream");
  }
  if (stream != fingerprint_)
    fail<ConfigError>("batches: the state belongs to other data, weights or batch options; resume with the same ones");
  if (drawn.size() != sources_.size() ||
      std::any_of(drawn.begin(), drawn.end(), [](int64_t n) { return n < 0 || n >> 60; }))
    fail<ConfigError>("batches: not a state of this stream");
  pool_ = pool;
  drawn_before_ = std::move(drawn);
  batches_.clear();
  batch_ = 0;
  if (batch == 0) return;
  fill_pool();
  if (batch > batches_.size()) fail<ConfigError>("batches: not a state of this stream");
  batch_ = batch;
}

EvaluationBatches::EvaluationBatches(std::shared_ptr<const PairCorpus> corpus, Direction direction,
                                     ExampleLayout layout, int64_t max_tokens)
    : source_{std::move(corpus), 1, {std::move(direction)}}, layout_(layout), max_tokens_(max_tokens) {
  check_fits(source_, layout_, max_tokens_);
}

std::optional<PackedBatch> EvaluationBatches::next() {
  if (next_pair_ == source_.corpus->size()) return std::nullopt;
  Packer packer(layout_);
  for (int64_t tokens = 0; next_pair_ < source_.corpus->size(); ++next_pair_) {
    const Origin origin{0, 0, next_pair_};
    tokens += length_of(source_, origin, layout_);
    if (tokens > max_tokens_) break;
    packer.add(origin, direction_of(source_, origin).prefix, text_of(source_, origin));
  }
  return packer.take();
}

nlohmann::json EvaluationBatches::state() const { return {{"pair", next_pair_}}; }

void EvaluationBatches::restore(const nlohmann::json& state) {
  const auto pair = state.find("pair");
  if (pair == state.end() || !pair->is_number_integer() || pair->get<int64_t>() < 0 ||
      pair->get<int64_t>() > source_.corpus->size())
    fail<ConfigError>("batches: not a state of this evaluation");
  next_pair_ = pair->get<int64_t>();
}

}  // namespace attend
