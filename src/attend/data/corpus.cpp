#include <attend/base/error.hpp>
#include <attend/base/file.hpp>
#include <attend/base/hash.hpp>
#include <attend/base/json.hpp>
#include <attend/data/corpus.hpp>
#include <attend/tensor/context.hpp>

#include <unistd.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>

namespace attend {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// BASE.ids: the ids of all pairs. BASE.pairs: a Record for each, then a JSON summary, its size as 8 bytes and a mark.
// It is written last, so where it exists, the other is complete.
constexpr std::string_view mark = "atnpair1";
constexpr size_t tail_bytes = 16;
constexpr size_t chunk_pairs = 2048;

std::string fingerprint_of(const fs::path& path, const TextEncoder& encoder, const CorpusOptions& options) {
  Hash64 hash;
  hash.add(mark);
  const FileDigest digest = digest_file(path);
  hash.add(digest.hash);
  hash.add(std::to_string(digest.bytes));
  hash.add(encoder.fingerprint);
  const auto& pairs = options.pairs;
  // The name decides the format where that is automatic.
  hash.add(pairs.format == PairFormat::automatic ? path.filename().string() : "");
  for (const auto& text : {pairs.source, pairs.target}) hash.add(text);
  for (const auto& text : pairs.only) hash.add(text);
  hash.add(fmt::format("{} {} {} {} {} {} {}", static_cast<int>(pairs.format), pairs.header,
                       static_cast<int>(pairs.on_bad), pairs.max_line_bytes, options.max_tokens, options.max_ratio,
                       encoder.vocab_size));
  return hash.text();
}

json summary_of(const CorpusCounts& counts, uint64_t id_bytes, uint64_t ids) {
  return {{"pairs", counts.lines.pairs},
          {"empty", counts.lines.empty},
          {"bad", counts.lines.bad},
          {"first_bad", counts.lines.first_bad},
          {"too_long", counts.too_long},
          {"ratio", counts.ratio},
          {"source_tokens", counts.source_tokens},
          {"target_tokens", counts.target_tokens},
          {"longest_pair", counts.longest_pair},
          {"id_bytes", id_bytes},
          {"ids", ids}};
}

// Encodes texts[i] into ids[i] for all i, on all threads of the context.
void encode_all(const TextEncoder& encoder, const std::vector<std::string>& texts,
                std::vector<std::vector<int32_t>>& ids) {
  ids.resize(std::max(ids.size(), texts.size()));
  std::vector<std::exception_ptr> errors(texts.size());
  parallel_for(Context::current().pool(), static_cast<int64_t>(texts.size()), 16,
               [&](int64_t begin, int64_t end, int) noexcept {
                 for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
                   ids[i].clear();
                   try {
                     encoder.encode(texts[i], ids[i]);
                   } catch (...) {
                     errors[i] = std::current_exception();
                   }
                 }
               });
  for (const auto& error : errors)
    if (error) std::rethrow_exception(error);
}

void write_ids(FileWriter& writer, const std::vector<int32_t>& ids, uint64_t id_bytes, int32_t vocab_size) {
  for (int32_t id : ids) {
    if (id < 0 || id >= vocab_size)
      fail<ShapeError>("corpus: the tokenizer gave the id {}, outside its vocabulary of {}", id, vocab_size);
    writer.write(&id, id_bytes);  // little-endian
  }
}

struct Filter {
  int64_t max_tokens;
  double max_ratio;
  bool passes(size_t source, size_t target, CorpusCounts& counts) const {
    const auto longer = static_cast<double>(std::max(source, target));
    const auto shorter = static_cast<double>(std::min(source, target));
    if (longer > static_cast<double>(max_tokens)) return ++counts.too_long, false;
    if (max_ratio > 0 && longer > max_ratio * shorter) return ++counts.ratio, false;
    return true;
  }
};

}  // namespace

