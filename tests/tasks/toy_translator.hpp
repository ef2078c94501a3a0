// A tiny translator with random weights: what it says makes no sense, but everything about it can be checked.
#pragma once

#include <attend/models/family.hpp>
#include <attend/models/transformer.hpp>
#include <attend/text/train_bpe.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace attend::testing {

inline Tokenizer toy_tokenizer(const std::vector<std::string>& language_tokens = {">>ko<<", ">>en<<"}) {
  BpeTrainer trainer(translator_bpe_options(320, language_tokens));
  for (const char* text :
       {"What is your name?", "My name is Minsu. Nice to meet you!", "이름이 뭐예요?",
        "제 이름은 민수예요. 만나서 반가워요!", "The weather is nice today.", "오늘은 날씨가 좋아요."})
    trainer.add(text, 4);
  return trainer.train();
}

inline Transformer toy_transformer(int32_t vocab, int64_t max_length = 64) {
  TransformerConfig config;
  config.model_type = "marian";
  config.source_vocab = config.vocab = vocab;
  config.width = 32;
  config.max_length = max_length;
  config.positions = PositionKind::sinusoidal_halves;
  config.logits_bias = true;
  config.eos = {0};
  config.pad = config.decoder_start = vocab - 1;
  config.frozen_pad_row = true;
  for (StackConfig* stack : {&config.encoder, &config.decoder}) {
    stack->layers = 2;
    stack->block.width = config.width;
    stack->block.heads = 4;
    stack->block.hidden = 64;
  }
  config.decoder.block.causal = config.decoder.block.cross = true;
  Transformer model(config);
  model.initialise(3);
  return model;
}

/// A model folder as the trainer writes it.
inline void write_toy_translator(const std::filesystem::path& folder) {
  const Tokenizer tokenizer = toy_tokenizer();
  save_model(folder, toy_transformer(tokenizer.vocab_size()));
  tokenizer.save(folder / "tokenizer.json");
}

}  // namespace attend::testing
