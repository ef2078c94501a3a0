// The raw model on given ids, with everything that other frameworks show of it, under their names.
#pragma once

#include <attend/io/safetensors.hpp>
#include <attend/models/transformer.hpp>

namespace attend {

struct ForwardOptions {
  bool hidden = false;      ///< out.encoder_hidden_states.i, out.decoder_hidden_states.i (0 = embeddings)
  bool attentions = false;  ///< out.encoder_attentions.i, out.decoder_attentions.i, out.cross_attentions.i
  bool gradients = false;   ///< grad.<name in the file>: d loss / d parameter (needs labels and a trainable model)
  float label_smoothing = 0;
};

/// Inputs as Hugging Face names them (with or without "in."): input_ids [B, T], attention_mask [B, T] (1 = real),
/// decoder_input_ids [B, T'], decoder_attention_mask, labels (-100 = ignored), all i64. Masked positions are not
/// computed: their rows are 0 in the results.
///   → out.logits [B, T', vocab], out.encoder_last_hidden_state [B, T, width], out.loss if there are labels, and what
///     the options ask for.
/// Throws ShapeError naming the input that is missing or does not fit.
NamedTensors forward(Transformer& model, const NamedTensors& inputs, const ForwardOptions& options = {});

}  // namespace attend
