// A profile sees every kernel of a training step, counts its work and changes nothing.
#include <attend/models/transformer.hpp>
#include <attend/nn/parameters.hpp>
#include <attend/tensor/context.hpp>
#include <attend/tensor/profile.hpp>
#include <attend/tensor/tape.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <map>

using namespace attend;

namespace {

constexpr int64_t width = 24, heads = 3, hidden = 40, vocab = 50;

Transformer make_model() {
  TransformerConfig c;
  c.vocab = c.source_vocab = vocab;
  c.width = width;
  c.encoder.layers = c.decoder.layers = 1;
  c.encoder.block = {.width = width, .heads = heads, .hidden = hidden, .dropout = 0.1f};
  c.decoder.block = c.encoder.block;
  c.decoder.block.causal = c.decoder.block.cross = true;
  Transformer model(c);
  model.initialise(7);
  model.set_trainable(true);
  return model;
}

/// Loss and all gradients of one step, as bytes.
std::vector<float> step(Transformer& model) {
  const Tokens source = Tokens::of({{1, 2, 3, 4, 5}, {6, 7}}), target = Tokens::of({{49, 11, 12}, {49, 13, 14, 15}});
  const Tensor labels = Tensor::from<int32_t>({7}, std::vector<int32_t>{11, 12, 0, 13, 14, 15, 0});
  Pass pass = Pass::training(3, 1);
  Tape tape;
  const Tensor loss = model.loss(pass, source, target, labels, {.label_smoothing = 0.1f});
  std::vector<float> all{static_cast<float>(loss.item())};
  const Gradients gradients = tape.backward(loss);
  for (const Parameter& parameter : parameters(model))
    if (const Tensor gradient = gradients.of(*parameter.tensor); gradient.defined())
      all.insert(all.end(), gradient.values<float>().begin(), gradient.values<float>().end());
  return all;
}

}  // namespace

TEST_CASE("profile on: the same bits, and nothing is kept outside its scope") {
  Transformer model = make_model();
  const std::vector<float> plain = step(model);
  Profile profile;
  CHECK(Context::current().profile() == nullptr);
  {
    ProfileScope scope(profile);
    CHECK(Context::current().profile() == &profile);
    const std::vector<float> profiled = step(model);
    REQUIRE(profiled.size() == plain.size());
    CHECK(std::memcmp(profiled.data(), plain.data(), plain.size() * sizeof(float)) == 0);
  }
  CHECK(Context::current().profile() == nullptr);
  const size_t kinds = profile.entries().size();
  CHECK(kinds > 0);
  step(model);
  CHECK(profile.entries().size() == kinds);
}

TEST_CASE("profile: the FLOPs of a training step, counted by hand") {
  Transformer model = make_model();
  Profile profile;
  {
    ProfileScope scope(profile);
    step(model);
    step(model);
  }
  std::map<std::string, Profile::Entry> by_name;
  for (const Profile::Entry& entry : profile.operations()) by_name[entry.operation] = entry;

  // 7 source and 7 target tokens. Encoder: q, k, v, out and the feed-forward pair; decoder: twice the attention.
  const double forward = 2 * 7 * (4 + 8) * width * width + 2 * 7 * (2 + 2) * width * hidden + 2 * 7 * width * vocab;
  for (const char* role : {"matmul forward", "matmul dX", "matmul dW"}) {
    CAPTURE(role);
    CHECK(by_name[role].flops == 2 * forward);
    CHECK(by_name[role].calls == 2 * (4 + 2 + 8 + 2 + 1));
  }
  // Pairs: the encoder 25 + 4, the decoder's own 6 + 10 (causal), across 3·5 + 4·2.
  const double pairs = 29 + 16 + 23;
  CHECK(by_name["attention"].flops == 2 * 4 * pairs * width);
  CHECK(by_name["attention"].calls == 2 * 3);
  CHECK(by_name["attention_backward"].flops == 2 * 10 * pairs * width);
  CHECK(profile.flops() == 2 * (3 * forward + 14 * pairs * width));

  double seconds = 0, last = 1e9;
  for (const Profile::Entry& entry : profile.entries()) {
    seconds += entry.seconds;
    CHECK(entry.seconds <= last);  // longest first
    last = entry.seconds;
  }
  CHECK(std::abs(seconds - profile.seconds()) < 1e-9);
  profile.clear();
  CHECK(profile.entries().empty());
}

TEST_CASE("profile: scopes nest, the inner one counts") {
  const Tensor x = Tensor::full({4, 8}, 1), weight = Tensor::full({8, 8}, 1);
  Profile outer, inner;
  ProfileScope first(outer);
  linear(x, weight);
  {
    ProfileScope second(inner);
    linear(x, weight);
    linear(x, weight);
  }
  linear(x, weight);
  REQUIRE(outer.entries().size() == 1);
  REQUIRE(inner.entries().size() == 1);
  CHECK(outer.entries()[0].calls == 2);
  CHECK(inner.entries()[0].calls == 2);
  CHECK(outer.entries()[0].shape == std::array<int64_t, 3>{4, 8, 8});
}
