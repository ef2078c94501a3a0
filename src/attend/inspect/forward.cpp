#include <attend/base/error.hpp>
#include <attend/inspect/forward.hpp>
#include <attend/models/family.hpp>
#include <attend/tensor/tape.hpp>

#include <algorithm>
#include <cstring>
#include <map>

namespace attend {
namespace {

// A padded batch [B, T] as packed tokens, and the way back.
struct Padded {
  int64_t batch = 0, length = 0;
  std::vector<int64_t> places;  // of each packed token in [B·T]
  std::vector<int64_t> starts;  // first packed token of each row, batch + 1 of them
  Tokens tokens;

  Padded(const Tensor& ids, const Tensor& mask, const char* what) {
    if (ids.shape().rank() != 2) fail<ShapeError>("forward: {} must be [batch, length], not {}", what, ids.shape());
    if (mask.defined() && mask.shape() != ids.shape())
      fail<ShapeError>("forward: {} {} and its mask {} must have one shape", what, ids.shape(), mask.shape());
    batch = ids.size(0);
    length = ids.size(1);
    std::vector<std::vector<int32_t>> rows(static_cast<size_t>(batch));
    const Tensor kept = mask.defined() ? mask.to(DType::i64) : Tensor{}, values = ids.to(DType::i64);
    std::vector<int32_t> positions;
    for (int64_t b = 0; b < batch; ++b) {
      starts.push_back(static_cast<int64_t>(places.size()));
      for (int64_t t = 0; t < length; ++t) {
        if (kept.defined() && kept.data<int64_t>()[b * length + t] == 0) continue;
        places.push_back(b * length + t);
        positions.push_back(static_cast<int32_t>(t));
        rows[static_cast<size_t>(b)].push_back(static_cast<int32_t>(values.data<int64_t>()[b * length + t]));
      }
    }
    starts.push_back(static_cast<int64_t>(places.size()));
    tokens = Tokens::of(rows);
    std::copy(positions.begin(), positions.end(), tokens.sequences.positions.data<int32_t>());
  }

  // [tokens, …] → [B, T, …] with 0 where the mask was 0.
  Tensor unpacked(const Tensor& packed) const {
    const int64_t width = packed.shape().last();
    Tensor padded = Tensor::zeros({batch, length, width});
    for (size_t i = 0; i < places.size(); ++i)
      std::copy_n(packed.data<float>() + static_cast<int64_t>(i) * width, width,
                  padded.data<float>() + places[i] * width);
    return padded;
  }

  // Values [B, T] of the kept positions.
  Tensor packed_like(const Tensor& padded) const {
    const Tensor values = padded.to(DType::i64);
    Tensor result({static_cast<int64_t>(places.size())}, DType::i32);
    for (size_t i = 0; i < places.size(); ++i)
      result.data<int32_t>()[i] = static_cast<int32_t>(values.data<int64_t>()[places[i]]);
    return result;
  }

  int64_t column(int64_t row, int64_t i) const {
    return places[static_cast<size_t>(starts[static_cast<size_t>(row)] + i)] % length;
  }
  int64_t count(int64_t row) const { return starts[static_cast<size_t>(row) + 1] - starts[static_cast<size_t>(row)]; }
};

// [B, H, Tq, Tk] over kept tokens → over all columns.
Tensor unpacked_weights(const Tensor& weights, const Padded& queries, const Padded& keys) {
  const int64_t heads = weights.size(-3);
  Tensor all = Tensor::zeros({queries.batch, heads, queries.length, keys.length});
  for (int64_t b = 0; b < queries.batch; ++b)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t i = 0; i < queries.count(b); ++i)
        for (int64_t j = 0; j < keys.count(b); ++j)
          all.data<float>()[((b * heads + h) * queries.length + queries.column(b, i)) * keys.length +
                            keys.column(b, j)] =
              weights.data<float>()[((b * heads + h) * weights.size(-2) + i) * weights.size(-1) + j];
  return all;
}

}  // namespace

