#include <attend/nn/transformer_block.hpp>

namespace attend {

bool BlockConfig::operator==(const BlockConfig& other) const {
  auto all = [](const BlockConfig& c) {
    return std::tuple(c.width, c.heads, c.hidden, c.activation, c.norm.kind, c.norm.epsilon, c.pre_norm, c.causal,
                      c.cross, c.dropout, c.attention_dropout, c.activation_dropout);
  };
  return all(*this) == all(other);
}

TransformerBlock::TransformerBlock(const BlockConfig& c, int64_t layer)
    : config(c),
      attention(c.width, c.heads, c.attention_dropout, layer),
      attention_norm(c.width, c.norm),
      ffn(c.width, c.hidden, c.activation, c.activation_dropout),
      ffn_norm(c.width, c.norm) {
  if (!c.cross) return;
  cross.emplace(c.width, c.heads, c.attention_dropout, layer);
  cross_norm.emplace(c.width, c.norm);
}

Tensor TransformerBlock::operator()(Pass& pass, const Tensor& input, const Sequences& sequences, const Tensor& memory,
                                    const Sequences& sources) const {
  // Post-norm: x ← norm(x + dropout(f(x))).  Pre-norm: x ← x + dropout(f(norm(x))).
  auto sublayer = [&](const Tensor& x, const Norm& norm, std::string_view name, auto&& f) {
    if (config.pre_norm) return add(x, f(norm(x)), pass.dropout(config.dropout, name));
    return norm(x, f(x), pass.dropout(config.dropout, name)).normed;
  };
  Tensor x = sublayer(input, attention_norm, "attention",
                      [&](const Tensor& h) { return attention.self(pass, h, sequences, config.causal); });
  if (cross)
    x = sublayer(x, *cross_norm, "cross",
                 [&](const Tensor& h) { return cross->cross(pass, h, sequences, memory, sources); });
  return sublayer(x, ffn_norm, "ffn", [&](const Tensor& h) { return ffn(pass, h); });
}

}  // namespace attend
