// The Transformer of 2017 as torch.nn.Transformer lays it out, with its later axes (pre-norm, untied head).
#include <attend/models/family.hpp>

namespace attend::models {
namespace {

constexpr std::pair<std::string_view, PositionKind> position_kinds[] = {
    {"none", PositionKind::none},
    {"sinusoidal_interleaved", PositionKind::sinusoidal_interleaved},
    {"sinusoidal_halves", PositionKind::sinusoidal_halves}};

TransformerConfig read(const Config& config) {
  TransformerConfig c;
  c.model_type = "vanilla_transformer";
  c.vocab = c.source_vocab = config.require<int64_t>("vocab_size");
  c.width = config.require<int64_t>("d_model");
  c.max_length = config.value_or<int64_t>("max_position_embeddings", 0);
  const auto positions = config.value_or<std::string>("positions", "sinusoidal_interleaved");
  const auto* kind = std::find_if(std::begin(position_kinds), std::end(position_kinds),
                                  [&](const auto& known) { return known.first == positions; });
  if (kind == std::end(position_kinds)) config.reject("positions", "none, sinusoidal_interleaved or sinusoidal_halves");
  c.positions = kind->second;
  c.scale_embedding = config.value_or("scale_embedding", true);
  c.tie_head = c.share_embeddings = config.value_or("tie_embeddings", true);
  c.head_bias = !c.tie_head;
  c.pad = config.value_or("pad_token_id", -1);
  c.bos = c.decoder_start = config.value_or("bos_token_id", -1);
  c.eos = config.one_or_more<int32_t>("eos_token_id");
  BlockConfig& block = c.encoder.block;
  block.width = c.width;
  block.heads = config.require<int64_t>("nhead");
  block.hidden = config.require<int64_t>("dim_feedforward");
  block.activation = activation_of(config.value_or<std::string>("activation", "relu"), config.name());
  block.norm.epsilon = config.value_or("layer_norm_eps", 1e-5f);
  block.pre_norm = config.value_or("norm_first", false);
  block.dropout = c.embedding_dropout = config.value_or("dropout", 0.0f);
  block.attention_dropout = config.value_or("attention_dropout", 0.0f);
  block.activation_dropout = config.value_or("activation_dropout", 0.0f);
  c.encoder.final_norm = config.value_or("final_norm", block.pre_norm);
  c.decoder = c.encoder;
  c.decoder.block.causal = c.decoder.block.cross = true;
  c.encoder.layers = config.require<int64_t>("num_encoder_layers");
  c.decoder.layers = config.require<int64_t>("num_decoder_layers");
  return c;
}

nlohmann::ordered_json write(const TransformerConfig& c) {
  const BlockConfig& block = c.encoder.block;
  nlohmann::ordered_json json;
  json["vocab_size"] = c.vocab;
  json["d_model"] = c.width;
  json["nhead"] = block.heads;
  json["num_encoder_layers"] = c.encoder.layers;
  json["num_decoder_layers"] = c.decoder.layers;
  json["dim_feedforward"] = block.hidden;
  json["activation"] = name_of(block.activation);
  json["norm_first"] = block.pre_norm;
  json["final_norm"] = c.encoder.final_norm;
  json["layer_norm_eps"] = block.norm.epsilon;
  json["tie_embeddings"] = c.tie_head;
  json["scale_embedding"] = c.scale_embedding;
  for (const auto& [name, kind] : position_kinds)
    if (kind == c.positions) json["positions"] = name;
  if (c.max_length) json["max_position_embeddings"] = c.max_length;
  json["dropout"] = block.dropout;
  json["attention_dropout"] = block.attention_dropout;
  json["activation_dropout"] = block.activation_dropout;
  json["pad_token_id"] = c.pad;
  json["bos_token_id"] = c.bos;
  json["eos_token_id"] = c.eos.size() == 1 ? nlohmann::ordered_json(c.eos[0]) : nlohmann::ordered_json(c.eos);
  return json;
}

std::vector<WeightName> names(const TransformerConfig& c) {
  std::vector<WeightName> list{
      {"transformer.encoder.layers.*.self_attn.in_proj_",
       {"encoder.blocks.*.attention.query", "encoder.blocks.*.attention.key", "encoder.blocks.*.attention.value"}},
      {"transformer.encoder.layers.*.self_attn.out_proj", {"encoder.blocks.*.attention.out"}},
      {"transformer.encoder.layers.*.linear1", {"encoder.blocks.*.ffn.up"}},
      {"transformer.encoder.layers.*.linear2", {"encoder.blocks.*.ffn.down"}},
      {"transformer.encoder.layers.*.norm1", {"encoder.blocks.*.attention_norm"}},
      {"transformer.encoder.layers.*.norm2", {"encoder.blocks.*.ffn_norm"}},
      {"transformer.encoder.norm", {"encoder.final_norm"}},
      {"transformer.decoder.layers.*.self_attn.in_proj_",
       {"decoder.blocks.*.attention.query", "decoder.blocks.*.attention.key", "decoder.blocks.*.attention.value"}},
      {"transformer.decoder.layers.*.self_attn.out_proj", {"decoder.blocks.*.attention.out"}},
      {"transformer.decoder.layers.*.multihead_attn.in_proj_",
       {"decoder.blocks.*.cross.query", "decoder.blocks.*.cross.key", "decoder.blocks.*.cross.value"}},
      {"transformer.decoder.layers.*.multihead_attn.out_proj", {"decoder.blocks.*.cross.out"}},
      {"transformer.decoder.layers.*.linear1", {"decoder.blocks.*.ffn.up"}},
      {"transformer.decoder.layers.*.linear2", {"decoder.blocks.*.ffn.down"}},
      {"transformer.decoder.layers.*.norm1", {"decoder.blocks.*.attention_norm"}},
      {"transformer.decoder.layers.*.norm2", {"decoder.blocks.*.cross_norm"}},
      {"transformer.decoder.layers.*.norm3", {"decoder.blocks.*.ffn_norm"}},
      {"transformer.decoder.norm", {"decoder.final_norm"}},
      {"generator", {"head"}},
  };
  const std::vector<WeightName> shared{{"src_embed.weight", {"embedding"}}};
  const std::vector<WeightName> separate{{"src_embed.weight", {"source_embedding"}},
                                         {"tgt_embed.weight", {"embedding"}}};
  const auto& tables = c.share_embeddings ? shared : separate;
  list.insert(list.end(), tables.begin(), tables.end());
  return list;
}

}  // namespace

const Family vanilla{
    .model_type = "vanilla_transformer",
    .architecture = "VanillaTransformer",
    .read = read,
    .write = write,
    .names = names,
    .ignored = {"pe"},
};

}  // namespace attend::models
