// A translator as a Marian folder that transformers and CTranslate2 open too.
#pragma once

#include <attend/models/transformer.hpp>
#include <attend/text/tokenizer.hpp>
#include <attend/train/options.hpp>

#include <filesystem>
#include <string>

namespace attend {

/// The id of a token that a translator needs. Throws ConfigError if the tokenizer does not have it.
int32_t id_of(const Tokenizer& tokenizer, const std::string& token);

/// A new model for this tokenizer, initialised by the seed. The padding token is the last id and starts the decoder;
/// its row is zero, and training must leave it so.
Transformer new_translator(const ModelOptions& options, const Tokenizer& tokenizer, uint64_t seed);

/// A model with the weights of a translator's folder, to train on: the recipe's shape must be the folder's, only
/// dropout may differ. Throws ConfigError naming the first difference.
Transformer translator_from(const std::filesystem::path& folder, const ModelOptions& options,
                            const Tokenizer& tokenizer);

/// Makes sure that the padding token is never the output: its logit becomes -10000 (which half precision can hold),
/// its probability 0. For finished models: with label smoothing such a logit would add a constant to the loss.
void forbid_padding(Transformer& model);

/// config.json, generation_config.json, model.safetensors, tokenizer.json, tokenizer_config.json.
void write_translator(const std::filesystem::path& folder, const Transformer& model, const Tokenizer& tokenizer,
                      DType dtype);

}  // namespace attend
