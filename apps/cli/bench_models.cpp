#include "bench_models.hpp"

#include <attend/models/transformer.hpp>
#include <attend/ops/cross_entropy.hpp>
#include <attend/ops/embedding.hpp>

#include <cmath>

namespace attend::cli {
namespace {

constexpr uint64_t seed = 1;

Tensor random_ids(std::string_view name, int64_t count, int64_t vocab) {
  Tensor ids({count}, DType::i32);
  const uint64_t key = Random{seed, 0}.key(name);
  for (int64_t i = 0; i < count; ++i)
    ids.data<int32_t>()[i] =
        static_cast<int32_t>(Random::uniform(key, static_cast<uint64_t>(i)) * static_cast<double>(vocab));
  return ids;
}

Sequences equal_sequences(const BenchSize& size) {
  return Sequences::of(std::vector<int64_t>(static_cast<size_t>(size.batch), size.length));
}

/// Small random matrices (deviation 0.02, as GPT-2 and BERT start); vectors stay as constructed.
void initialise(std::vector<Parameter> list) {
  for (const Parameter& parameter : list) {
    parameter.tensor->set_tracked();
    if (parameter.tensor->shape().rank() == 2)
      fill_uniform(*parameter.tensor, Random{seed, 0}.key(parameter.name), 0.02 * std::sqrt(3.0));
  }
}

int64_t count_of(const std::vector<Parameter>& list, std::string_view prefix = {}) {
  int64_t count = 0;
  for (const Parameter& parameter : list)
    if (parameter.name.starts_with(prefix)) count += parameter.tensor->elements();
  return count;
}

double number(int64_t x) { return static_cast<double>(x); }

/// A decoder without encoder: pre-norm blocks, learned positions, the head tied to the token table.
class Gpt : public BenchModel {
 public:
  struct Shape {
    int64_t vocab, context, width, heads;
  };

  Gpt(const Shape& shape, const BenchSize& batch) {
    size = batch;
    const BlockConfig block{.width = shape.width,
                            .heads = shape.heads,
                            .hidden = 4 * shape.width,
                            .activation = Activation::gelu_tanh,
                            .pre_norm = true,
                            .causal = true};
    embedding_ = Tensor::zeros({shape.vocab, shape.width});
    positions_ = Tensor::zeros({std::max(shape.context, size.length), shape.width});
    for (int64_t layer = 0; layer < size.layers; ++layer) blocks_.emplace_back(block, layer);
    final_norm_ = Norm(shape.width, block.norm);
    initialise(parameters());

    sequences_ = equal_sequences(size);
    tokens = sequences_.tokens();
    ids_ = random_ids("ids", tokens, shape.vocab);
    next_ = random_ids("next", tokens, shape.vocab);
    parameter_count = count_of(parameters());
    const double attention = 12.0 * number(size.layers * size.length * shape.width) / 2;
    flops = (6.0 * number(parameter_count - positions_.elements()) + attention) * number(tokens);
  }

  Tensor loss(Pass& pass) const override {
    Tensor x = embedding(ids_, embedding_.tensor, positions_, sequences_.positions);
    for (size_t layer = 0; layer < blocks_.size(); ++layer) {
      Pass::Scope scope(pass, "blocks", static_cast<int64_t>(layer));
      x = blocks_[layer](pass, x, sequences_, {}, {});
    }
    return linear_cross_entropy(final_norm_(x), embedding_, {}, next_);
  }

  std::vector<Parameter> parameters() override { return attend::parameters(*this); }

  static void fields(auto& self, auto&& f) {
    f("embedding", self.embedding_);
    f("positions", self.positions_);
    f("blocks", self.blocks_);
    f("final_norm", self.final_norm_);
  }

 private:
  Weight embedding_;
  Tensor positions_;
  std::vector<TransformerBlock> blocks_;
  Norm final_norm_;
  Sequences sequences_;
  Tensor ids_, next_;
};

/// A translator: pre-norm blocks, sinusoids, one table for both sides and the head, label smoothing.
class EncoderDecoder : public BenchModel {
 public:
  explicit EncoderDecoder(const BenchSize& batch) : model_(config(batch.layers)) {
    size = batch;
    model_.initialise(seed);
    model_.set_trainable(true);
    source_ = {random_ids("source", size.batch * size.length, vocab), equal_sequences(size)};
    target_ = {random_ids("target", size.batch * size.length, vocab), equal_sequences(size)};
    next_ = random_ids("next", size.batch * size.length, vocab);
    tokens = source_.sequences.tokens() + target_.sequences.tokens();
    parameter_count = model_.parameter_count();
    // Half of the tokens meet the encoder, the other half the decoder and the head.
    const auto list = parameters();
    const int64_t multiplied =
        count_of(list, "encoder.blocks") + count_of(list, "decoder.blocks") + count_of(list, "embedding");
    flops = 6.0 * number(multiplied) * number(tokens) / 2;
  }

