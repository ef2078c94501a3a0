#include <attend/base/error.hpp>
#include <attend/models/family.hpp>
#include <attend/train/translator_folder.hpp>

namespace attend {
namespace {

TransformerConfig config_of(const ModelOptions& options, const Tokenizer& tokenizer) {
  TransformerConfig c;
  c.model_type = "marian";
  c.vocab = c.source_vocab = tokenizer.vocab_size();
  c.width = options.width;
  c.max_length = options.max_length;
  c.positions = PositionKind::sinusoidal_halves;
  c.embedding_dropout = options.dropout;
  c.logits_bias = true;
  c.pad = c.decoder_start = id_of(tokenizer, "<pad>");
  c.frozen_pad_row = true;
  c.eos = {id_of(tokenizer, "</s>")};
  if (c.pad != c.vocab - 1)
    fail<ConfigError>("train: <pad> must be the tokenizer's last token, not {} of {}", c.pad, c.vocab);
  BlockConfig& block = c.encoder.block;
  block.width = options.width;
  block.heads = options.heads;
  block.hidden = options.hidden;
  block.activation = models::activation_of(options.activation, "train: model.activation");
  block.dropout = options.dropout;
  block.attention_dropout = options.attention_dropout;
  block.activation_dropout = options.activation_dropout;
  c.decoder = c.encoder;
  c.decoder.block.causal = c.decoder.block.cross = true;
  c.encoder.layers = options.encoder_layers;
  c.decoder.layers = options.decoder_layers;
  return c;
}

// What two models must share for one to take the other's weights over: all of config.json but the dropouts.
nlohmann::json shape_of(const TransformerConfig& config) {
  nlohmann::json json = family_of(config.model_type, "train").write(config);
  for (const char* key : {"dropout", "attention_dropout", "activation_dropout"}) json.erase(key);
  return json;
}

void set_padding_logit(Transformer& model, float value) {
  const int64_t pad = model.config().pad;
  parameter_named(model, "logits_bias").rows(pad, pad + 1).assign(Tensor::full({1}, value));
}

}  // namespace

int32_t id_of(const Tokenizer& tokenizer, const std::string& token) {
  const auto id = tokenizer.token_to_id(token);
  if (!id) fail<ConfigError>("train: the tokenizer has no token {}", token);
  return *id;
}

Transformer new_translator(const ModelOptions& options, const Tokenizer& tokenizer, uint64_t seed) {
  const TransformerConfig c = config_of(options, tokenizer);
  Transformer model(c);
  model.initialise(seed);
  parameter_named(model, "embedding").rows(c.pad, c.pad + 1).assign(Tensor::zeros({c.width}));
  return model;
}

Transformer translator_from(const std::filesystem::path& folder, const ModelOptions& options,
                            const Tokenizer& tokenizer) {
  Transformer given = load_model(folder, {.trainable = true});
  Transformer model(config_of(options, tokenizer));
  const nlohmann::json has = shape_of(given.config()), wanted = shape_of(model.config());
  for (const auto& [key, value] : wanted.items())
    if (!has.contains(key) || has[key] != value)
      fail<ConfigError>("train: the recipe makes a model with {} {}, but that of {} has {}", key, value.dump(),
                        folder.string(), has.contains(key) ? has[key].dump() : "none");
  const auto from = parameters(given), to = parameters(model);
  for (size_t i = 0; i < to.size(); ++i) *to[i].tensor = *from[i].tensor;
  set_padding_logit(model, 0);
  return model;
}

void forbid_padding(Transformer& model) { set_padding_logit(model, -1e4f); }

void write_translator(const std::filesystem::path& folder, const Transformer& model, const Tokenizer& tokenizer,
                      DType dtype) {
  save_model(folder, model, dtype);
  const TransformerConfig& c = model.config();
  write_json_file(folder / "generation_config.json", {{"pad_token_id", c.pad},
                                                      {"eos_token_id", c.eos.front()},
                                                      {"forced_eos_token_id", c.eos.front()},
                                                      {"decoder_start_token_id", c.decoder_start},
                                                      {"bad_words_ids", {{c.pad}}},
                                                      {"num_beams", 4},
                                                      {"max_length", c.max_length}});
  tokenizer.save(folder / "tokenizer.json");
  write_json_file(folder / "tokenizer_config.json", {{"tokenizer_class", "PreTrainedTokenizerFast"},
                                                     {"eos_token", "</s>"},
                                                     {"unk_token", "<unk>"},
                                                     {"pad_token", "<pad>"},
                                                     {"model_max_length", c.max_length},
                                                     {"clean_up_tokenization_spaces", false}});
}

}  // namespace attend