PairCorpus PairCorpus::open(const fs::path& path, const TextEncoder& encoder, const CorpusOptions& options) {
  if (options.max_tokens < 1) fail<ConfigError>("corpus: max_tokens is {}, not at least 1", options.max_tokens);
  if (options.max_ratio != 0 && !(options.max_ratio >= 1))
    fail<ConfigError>("corpus: max_ratio is {}, not 0 or at least 1", options.max_ratio);
  const std::string fingerprint = fingerprint_of(path, encoder, options);
  const bool keep = !options.cache_folder.empty();
  fs::path base = options.cache_folder / fingerprint;
  if (keep) {
    create_folders(options.cache_folder);
  } else {
    static std::atomic<int> number{0};
    base = fs::temp_directory_path() / fmt::format("attend-{}-{}-{}", ::getpid(), number++, fingerprint);
  }
  const auto with = [&](const char* extension) { return fs::path(base.string() + extension); };
  if (keep && fs::exists(with(".pairs"))) {
    try {
      return load(base, fingerprint);
    } catch (const Error&) {  // a damaged cache is made again
    }
  }

  // Unless they are kept, the files lose their names as soon as they are mapped, or on any error.
  struct Removal {
    std::vector<fs::path> paths;
    ~Removal() {
      std::error_code ignored;
      for (const auto& file : paths) fs::remove(file, ignored);
    }
  } removal;
  if (!keep) removal.paths = {with(".ids"), with(".pairs")};

  PairReader reader(path, options.pairs);
  FileWriter ids_file(with(".ids"));
  FileWriter records_file(with(".pairs"));
  const uint64_t id_bytes = encoder.vocab_size <= 65536 ? 2 : 4;
  const Filter filter{options.max_tokens, options.max_ratio};
  CorpusCounts counts;
  int64_t kept = 0;
  uint64_t position = 0;
  std::vector<std::string> texts;  // source, target, source, …
  std::vector<std::vector<int32_t>> ids;
  for (bool more = true; more;) {
    texts.clear();
    size_t bytes = 0;
    PairReader::Pair pair;
    while (texts.size() < 2 * chunk_pairs && bytes < (size_t{8} << 20) && (more = reader.next(pair))) {
      texts.emplace_back(pair.source);
      texts.emplace_back(pair.target);
      bytes += pair.source.size() + pair.target.size();
    }
    encode_all(encoder, texts, ids);
    for (size_t i = 0; i < texts.size(); i += 2) {
      const auto& source = ids[i];
      const auto& target = ids[i + 1];
      if (source.empty() || target.empty()) {
        ++counts.lines.empty;  // nothing that the tokenizer keeps
        continue;
      }
      if (!filter.passes(source.size(), target.size(), counts)) continue;
      write_ids(ids_file, source, id_bytes, encoder.vocab_size);
      write_ids(ids_file, target, id_bytes, encoder.vocab_size);
      const Record record{position, static_cast<uint32_t>(source.size()), static_cast<uint32_t>(target.size())};
      records_file.write(&record, sizeof record);
      position += source.size() + target.size();
      counts.source_tokens += std::ssize(source);
      counts.target_tokens += std::ssize(target);
      counts.longest_pair = std::max(counts.longest_pair, std::ssize(source) + std::ssize(target));
      ++kept;
    }
  }
  const int64_t blank = counts.lines.empty;
  counts.lines = reader.counts();
  counts.lines.empty += blank;
  counts.lines.pairs = kept;
  if (kept == 0)
    fail<FormatError>("{}: no pair left: {} empty, {} bad, {} too long, {} of unequal length{}{}", path.string(),
                      counts.lines.empty, counts.lines.bad, counts.too_long, counts.ratio,
                      counts.lines.bad ? "; first bad: " : "", counts.lines.first_bad);
  const std::string summary =
      summary_of(counts, id_bytes, position).dump(-1, ' ', false, json::error_handler_t::replace);
  const uint64_t summary_bytes = summary.size();
  records_file.write(summary);
  records_file.write(&summary_bytes, sizeof summary_bytes);
  records_file.write(mark);
  ids_file.commit();
  records_file.commit();
  return load(base, fingerprint);
}