  Tensor loss(Pass& pass) const override {
    return model_.loss(pass, source_, target_, next_, {.label_smoothing = 0.1f});
  }

  std::vector<Parameter> parameters() override { return attend::parameters(model_); }

 private:
  static constexpr int64_t vocab = 16000;

  static TransformerConfig config(int64_t layers) {
    TransformerConfig c;
    c.source_vocab = c.vocab = vocab;
    c.width = 256;
    c.max_length = 0;
    c.encoder.block = {.width = c.width, .heads = 4, .hidden = 1024, .activation = Activation::relu, .pre_norm = true};
    c.decoder.block = c.encoder.block;
    c.decoder.block.causal = c.decoder.block.cross = true;
    c.encoder.layers = c.decoder.layers = layers;
    c.encoder.final_norm = c.decoder.final_norm = true;
    return c;
  }

  Transformer model_;
  Tokens source_, target_;
  Tensor next_;
};

/// BERT-base that classifies: post-norm blocks, three embeddings added and normed, dropout, a tanh layer on the first
/// token.
class Bert : public BenchModel {
 public:
  explicit Bert(const BenchSize& batch) {
    size = batch;
    const BlockConfig block{.width = width,
                            .heads = 12,
                            .hidden = 4 * width,
                            .activation = Activation::gelu,
                            .norm = {.epsilon = 1e-12f},
                            .dropout = dropout_rate,
                            .attention_dropout = dropout_rate};
    words_ = Tensor::zeros({vocab, width});
    positions_ = Tensor::zeros({std::max<int64_t>(512, size.length), width});
    types_ = Tensor::zeros({2, width});
    embedding_norm_ = Norm(width, block.norm);
    for (int64_t layer = 0; layer < size.layers; ++layer) blocks_.emplace_back(block, layer);
    pooler_ = Linear(width, width);
    classifier_ = Linear(width, classes);
    initialise(parameters());

    sequences_ = equal_sequences(size);
    tokens = sequences_.tokens();
    ids_ = random_ids("ids", tokens, vocab);
    type_ids_ = Tensor::zeros({tokens}, DType::i32);
    first_ = sequences_.offsets.rows(0, size.batch);
    labels_ = random_ids("labels", size.batch, classes);
    parameter_count = count_of(parameters());
    const double attention = 12.0 * number(size.layers * size.length * width);
    flops = (6.0 * number(parameter_count - words_.elements()) + attention) * number(tokens);
  }

  Tensor loss(Pass& pass) const override {
    const Tensor embedded = embedding(ids_, words_, positions_, sequences_.positions);
    Tensor x = embedding_norm_(embedded, embedding(type_ids_, types_), {}).normed;
    x = dropout(x, pass.dropout(dropout_rate, "embedding"));
    for (size_t layer = 0; layer < blocks_.size(); ++layer) {
      Pass::Scope scope(pass, "blocks", static_cast<int64_t>(layer));
      x = blocks_[layer](pass, x, sequences_, {}, {});
    }
    const Tensor first = embedding(first_, x);  // the first token's row of each sequence
    const Tensor pooled = dropout(pooler_(first, Activation::tanh), pass.dropout(dropout_rate, "pooled"));
    return cross_entropy(classifier_(pooled), labels_);
  }

  std::vector<Parameter> parameters() override { return attend::parameters(*this); }

  static void fields(auto& self, auto&& f) {
    f("words", self.words_);
    f("positions", self.positions_);
    f("types", self.types_);
    f("embedding_norm", self.embedding_norm_);
    f("blocks", self.blocks_);
    f("pooler", self.pooler_);
    f("classifier", self.classifier_);
  }

 private:
  static constexpr int64_t vocab = 30522, width = 768, classes = 2;
  static constexpr float dropout_rate = 0.1f;

  Tensor words_, positions_, types_;
  Norm embedding_norm_;
  std::vector<TransformerBlock> blocks_;
  Linear pooler_, classifier_;
  Sequences sequences_;
  Tensor ids_, type_ids_, first_, labels_;
};

BenchSize filled(BenchSize size, const BenchSize& own) {
  if (!size.batch) size.batch = own.batch;
  if (!size.length) size.length = own.length;
  if (!size.layers) size.layers = own.layers;
  return size;
}

}  // namespace

std::unique_ptr<BenchModel> make_bench_model(BenchShape shape, const BenchSize& size) {
  switch (shape) {
    case BenchShape::none:
      break;
    case BenchShape::gpt2:
      return std::make_unique<Gpt>(Gpt::Shape{50257, 1024, 768, 12}, filled(size, {4, 256, 12}));
    case BenchShape::gpt:
      return std::make_unique<Gpt>(Gpt::Shape{8192, 256, 384, 6}, filled(size, {16, 256, 6}));
    case BenchShape::encoder_decoder:
      return std::make_unique<EncoderDecoder>(filled(size, {32, 64, 4}));
    case BenchShape::bert:
      return std::make_unique<Bert>(filled(size, {16, 128, 12}));
  }
  return nullptr;
}

}  // namespace attend::cli