NamedTensors forward(Transformer& model, const NamedTensors& inputs, const ForwardOptions& options) {
  std::map<std::string_view, Tensor> in;
  for (const auto& [name, tensor] : inputs) in[std::string_view(name).substr(name.starts_with("in.") ? 3 : 0)] = tensor;
  for (const char* needed : {"input_ids", "decoder_input_ids"})
    if (!in.contains(needed)) fail<ShapeError>("forward: the input '{}' is missing", needed);
  const Padded source(in["input_ids"], in["attention_mask"], "input_ids");
  const Padded target(in["decoder_input_ids"], in["decoder_attention_mask"], "decoder_input_ids");
  if (source.batch != target.batch) fail<ShapeError>("forward: {} sources, {} targets", source.batch, target.batch);

  Probe probe;
  const TransformerConfig& config = model.config();
  auto block_name = [](const char* side, int64_t layer, const char* site) {
    return fmt::format("{}.blocks.{}.{}", side, layer, site);
  };
  for (const auto& [side, layers] :
       {std::pair{"encoder", config.encoder.layers}, std::pair{"decoder", config.decoder.layers}}) {
    if (options.hidden) probe.read(std::string(side) + ".embedding");
    if (options.hidden) probe.read(std::string(side) + ".out");
    for (int64_t layer = 0; layer < layers; ++layer) {
      if (options.hidden) probe.read(block_name(side, layer, "out"));
      if (options.attentions)
        for (const char* site : {"attention.weights", "cross.weights"}) probe.read(block_name(side, layer, site));
    }
  }
  Pass pass;
  pass.probe = &probe;
  NamedTensors out;
  const Tensor memory = model.encode(pass, source.tokens);
  const Tensor hidden = model.decode(pass, target.tokens, memory, source.tokens.sequences);
  out.emplace_back("out.logits", target.unpacked(model.logits(hidden)));
  out.emplace_back("out.encoder_last_hidden_state", source.unpacked(memory));

  for (const auto& [side, layers, padded] :
       {std::tuple{"encoder", config.encoder.layers, &source}, std::tuple{"decoder", config.decoder.layers, &target}}) {
    for (int64_t layer = 0; options.hidden && layer <= layers; ++layer) {
      // The last one is what leaves the stack, after the final norm.
      const std::string name = layer == 0        ? std::string(side) + ".embedding"
                               : layer == layers ? std::string(side) + ".out"
                                                 : block_name(side, layer - 1, "out");
      out.emplace_back(fmt::format("out.{}_hidden_states.{}", side, layer), padded->unpacked(probe[name]));
    }
    for (int64_t layer = 0; options.attentions && layer < layers; ++layer) {
      out.emplace_back(fmt::format("out.{}_attentions.{}", side, layer),
                       unpacked_weights(probe[block_name(side, layer, "attention.weights")], *padded, *padded));
      if (const std::string cross = block_name(side, layer, "cross.weights"); probe.has(cross))
        out.emplace_back(fmt::format("out.cross_attentions.{}", layer), unpacked_weights(probe[cross], target, source));
    }
  }

  if (!in.contains("labels")) return out;
  if (in["labels"].shape() != in["decoder_input_ids"].shape())
    fail<ShapeError>("forward: labels {} do not fit decoder_input_ids {}", in["labels"].shape(),
                     in["decoder_input_ids"].shape());
  const Tensor labels = target.packed_like(in["labels"]);
  Pass plain;
  const CrossEntropyOptions loss_options{.label_smoothing = options.label_smoothing};
  Tape tape;
  const Tensor loss = model.loss(plain, source.tokens, target.tokens, labels, loss_options);
  out.emplace_back("out.loss", loss);
  if (options.gradients) {
    const Gradients gradients = tape.backward(loss);
    for (auto& [name, gradient] :
         by_file_name(model, [&](const Parameter& parameter) { return gradients.of(*parameter.tensor); }))
      out.emplace_back("grad." + name, gradient);
  }
  return out;
}

}  // namespace attend