PairCorpus PairCorpus::load(const fs::path& base, const std::string& fingerprint) {
  const fs::path records = base.string() + ".pairs";
  PairCorpus corpus(MemoryMap(base.string() + ".ids"), MemoryMap(records));
  const auto bytes = corpus.records_.bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto damaged = [&] { fail<FormatError>("{}: a damaged corpus cache; remove it", records.string()); };
  uint64_t summary_bytes = 0;
  if (text.size() < tail_bytes || !text.ends_with(mark)) damaged();
  std::memcpy(&summary_bytes, text.data() + text.size() - tail_bytes, sizeof summary_bytes);
  if (summary_bytes > text.size() - tail_bytes) damaged();
  const json summary =
      parse_json(text.substr(text.size() - tail_bytes - summary_bytes, summary_bytes), records.string());
  uint64_t ids = 0;
  try {
    auto& counts = corpus.counts_;
    counts.lines.pairs = summary.at("pairs").get<int64_t>();
    counts.lines.empty = summary.at("empty").get<int64_t>();
    counts.lines.bad = summary.at("bad").get<int64_t>();
    counts.lines.first_bad = summary.at("first_bad").get<std::string>();
    counts.too_long = summary.at("too_long").get<int64_t>();
    counts.ratio = summary.at("ratio").get<int64_t>();
    counts.source_tokens = summary.at("source_tokens").get<int64_t>();
    counts.target_tokens = summary.at("target_tokens").get<int64_t>();
    counts.longest_pair = summary.at("longest_pair").get<int64_t>();
    corpus.id_bytes_ = summary.at("id_bytes").get<uint64_t>();
    ids = summary.at("ids").get<uint64_t>();
  } catch (const json::exception&) {
    damaged();
  }
  corpus.size_ = corpus.counts_.lines.pairs;
  corpus.name_ = records.string();
  corpus.fingerprint_ = fingerprint;
  const uint64_t record_bytes = text.size() - tail_bytes - summary_bytes;
  const bool fits =
      (corpus.id_bytes_ == 2 || corpus.id_bytes_ == 4) && corpus.size_ > 0 && record_bytes % sizeof(Record) == 0 &&
      record_bytes / sizeof(Record) == static_cast<uint64_t>(corpus.size_) &&
      corpus.ids_.bytes().size() % corpus.id_bytes_ == 0 && corpus.ids_.bytes().size() / corpus.id_bytes_ == ids;
  if (!fits) damaged();
  return corpus;
}

const PairCorpus::Record& PairCorpus::record(int64_t pair) const {
  if (pair < 0 || pair >= size_) fail<ShapeError>("corpus: pair {} of {}", pair, size_);
  const auto& record = reinterpret_cast<const Record*>(records_.bytes().data())[pair];
  const uint64_t ids = ids_.bytes().size() / id_bytes_;
  if (record.begin > ids || uint64_t{record.source} + record.target > ids - record.begin)
    fail<FormatError>("{}: a damaged corpus cache; remove it", name_);
  return record;
}

void PairCorpus::append(uint64_t begin, uint64_t count, std::vector<int32_t>& ids) const {
  const std::byte* at = ids_.bytes().data() + begin * id_bytes_;
  if (id_bytes_ == 2) {
    const auto* from = reinterpret_cast<const uint16_t*>(at);
    ids.insert(ids.end(), from, from + count);
  } else {
    const auto* from = reinterpret_cast<const int32_t*>(at);
    ids.insert(ids.end(), from, from + count);
  }
}

void PairCorpus::append_source(int64_t pair, std::vector<int32_t>& ids) const {
  const Record& found = record(pair);
  append(found.begin, found.source, ids);
}

void PairCorpus::append_target(int64_t pair, std::vector<int32_t>& ids) const {
  const Record& found = record(pair);
  append(found.begin + found.source, found.target, ids);
}

}  // namespace attend
