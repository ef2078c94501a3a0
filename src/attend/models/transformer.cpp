#include <attend/base/error.hpp>
#include <attend/models/transformer.hpp>
#include <attend/nn/parameters.hpp>
#include <attend/ops/arguments.hpp>
#include <attend/ops/dropout.hpp>
#include <attend/ops/embedding.hpp>

#include <algorithm>
#include <cmath>

namespace attend {

void TransformerConfig::validate() const {
  auto positive = [](const char* name, int64_t value) {
    if (value < 1 || value > (int64_t{1} << 30)) fail<ConfigError>("config: {} = {} makes no sense", name, value);
  };
  positive("width", width);
  positive("vocab", vocab);
  if (encoder.layers) positive("source vocab", source_vocab);
  if (encoder.layers == 0 && decoder.layers == 0) fail<ConfigError>("config: neither encoder nor decoder has layers");
  for (const auto& [side, stack] : {std::pair{"encoder", &encoder}, std::pair{"decoder", &decoder}}) {
    if (stack->layers == 0) continue;
    if (stack->layers < 0 || stack->layers > 10000)
      fail<ConfigError>("config: {} layers in the {}", stack->layers, side);
    const BlockConfig& block = stack->block;
    positive("heads", block.heads);
    positive("hidden", block.hidden);
    if (block.width != width) fail<ConfigError>("config: {} width {} is not the model's {}", side, block.width, width);
    if (width % block.heads)
      fail<ConfigError>("config: width {} does not divide into {} {} heads", width, block.heads, side);
    for (float p : {block.dropout, block.attention_dropout, block.activation_dropout, embedding_dropout})
      if (!(p >= 0 && p < 1)) fail<ConfigError>("config: dropout {} is not in [0, 1)", p);
  }
  if (share_embeddings && encoder.layers && source_vocab != vocab)
    fail<ConfigError>("config: shared embeddings need one vocabulary, not {} and {}", source_vocab, vocab);
  for (int32_t id : eos)
    if (id < 0 || id >= vocab) fail<ConfigError>("config: end token {} is outside the vocabulary of {}", id, vocab);
  for (int32_t id : {pad, bos, decoder_start})
    if (id < -1 || id >= std::max(vocab, source_vocab))
      fail<ConfigError>("config: token {} is outside the vocabulary of {}", id, vocab);
}

Tokens Tokens::of(const std::vector<std::vector<int32_t>>& sequences) {
  std::vector<int64_t> lengths;
  for (const auto& sequence : sequences) lengths.push_back(static_cast<int64_t>(sequence.size()));
  Tokens tokens{{}, Sequences::of(lengths)};
  tokens.ids = Tensor({tokens.sequences.tokens()}, DType::i32);
  int32_t* id = tokens.ids.data<int32_t>();
  for (const auto& sequence : sequences) id = std::copy(sequence.begin(), sequence.end(), id);
  return tokens;
}

TransformerStack::TransformerStack(const StackConfig& config, int64_t width) {
  for (int64_t layer = 0; layer < config.layers; ++layer) blocks.emplace_back(config.block, layer);
  if (config.final_norm) final_norm.emplace(width, config.block.norm);
}

Transformer::Transformer(TransformerConfig config)
    : config_(std::move(config)), encoder_(config_.encoder, config_.width), decoder_(config_.decoder, config_.width) {
  config_.validate();
  const TransformerConfig& c = config_;
  embedding_ = Tensor::zeros({c.vocab, c.width});
  if (c.encoder.layers && !c.share_embeddings) source_embedding_ = Tensor::zeros({c.source_vocab, c.width});
  if (c.positions == PositionKind::learned) positions_ = Tensor::zeros({c.max_length, c.width});
  if (!c.tie_head) head_.weight = Tensor::zeros({c.vocab, c.width});
  if (c.head_bias) head_.bias = Tensor::zeros({c.vocab});
  if (c.logits_bias) logits_bias_ = Tensor::zeros({c.vocab});
}

namespace {

// How much a block's sub-layers add to its input at the start. Post-norm stacks whose branches are as large as the
// residual wash the differences between positions out, layer by layer (rank collapse), and may never learn to tell
// them apart; these factors keep the residual in charge (Wang et al. 2022, DeepNet; pre-norm: Radford et al. 2019).
double branch_gain(const StackConfig& stack) {
  const auto layers = static_cast<double>(stack.layers);
  return stack.block.pre_norm ? 1 / std::sqrt(2 * layers) : std::pow(8 * layers, -0.25);
}

bool is_branch(std::string_view name) {
  constexpr std::string_view parts[] = {".value.weight", ".out.weight", ".up.weight", ".down.weight"};
  return std::any_of(std::begin(parts), std::end(parts), [&](std::string_view part) { return name.ends_with(part); });
}

}  // namespace

void Transformer::initialise(uint64_t seed) {
  const Random random{seed, 0};
  for (const Parameter& parameter : parameters(*this)) {
    Tensor& tensor = *parameter.tensor;
    if (tensor.shape().rank() != 2) continue;  // norms and biases stay as constructed
    const uint64_t key = random.key(parameter.name);
    const double out = static_cast<double>(tensor.size(0)), in = static_cast<double>(tensor.size(1));
    if (parameter.name.ends_with("embedding") || parameter.name == "positions") {
      fill_normal(tensor, key, 1 / std::sqrt(in));
      continue;
    }
    const StackConfig& stack = parameter.name.starts_with("encoder") ? config_.encoder : config_.decoder;
    const double gain = is_branch(parameter.name) ? branch_gain(stack) : 1;
    fill_uniform(tensor, key, gain * std::sqrt(6 / (in + out)));  // Glorot & Bengio 2010
  }
}

template <class F>
void Transformer::for_each_matrix(F&& f) {
  f(config_.tie_head ? embedding_ : head_.weight);
  for (TransformerStack* stack : {&encoder_, &decoder_})
    for (TransformerBlock& block : stack->blocks) block.for_each_linear([&](Linear& linear) { f(linear.weight); });
}

void Transformer::set_trainable(bool trainable) {
  for (const Parameter& parameter : parameters(*this))
    parameter.tensor->set_tracked(trainable && parameter.name != "logits_bias");
  if (trainable) for_each_matrix([](Weight& weight) { weight.unpack(); });
}

void Transformer::pack() {
  for_each_matrix([](Weight& weight) { weight.pack(); });
}

void Transformer::move_to(Device device) {
  NoTape pause;
  for (const Parameter& parameter : parameters(*this)) {
    const bool tracked = parameter.tensor->tracked();
    *parameter.tensor = parameter.tensor->to(device).set_tracked(tracked);
  }
  for_each_matrix([](Weight& weight) { weight.unpack(); });
  sinusoids_ = {};
}

int64_t Transformer::parameter_count() const {
  int64_t count = 0;
  for (const Parameter& parameter : parameters(const_cast<Transformer&>(*this)))
    if (parameter.name != "logits_bias") count += parameter.tensor->elements();
  return count;
}

Tensor Transformer::position_table(int64_t length) const {
  if (config_.positions == PositionKind::learned) return positions_;
  if (!sinusoids_.defined() || sinusoids_.size(0) < length) {
    const int64_t most = config_.max_length ? config_.max_length : int64_t{1} << 20;
    sinusoids_ =
        sinusoids(config_.positions, std::min(most, std::max<int64_t>(64, 2 * length)), config_.width).to(device());
  }
  return sinusoids_;
}

Tensor Transformer::embed(Pass& pass, const Tokens& tokens, const Tensor& table) const {
  int64_t length = 0;
  const Tensor given = tokens.sequences.positions.to(Device::cpu);
  for (int32_t position : given.values<int32_t>()) length = std::max<int64_t>(length, position + 1);
  if (config_.max_length && length > config_.max_length)
    fail<ShapeError>("transformer: a sequence of {} tokens is beyond the model's {}", length, config_.max_length);
  EmbeddingOptions options;
  if (config_.scale_embedding) options.scale = std::sqrt(static_cast<float>(config_.width));
  if (config_.frozen_pad_row) options.frozen_id = config_.pad;
  const bool positions = config_.positions != PositionKind::none;
  const Tensor x = embedding(tokens.ids, table, positions ? position_table(length) : Tensor{},
                             positions ? tokens.sequences.positions : Tensor{}, options);
  return pass.observe("embedding", dropout(x, pass.dropout(config_.embedding_dropout, "embedding")));
}

Tensor Transformer::run(Pass& pass, const TransformerStack& stack, Tensor x, const Sequences& sequences,
                        const Tensor& memory, const Sequences& sources) const {
  // Once for all layers.
  auto here = [&](const Sequences& given) {
    return Sequences{ops::indices(given.offsets, device(), "offsets"), given.positions};
  };
  const Sequences own = here(sequences), others = here(sources);
  int64_t layer = 0;
  for (const TransformerBlock& block : stack.blocks) {
    Pass::Scope scope(pass, "blocks", layer++);
    if (!pass.recomputes()) {
      x = pass.observe("out", block(pass, x, own, memory, others));
      continue;
    }
    // The block's copy shares its weights; the model may have moved or gone when the backward pass comes.
    const auto part = [block, x, own, memory, others](Pass& at) { return block(at, x, own, memory, others); };
    x = pass.observe("out", recomputed(pass, part));
  }
  return pass.observe("out", stack.final_norm ? (*stack.final_norm)(x) : x);
}

Tensor Transformer::encode(Pass& pass, const Tokens& source) const {
  Pass::Scope scope(pass, "encoder");
  const Tensor x = embed(pass, source, source_embedding_.defined() ? source_embedding_ : embedding_.tensor);
  return run(pass, encoder_, x, source.sequences, {}, {});
}

Tensor Transformer::decode(Pass& pass, const Tokens& target, const Tensor& memory, const Sequences& sources) const {
  Pass::Scope scope(pass, "decoder");
  return run(pass, decoder_, embed(pass, target, embedding_.tensor), target.sequences, memory, sources);
}

Tensor Transformer::logits(const Tensor& hidden) const {
  return linear(hidden, config_.tie_head ? embedding_ : head_.weight, config_.logits_bias ? logits_bias_ : head_.bias);
}

Tensor Transformer::loss(Pass& pass, const Tokens& source, const Tokens& target, const Tensor& labels,
                         const CrossEntropyOptions& options) const {
  const Tensor memory = encode(pass, source);
  const Tensor hidden = decode(pass, target, memory, source.sequences);
  return linear_cross_entropy(hidden, config_.tie_head ? embedding_ : head_.weight,
                              config_.logits_bias ? logits_bias_ : head_.bias, labels, options);
}

Cache Transformer::make_cache() const { return Cache(config_.decoder.layers, config_.width, config_.width, device()); }

std::vector<int> Transformer::remember(Cache& cache, const Tensor& memory, const Sequences& sources) const {
  std::vector<int> slots;
  const Tensor ends = sources.offsets.to(Device::cpu);
  const int32_t* offsets = ends.data<int32_t>();
  for (int64_t s = 0; s < sources.count(); ++s) {
    slots.push_back(cache.allocate());
    cache.source().extend(cache.source_sequence(slots.back()), offsets[s + 1] - offsets[s]);
  }
  for (const TransformerBlock& block : decoder_.blocks)
    if (block.cross) block.cross->remember(cache, slots, memory);
  return slots;
}

std::vector<std::string> activation_names(const TransformerConfig& config) {
  std::vector<std::string> names;
  for (const auto& [side, stack] : {std::pair{"encoder", &config.encoder}, std::pair{"decoder", &config.decoder}}) {
    if (stack->layers == 0) continue;
    names.push_back(std::string(side) + ".embedding");
    for (int64_t layer = 0; layer < stack->layers; ++layer) {
      const std::string block = std::string(side) + ".blocks." + std::to_string(layer);
      for (const char* part : {".attention", ".cross"}) {
        if (part == std::string_view(".cross") && !stack->block.cross) continue;
        for (const char* site : {".query", ".key", ".value", ".weights", ".mixed"})
          names.push_back(block + part + site);
      }
      for (const char* site : {".ffn.hidden", ".ffn.out", ".out"}) names.push_back(block + site);
    }
    names.push_back(std::string(side) + ".out");
  }
  return names;
}

}  // namespace attend
