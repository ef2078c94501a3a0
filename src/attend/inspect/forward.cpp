#include <attend/base/error.hpp>
#include <attend/inspect/forward.hpp>
#include <attend/models/family.hpp>
#include <attend/nn/padded_batch.hpp>
#include <attend/tensor/tape.hpp>

#include <algorithm>
#include <cstring>
#include <map>

namespace attend {
NamedTensors forward(Transformer& model, const NamedTensors& inputs, const ForwardOptions& options) {
  std::map<std::string_view, Tensor> in;
  for (const auto& [name, tensor] : inputs) in[std::string_view(name).substr(name.starts_with("in.") ? 3 : 0)] = tensor;
  for (const char* needed : {"input_ids", "decoder_input_ids"})
    if (!in.contains(needed)) fail<ShapeError>("forward: the input '{}' is missing", needed);
  const PaddedBatch source(in["input_ids"], in["attention_mask"], "input_ids");
  const PaddedBatch target(in["decoder_input_ids"], in["decoder_attention_mask"], "decoder_input_ids");
  if (source.batch() != target.batch())
    fail<ShapeError>("forward: {} sources, {} targets", source.batch(), target.batch());

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
  const Tensor memory = model.encode(pass, {source.ids(), source.sequences()});
  const Tensor hidden = model.decode(pass, {target.ids(), target.sequences()}, memory, source.sequences());
  out.emplace_back("out.logits", target.unpack(model.logits(hidden)));
  out.emplace_back("out.encoder_last_hidden_state", source.unpack(memory));

  for (const auto& [side, layers, padded] :
       {std::tuple{"encoder", config.encoder.layers, &source}, std::tuple{"decoder", config.decoder.layers, &target}}) {
    for (int64_t layer = 0; options.hidden && layer <= layers; ++layer) {
      // The last one is what leaves the stack, after the final norm.
      const std::string name = layer == 0        ? std::string(side) + ".embedding"
                               : layer == layers ? std::string(side) + ".out"
                                                 : block_name(side, layer - 1, "out");
      out.emplace_back(fmt::format("out.{}_hidden_states.{}", side, layer), padded->unpack(probe[name]));
    }
    for (int64_t layer = 0; options.attentions && layer < layers; ++layer) {
      out.emplace_back(
          fmt::format("out.{}_attentions.{}", side, layer),
          PaddedBatch::unpack_weights(probe[block_name(side, layer, "attention.weights")], *padded, *padded));
      if (const std::string cross = block_name(side, layer, "cross.weights"); probe.has(cross))
        out.emplace_back(fmt::format("out.cross_attentions.{}", layer),
                         PaddedBatch::unpack_weights(probe[cross], target, source));
    }
  }

  if (!in.contains("labels")) return out;
  if (in["labels"].shape() != in["decoder_input_ids"].shape())
    fail<ShapeError>("forward: labels {} do not fit decoder_input_ids {}", in["labels"].shape(),
                     in["decoder_input_ids"].shape());
  const Tensor labels = target.pack(in["labels"]);
  Pass plain;
  const CrossEntropyOptions loss_options{.label_smoothing = options.label_smoothing};
  Tape tape;
  const Tensor loss =
      model.loss(plain, {source.ids(), source.sequences()}, {target.ids(), target.sequences()}, labels, loss_options);
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
