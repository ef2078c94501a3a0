// A translator as a Marian folder that transformers and CTranslate2 open too.
#pragma once

#include <attend/models/transformer.hpp>
#include <attend/text/tokenizer.hpp>
#include <attend/train/options.hpp>

#include <filesystem>

namespace attend {

/// A new model for this tokenizer, initialised by the seed. The padding token is the last id and starts the decoder:
/// its row is zero and stays so, and it can never be the output (its logit is -10000, which gives it the probability
/// and the gradient 0).
Transformer new_translator(const ModelOptions& options, const Tokenizer& tokenizer, uint64_t seed);

/// config.json, generation_config.json, model.safetensors, tokenizer.json, tokenizer_config.json.
void write_translator(const std::filesystem::path& folder, const Transformer& model, const Tokenizer& tokenizer,
                      DType dtype);

}  // namespace attend
