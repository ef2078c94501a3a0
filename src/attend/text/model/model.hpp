// Stage 3 of a tokenizer: pieces to ids ("model" of tokenizer.json).
#pragma once

#include <simdjson.h>

#include <memory>
#include <string_view>
#include <vector>

#include "attend/text/json.hpp"
#include "attend/text/model/pair_table.hpp"
#include "attend/text/model/vocabulary.hpp"

namespace attend {

/// Ids of a piece with the bytes that each covers, in order.
struct ModelTokens {
  std::vector<int32_t> ids;
  std::vector<uint32_t> lengths;

  void clear() noexcept {
    ids.clear();
    lengths.clear();
  }
  void add(int32_t id, uint32_t length) {
    ids.push_back(id);
    lengths.push_back(length);
  }
};

/// Immutable once built, so that many threads may share it; what a call needs beside it lives in a Scratch.
class Model {
 public:
  struct Scratch {
    virtual ~Scratch() = default;
  };

  virtual ~Model() = default;
  virtual std::unique_ptr<Scratch> make_scratch() const = 0;

  /// Appends the tokens of a non-empty piece. byte_level: the vocabulary is written in byte-level characters, while
  /// `piece` and the lengths are in bytes.
  virtual void tokenize(std::string_view piece, bool byte_level, Scratch& scratch, ModelTokens& out) const = 0;

  virtual const Vocabulary& vocabulary() const noexcept = 0;

  /// By rank, lowest first; empty for models that do not merge.
  virtual std::vector<TokenMerge> merges() const { return {}; }

  /// The "model" object that builds this model again.
  virtual json::Json config() const = 0;
};

/// Builds the model of a tokenizer.json. Throws FormatError, or Unsupported naming the type.
std::unique_ptr<Model> make_model(simdjson::dom::element config);

bool knows_model(std::string_view type);

/// The "type" of a model; files from before types were written are told apart by their members.
std::string model_type(simdjson::dom::element config);

// The types, one file each.
std::unique_ptr<Model> make_bpe(simdjson::dom::object config);

}  // namespace attend
