#include "attend/text/model/bpe.hpp"

#include <algorithm>

#include "attend/base/error.hpp"
#include "attend/base/unicode.hpp"
#include "attend/text/byte_level.hpp"

namespace attend {
namespace {

struct Symbol {
  int32_t id;
  uint32_t length;  // bytes of the piece; 0 once merged into its left neighbour
  int32_t previous;
  int32_t next;
};

struct Candidate {
  int32_t rank;
  int32_t position;  // of the left symbol
  int32_t id;        // of the merged token

  /// For heaps whose top is the lowest rank, leftmost.
  bool operator<(const Candidate& other) const noexcept {
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

// Up to this many symbols looking at every pair is quicker than keeping a heap.
constexpr size_t short_word = 24;

}  // namespace

struct Bpe::State : Model::Scratch {
  std::vector<Symbol> symbols;
  std::vector<Candidate> heap;
  std::string characters;

  void add(int32_t id, uint32_t length) {
    const auto position = static_cast<int32_t>(symbols.size());
    symbols.push_back({id, length, position - 1, position + 1});
  }
};

Bpe::Bpe(std::unique_ptr<Vocabulary> vocabulary, const std::vector<TokenPair>& merges, BpeOptions options)
    : vocabulary_(std::move(vocabulary)), merges_(merges.size()), options_(std::move(options)) {
  std::string merged;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    std::string_view tail = right;
    const std::string& prefix = options_.continuing_subword_prefix;
    if (!prefix.empty()) tail.remove_prefix(std::min(prefix.size(), tail.size()));
    merged.assign(left).append(tail);
    const int32_t left_id = vocabulary_->find(left), right_id = vocabulary_->find(right);
    const int32_t id = vocabulary_->find(merged);
    if (left_id < 0 || right_id < 0 || id < 0)
      fail<FormatError>("tokenizer: merge {} \"{}\" + \"{}\": \"{}\" is not in the vocabulary", rank, left, right,
                        left_id < 0    ? left
                        : right_id < 0 ? right
                                       : merged);
    merges_.insert(left_id, right_id, {static_cast<int32_t>(rank), id});
  }
  if (options_.unk_token) {
    unk_id_ = vocabulary_->find(*options_.unk_token);
    if (unk_id_ < 0) fail<FormatError>("tokenizer: unk_token {} is not in the vocabulary", *options_.unk_token);
  }
  for (int byte = 0; byte < 256; ++byte) {
    append_utf8(byte_characters_[byte], byte_level_characters[byte]);
    byte_ids_[byte] = vocabulary_->find(byte_characters_[byte]);
    fallback_ids_[byte] = options_.byte_fallback ? vocabulary_->find(fmt::format("<0x{:02X}>", byte)) : -1;
  }
}

std::unique_ptr<Model::Scratch> Bpe::make_scratch() const { return std::make_unique<State>(); }

void Bpe::tokenize(std::string_view piece, bool byte_level, Scratch& scratch, ModelTokens& out) const {
  auto& state = static_cast<State&>(scratch);
  if (options_.ignore_merges) {
    std::string_view whole = piece;
    if (byte_level) {
      state.characters.clear();
      append_byte_level(state.characters, piece);
      whole = state.characters;
    }
    if (const int32_t id = vocabulary_->find(whole); id >= 0) return out.add(id, static_cast<uint32_t>(piece.size()));
  }
  state.symbols.clear();
  add_symbols(piece, byte_level, state);
  if (state.symbols.size() <= short_word)
    merge_short(state);
  else
    merge(state);
  for (const Symbol& symbol : state.symbols)
    if (symbol.length > 0) out.add(symbol.id, symbol.length);
}

void Bpe::add_symbols(std::string_view piece, bool byte_level, State& state) const {
  const bool plain = options_.continuing_subword_prefix.empty() && options_.end_of_word_suffix.empty();
  state.symbols.reserve(piece.size());
  uint32_t unk_length = 0;  // of the unknown characters not yet added
  auto flush_unk = [&] {
    if (unk_length > 0) state.add(unk_id_, unk_length);
    unk_length = 0;
  };
  for (size_t at = 0; at < piece.size();) {
    const auto byte = static_cast<unsigned char>(piece[at]);
    const uint32_t length = byte_level ? 1 : code_point_at(piece, at).length;
    std::string_view character = byte_level ? std::string_view(byte_characters_[byte]) : piece.substr(at, length);
    int32_t id;
    if (plain) {
      id = byte_level ? byte_ids_[byte] : vocabulary_->find(character);
    } else {
      state.characters.assign(at > 0 ? options_.continuing_subword_prefix : std::string_view());
      state.characters.append(character);
      if (at + length == piece.size()) state.characters.append(options_.end_of_word_suffix);
      character = state.characters;
      id = vocabulary_->find(character);
    }
    at += length;
    if (id >= 0) {
      flush_unk();
      state.add(id, length);
      continue;
    }
    const bool has_bytes = options_.byte_fallback && std::all_of(character.begin(), character.end(), [&](char c) {
                             return fallback_ids_[static_cast<unsigned char>(c)] >= 0;
                           });
    if (has_bytes) {
      // The bytes share out the character's length; what a prefix or suffix added beyond it has none to share.
      for (size_t i = 0; i < character.size() && i < length; ++i)
        state.add(fallback_ids_[static_cast<unsigned char>(character[i])], 1);
    } else if (unk_id_ >= 0) {
      if (!options_.fuse_unk) flush_unk();
      unk_length += length;
    }
  }
  flush_unk();
  if (!state.symbols.empty()) state.symbols.back().next = -1;
}

void Bpe::merge_short(State& state) const {
  auto& symbols = state.symbols;
  size_t count = symbols.size();
  if (count < 2) return;
  Merge pairs[short_word];  // pairs[i]: symbols i and i + 1
  auto look_up = [&](size_t i) { pairs[i] = merges_.find(symbols[i].id, symbols[i + 1].id); };
  for (size_t i = 0; i + 1 < count; ++i) look_up(i);
  for (;;) {
    size_t best = 0;
    // As unsigned numbers the ranks of missing merges (-1) are the largest.
    for (size_t i = 1; i + 1 < count; ++i)
      if (static_cast<uint32_t>(pairs[i].rank) < static_cast<uint32_t>(pairs[best].rank)) best = i;
    if (pairs[best].rank < 0) break;
    symbols[best].id = pairs[best].id;
    symbols[best].length += symbols[best + 1].length;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    --count;
    for (size_t i = best + 1; i + 1 < count; ++i) pairs[i] = pairs[i + 1];
    if (count < 2) break;
    if (best > 0) look_up(best - 1);
    if (best + 1 < count) look_up(best);
  }
}

void Bpe::merge(State& state) const {
  auto& symbols = state.symbols;
  auto& heap = state.heap;
  heap.clear();
  for (size_t i = 0; i + 1 < symbols.size(); ++i) {
    const Merge found = merges_.find(symbols[i].id, symbols[i + 1].id);
    if (found.rank >= 0) heap.push_back({found.rank, static_cast<int32_t>(i), found.id});
  }
  std::make_heap(heap.begin(), heap.end());
  auto consider = [&](int32_t left) {
    if (left < 0 || symbols[left].next < 0) return;
    const Merge found = merges_.find(symbols[left].id, symbols[symbols[left].next].id);
    if (found.rank < 0) return;
    heap.push_back({found.rank, left, found.id});
    std::push_heap(heap.begin(), heap.end());
  };
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    const Candidate top = heap.back();
    heap.pop_back();
    Symbol& left = symbols[top.position];
    if (left.length == 0 || left.next < 0) continue;
    Symbol& right = symbols[left.next];
    if (merges_.find(left.id, right.id).id != top.id) continue;  // a neighbour was merged meanwhile
    left.id = top.id;
    left.length += right.length;
    right.length = 0;
    left.next = right.next;
    if (left.next >= 0) symbols[left.next].previous = top.position;
    consider(left.previous);
    consider(top.position);
  }
}

std::vector<TokenMerge> Bpe::merges() const {
  std::vector<std::pair<int32_t, TokenMerge>> ranked;
  merges_.for_each([&](int32_t left, int32_t right, Merge merge) {
    ranked.push_back({merge.rank, {left, right, merge.id}});
  });
  std::sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<TokenMerge> merges;
  for (const auto& [rank, merge] : ranked) merges.push_back(merge);
  return merges;
}

json::Json Bpe::config() const {
  const auto text_or_null = [](const std::string& text) { return text.empty() ? json::Json() : json::Json(text); };
  json::Json config = {{"type", "BPE"},
                       {"dropout", nullptr},
                       {"unk_token", options_.unk_token ? json::Json(*options_.unk_token) : json::Json()},
                       {"continuing_subword_prefix", text_or_null(options_.continuing_subword_prefix)},
                       {"end_of_word_suffix", text_or_null(options_.end_of_word_suffix)},
                       {"fuse_unk", options_.fuse_unk},
                       {"byte_fallback", options_.byte_fallback},
                       {"ignore_merges", options_.ignore_merges}};
  json::Json vocab = json::Json::object();
  auto& entries = vocab.get_ref<json::Json::object_t&>();
  for (int32_t id = 0; id < vocabulary_->id_end(); ++id)
    if (const std::string* token = vocabulary_->token(id)) entries.emplace_back(*token, id);
  config["vocab"] = std::move(vocab);

  json::Json rows = json::Json::array();
  for (const TokenMerge& merge : merges())
    rows.push_back(json::Json::array({*vocabulary_->token(merge.left), *vocabulary_->token(merge.right)}));
  config["merges"] = std::move(rows);
  return config;
}

namespace {

std::string optional_string(simdjson::dom::object config, std::string_view name) {
  simdjson::dom::element member;
  if (config[name].get(member) || member.is_null()) return {};
  std::string_view text;
  if (member.get(text)) fail<FormatError>("model BPE: \"{}\" must be a string", name);
  return std::string(text);
}

bool optional_bool(simdjson::dom::object config, std::string_view name) {
  simdjson::dom::element member;
  if (config[name].get(member) || member.is_null()) return false;
  bool value = false;
  if (member.get(value)) fail<FormatError>("model BPE: \"{}\" must be true or false", name);
  return value;
}

Bpe::TokenPair read_merge(simdjson::dom::element merge) {
  std::string_view text, left, right;
  if (!merge.get(text)) {  // "left right"
    const size_t space = text.find(' ');
    if (space != std::string_view::npos && text.find(' ', space + 1) == std::string_view::npos)
      return {std::string(text.substr(0, space)), std::string(text.substr(space + 1))};
  } else if (simdjson::dom::array pair;
             !merge.get(pair) && pair.size() == 2 && !pair.at(0).get(left) && !pair.at(1).get(right)) {
    return {std::string(left), std::string(right)};
  }
  fail<FormatError>("model BPE: a merge must be \"left right\" or [\"left\", \"right\"], got {}",
                    simdjson::minify(merge).substr(0, 80));
}

}  // namespace

std::unique_ptr<Model> make_bpe(simdjson::dom::object config) {
  BpeOptions options;
  if (std::string unk = optional_string(config, "unk_token"); !unk.empty()) options.unk_token = std::move(unk);
  options.continuing_subword_prefix = optional_string(config, "continuing_subword_prefix");
  options.end_of_word_suffix = optional_string(config, "end_of_word_suffix");
  options.fuse_unk = optional_bool(config, "fuse_unk");
  options.byte_fallback = optional_bool(config, "byte_fallback");
  options.ignore_merges = optional_bool(config, "ignore_merges");
  simdjson::dom::element dropout;
  if (double rate = 0; !config["dropout"].get(dropout) && !dropout.is_null() && (dropout.get(rate) || rate != 0))
    fail<Unsupported>("model BPE: dropout {} would make ids random; set it to null", simdjson::minify(dropout));

  simdjson::dom::object entries;
  if (config["vocab"].get(entries)) fail<FormatError>("model BPE: \"vocab\" must be an object of tokens and ids");
  auto vocabulary = std::make_unique<Vocabulary>();
  vocabulary->reserve(entries.size());
  for (const auto [token, value] : entries) {
    int64_t id = -1;
    if (value.get(id)) fail<FormatError>("model BPE: the id of \"{}\" must be a whole number", token);
    vocabulary->add(token, id);
  }
  simdjson::dom::array rows;
  if (config["merges"].get(rows)) fail<FormatError>("model BPE: \"merges\" must be an array");
  std::vector<Bpe::TokenPair> merges;
  for (const auto row : rows) merges.push_back(read_merge(row));
  return std::make_unique<Bpe>(std::move(vocabulary), merges, std::move(options));
}

}  // namespace attend
