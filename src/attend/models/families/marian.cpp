// Marian (Junczys-Dowmunt et al. 2018) as transformers' MarianMTModel lays it out: the paper's post-norm Transformer
// with sinusoids in two halves and, as a rule, one shared vocabulary.
#include <attend/models/family.hpp>

namespace attend::models {
namespace {

StackConfig read_stack(const Config& config, const char* side, const TransformerConfig& model) {
  const std::string prefix = std::string(side) + "_";
  StackConfig stack;
  stack.layers = config.require<int64_t>(prefix + "layers");
  BlockConfig& block = stack.block;
  block.width = model.width;
  block.heads = config.require<int64_t>(prefix + "attention_heads");
  block.hidden = config.require<int64_t>(prefix + "ffn_dim");
  block.activation = activation_of(config.value_or<std::string>("activation_function", "gelu"), config.name());
  block.dropout = config.value_or("dropout", 0.1f);
  block.attention_dropout = config.value_or("attention_dropout", 0.0f);
  block.activation_dropout = config.value_or("activation_dropout", 0.0f);
  block.causal = block.cross = side == std::string_view("decoder");
  return stack;
}

TransformerConfig read(const Config& config) {
  TransformerConfig c;
  c.model_type = "marian";
  c.source_vocab = config.require<int64_t>("vocab_size");
  c.vocab = config.value_or("decoder_vocab_size", c.source_vocab);
  c.width = config.value_or<int64_t>("d_model", 1024);
  c.max_length = config.value_or<int64_t>("max_position_embeddings", 1024);
  c.positions = PositionKind::sinusoidal_halves;
  c.scale_embedding = config.value_or("scale_embedding", false);
  c.share_embeddings = config.value_or("share_encoder_decoder_embeddings", true);
  c.tie_head = config.value_or("tie_word_embeddings", true);
  c.logits_bias = true;
  c.pad = config.value_or("pad_token_id", 58100);
  c.frozen_pad_row = true;
  c.bos = config.value_or("bos_token_id", -1);
  c.eos = config.one_or_more<int32_t>("eos_token_id");
  c.decoder_start = config.value_or("decoder_start_token_id", c.pad);
  c.encoder = read_stack(config, "encoder", c);
  c.decoder = read_stack(config, "decoder", c);
  c.embedding_dropout = c.encoder.block.dropout;
  return c;
}

nlohmann::ordered_json write(const TransformerConfig& c) {
  if (c.positions != PositionKind::sinusoidal_halves || c.encoder.block.pre_norm || c.encoder.final_norm)
    fail<ConfigError>("marian: only post-norm models with sinusoids in halves can be written as Marian");
  nlohmann::ordered_json json;
  json["vocab_size"] = c.source_vocab;
  json["decoder_vocab_size"] = c.vocab;
  json["d_model"] = c.width;
  for (const auto& [side, stack] : {std::pair{"encoder", &c.encoder}, std::pair{"decoder", &c.decoder}}) {
    json[std::string(side) + "_layers"] = stack->layers;
    json[std::string(side) + "_attention_heads"] = stack->block.heads;
    json[std::string(side) + "_ffn_dim"] = stack->block.hidden;
    json[std::string(side) + "_layerdrop"] = 0.0;
  }
  json["activation_function"] = name_of(c.encoder.block.activation);
  json["dropout"] = c.encoder.block.dropout;
  json["attention_dropout"] = c.encoder.block.attention_dropout;
  json["activation_dropout"] = c.encoder.block.activation_dropout;
  json["scale_embedding"] = c.scale_embedding;
  json["share_encoder_decoder_embeddings"] = c.share_embeddings;
  json["tie_word_embeddings"] = c.tie_head;
  json["static_position_embeddings"] = true;
  json["max_position_embeddings"] = c.max_length;
  json["is_encoder_decoder"] = true;
  json["use_cache"] = true;
  json["pad_token_id"] = c.pad;
  json["bos_token_id"] = c.bos >= 0 ? nlohmann::ordered_json(c.bos) : nlohmann::ordered_json(nullptr);
  json["eos_token_id"] = c.eos.size() == 1 ? nlohmann::ordered_json(c.eos[0]) : nlohmann::ordered_json(c.eos);
  json["decoder_start_token_id"] = c.decoder_start;
  if (!c.eos.empty()) json["forced_eos_token_id"] = c.eos[0];
  return json;
}

std::vector<WeightName> names(const TransformerConfig& c) {
  std::vector<WeightName> list{

      {"model.encoder.layers.*.self_attn.q_proj", {"encoder.blocks.*.attention.query"}},
      {"model.encoder.layers.*.self_attn.k_proj", {"encoder.blocks.*.attention.key"}},
      {"model.encoder.layers.*.self_attn.v_proj", {"encoder.blocks.*.attention.value"}},
      {"model.encoder.layers.*.self_attn.out_proj", {"encoder.blocks.*.attention.out"}},
      {"model.encoder.layers.*.self_attn_layer_norm", {"encoder.blocks.*.attention_norm"}},
      {"model.encoder.layers.*.fc1", {"encoder.blocks.*.ffn.up"}},
      {"model.encoder.layers.*.fc2", {"encoder.blocks.*.ffn.down"}},
      {"model.encoder.layers.*.final_layer_norm", {"encoder.blocks.*.ffn_norm"}},
      {"model.decoder.layers.*.self_attn.q_proj", {"decoder.blocks.*.attention.query"}},
      {"model.decoder.layers.*.self_attn.k_proj", {"decoder.blocks.*.attention.key"}},
      {"model.decoder.layers.*.self_attn.v_proj", {"decoder.blocks.*.attention.value"}},
      {"model.decoder.layers.*.self_attn.out_proj", {"decoder.blocks.*.attention.out"}},
      {"model.decoder.layers.*.self_attn_layer_norm", {"decoder.blocks.*.attention_norm"}},
      {"model.decoder.layers.*.encoder_attn.q_proj", {"decoder.blocks.*.cross.query"}},
      {"model.decoder.layers.*.encoder_attn.k_proj", {"decoder.blocks.*.cross.key"}},
      {"model.decoder.layers.*.encoder_attn.v_proj", {"decoder.blocks.*.cross.value"}},
      {"model.decoder.layers.*.encoder_attn.out_proj", {"decoder.blocks.*.cross.out"}},
      {"model.decoder.layers.*.encoder_attn_layer_norm", {"decoder.blocks.*.cross_norm"}},
      {"model.decoder.layers.*.fc1", {"decoder.blocks.*.ffn.up"}},
      {"model.decoder.layers.*.fc2", {"decoder.blocks.*.ffn.down"}},
      {"model.decoder.layers.*.final_layer_norm", {"decoder.blocks.*.ffn_norm"}},
      {"lm_head", {"head"}},
      {"final_logits_bias", {"logits_bias"}, true},
  };
  const std::vector<WeightName> shared{{"model.shared.weight", {"embedding"}}};
  const std::vector<WeightName> separate{{"model.encoder.embed_tokens.weight", {"source_embedding"}},
                                         {"model.decoder.embed_tokens.weight", {"embedding"}}};
  const auto& tables = c.share_embeddings ? shared : separate;
  list.insert(list.end(), tables.begin(), tables.end());
  return list;
}

}  // namespace

const Family marian{
    .model_type = "marian",
    .architecture = "MarianMTModel",
    .read = read,
    .write = write,
    .names = names,
    .ignored = {"model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight"},
};

}  // namespace attend::models
