// Folders: what is written is read back, and what does not fit is named.
#include <attend/base/error.hpp>
#include <attend/base/file.hpp>
#include <attend/io/safetensors.hpp>
#include <attend/models/family.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

using namespace attend;
namespace fs = std::filesystem;

namespace {

struct Folder {
  fs::path path = fs::temp_directory_path() / ("attend-family-" + std::to_string(::getpid()));
  Folder() { fs::remove_all(path), fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
};

TransformerConfig marian(bool shared) {
  TransformerConfig c;
  c.model_type = "marian";
  c.vocab = 30;
  c.source_vocab = shared ? 30 : 40;
  c.width = 16;
  c.max_length = 64;
  c.positions = PositionKind::sinusoidal_halves;
  c.share_embeddings = shared;
  c.logits_bias = c.frozen_pad_row = true;
  c.encoder.layers = 2;
  c.decoder.layers = 1;
  c.encoder.block = {.width = 16, .heads = 2, .hidden = 20, .activation = Activation::silu, .dropout = 0.1f};
  c.embedding_dropout = 0.1f;
  c.decoder.block = c.encoder.block;
  c.decoder.block.causal = c.decoder.block.cross = true;
  c.pad = c.decoder_start = 29;
  c.eos = {0};
  return c;
}

TransformerConfig vanilla(bool pre_norm) {
  TransformerConfig c = marian(true);
  c.model_type = "vanilla_transformer";
  c.positions = PositionKind::sinusoidal_interleaved;
  c.logits_bias = c.frozen_pad_row = false;
  c.encoder.block.pre_norm = c.decoder.block.pre_norm = pre_norm;
  c.encoder.final_norm = c.decoder.final_norm = pre_norm;
  c.tie_head = c.share_embeddings = !pre_norm;
  c.head_bias = pre_norm;
  c.bos = c.decoder_start = 1;
  return c;
}

Transformer filled(const TransformerConfig& config) {
  Transformer model(config);
  uint64_t key = 1;
  for (const Parameter& parameter : parameters(model)) fill_normal(*parameter.tensor, key++, 0.5);
  return model;
}

}  // namespace

TEST_CASE("families: saved and loaded again, bit for bit") {
  for (const TransformerConfig& config : {marian(true), marian(false), vanilla(false), vanilla(true)}) {
    CAPTURE(config.model_type);
    const Folder folder;
    Transformer model = filled(config);
    save_model(folder.path, model);
    for (bool trainable : {false, true}) {
      Transformer copy = load_model(folder.path, {.trainable = trainable});
      const auto ours = parameters(model), theirs = parameters(copy);
      REQUIRE(ours.size() == theirs.size());
      for (size_t i = 0; i < ours.size(); ++i) {
        CAPTURE(ours[i].name);
        CHECK(ours[i].name == theirs[i].name);
        CHECK(ours[i].tensor->shape() == theirs[i].tensor->shape());
        CHECK(std::memcmp(ours[i].tensor->memory(), theirs[i].tensor->memory(), ours[i].tensor->bytes()) == 0);
        CHECK(theirs[i].tensor->tracked() == (trainable && ours[i].name != "logits_bias"));
      }
      CHECK(copy.config().encoder.block == config.encoder.block);
      CHECK(copy.config().decoder.block == config.decoder.block);
      CHECK(copy.config().positions == config.positions);
      CHECK(copy.config().eos == config.eos);
      CHECK(copy.config().decoder_start == config.decoder_start);
    }
  }
}

TEST_CASE("families: half precision on disk") {
  const Folder folder;
  Transformer model = filled(marian(true));
  save_model(folder.path, model, DType::f16);
  Transformer copy = load_model(folder.path);
  const auto ours = parameters(model), theirs = parameters(copy);
  for (size_t i = 0; i < ours.size(); ++i)
    for (int64_t j = 0; j < ours[i].tensor->elements(); ++j)
      REQUIRE(std::abs(ours[i].tensor->data<float>()[j] - theirs[i].tensor->data<float>()[j]) <=
              1e-3 * (0.1 + std::abs(ours[i].tensor->data<float>()[j])));
}

TEST_CASE("families: everything that does not fit is named at once") {
  const Folder folder;
  Transformer model = filled(marian(true));
  save_model(folder.path, model);
  const WeightFiles files = WeightFiles::open(folder.path);
  NamedTensors tensors;
  for (const std::string& name : files.names()) {
    if (name == "model.encoder.layers.1.fc1.bias") continue;
    tensors.emplace_back(name, name == "model.shared.weight" ? Tensor::zeros({31, 16}) : files.tensor(name).clone());
  }
  tensors.emplace_back("model.extra", Tensor::zeros({2}));
  tensors.emplace_back("model.encoder.embed_positions.weight", Tensor::zeros({2}));  // computed: may be there
  save_safetensors(folder.path / "model.safetensors", tensors);
  try {
    load_model(folder.path);
    FAIL("must not load");
  } catch (const FormatError& error) {
    const std::string text = error.what();
    CHECK(text.find("missing: model.encoder.layers.1.fc1.bias") != text.npos);
    CHECK(text.find("misshapen: model.shared.weight [31, 16] (the config asks for [30, 16])") != text.npos);
    CHECK(text.find("unexpected: model.extra") != text.npos);
    CHECK(text.find("embed_positions") == text.npos);
    CHECK(text.find('\n') == text.npos);
  }
}

TEST_CASE("families: configs that cannot be") {
  const Folder folder;
  auto write = [&](const char* json) { write_file(folder.path / "config.json", json); };
  CHECK_THROWS_AS(load_model(folder.path / "nowhere"), SystemError);
  write("{");
  CHECK_THROWS_AS(load_model(folder.path), FormatError);
  write(R"({"model_type": "mariam"})");
  CHECK_THROWS_WITH_AS(load_model(folder.path), doctest::Contains("nearest is 'marian'"), Unsupported);
  write(R"({"model_type": "marian"})");
  CHECK_THROWS_WITH_AS(load_model(folder.path), doctest::Contains("vocab_size is missing"), ConfigError);
  write(R"({"model_type": "marian", "vocab_size": "many"})");
  CHECK_THROWS_AS(load_model(folder.path), ConfigError);
  write(
      R"({"model_type": "marian", "vocab_size": 9, "pad_token_id": 8, "encoder_layers": 1, "encoder_attention_heads": 3, "encoder_ffn_dim": 4,
            "decoder_layers": 1, "decoder_attention_heads": 3, "decoder_ffn_dim": 4, "d_model": 8})");
  CHECK_THROWS_WITH_AS(load_model(folder.path), doctest::Contains("does not divide into 3"), ConfigError);
  TransformerConfig config = marian(true);
  config.encoder.block.pre_norm = true;
  CHECK_THROWS_AS(save_model(folder.path, Transformer(config)), ConfigError);
}
