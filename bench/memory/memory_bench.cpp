// What recomputation costs and saves: training steps of two models with and without it, in turns, and the most memory
// that the tensors of a step held. The numbers of docs/performance.md, "Activation memory".
//   memory_bench [ROUNDS]
#include <attend/attend.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

namespace {

using namespace attend;

struct Case {
  const char* name;
  TransformerConfig config;
  Tokens source, target;
};

std::vector<std::vector<int32_t>> sequences(int64_t count, int64_t length, int64_t vocab) {
  std::vector<std::vector<int32_t>> list(static_cast<size_t>(count));
  uint32_t state = 1;
  for (auto& sequence : list)
    for (int64_t i = 0; i < length; ++i) {
      state = state * 1664525 + 1013904223;
      sequence.push_back(static_cast<int32_t>(state % static_cast<uint32_t>(vocab)));
    }
  return list;
}

// The shape of recipes/en-ko.toml and a batch of its 1024 tokens.
Case shipped_recipe() {
  TransformerConfig c;
  c.vocab = c.source_vocab = 8000;
  c.width = 256;
  c.encoder = {.layers = 4, .block = {.width = 256, .heads = 4, .hidden = 1024, .dropout = 0.1f}};
  c.decoder = c.encoder;
  c.decoder.layers = 2;
  c.decoder.block.causal = c.decoder.block.cross = true;
  c.embedding_dropout = 0.1f;
  return {"recipes/en-ko.toml", c, Tokens::of(sequences(32, 16, c.vocab)), Tokens::of(sequences(32, 16, c.vocab))};
}

// GPT-2's shape: one sequence of 1024 tokens.
Case gpt2() {
  TransformerConfig c;
  c.vocab = 50257;
  c.width = 768;
  c.max_length = 1024;
  c.positions = PositionKind::learned;
  c.scale_embedding = false;
  c.decoder = {.layers = 12,
               .block = {.width = 768,
                         .heads = 12,
                         .hidden = 3072,
                         .activation = Activation::gelu_tanh,
                         .pre_norm = true,
                         .causal = true,
                         .dropout = 0.1f,
                         .attention_dropout = 0.1f},
               .final_norm = true};
  c.embedding_dropout = 0.1f;
  return {"12 x 768, 1024 tokens", c, {}, Tokens::of(sequences(1, 1024, 50257))};
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + std::ssize(values) / 2, values.end());
  return values[values.size() / 2];
}

// Steps of one kind, in a context of their own: its allocator has what a step holds beside the parameters.
struct Measured {
  bool recompute;
  Context context;
  std::vector<double> seconds;

  explicit Measured(bool with) : recompute(with) {}
  int64_t peak() { return context.allocator()->statistics().peak_bytes_used; }
};

// Forward and backward; the update is the same in both.
void step(const Case& c, const Transformer& model, const Weight& head, Measured& into) {
  ContextScope scope(into.context);
  const auto start = std::chrono::steady_clock::now();
  Pass pass = Pass::training(1, into.seconds.size());
  pass.recompute = into.recompute;
  Tape tape;
  const Tensor memory = c.source.ids.defined() ? model.encode(pass, c.source) : Tensor{};
  const Tensor hidden = model.decode(pass, c.target, memory, c.source.sequences);
  const Gradients gradients = tape.backward(linear_cross_entropy(hidden, head, {}, c.target.ids));
  into.seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

void compare(const Case& c, int rounds) {
  Transformer model(c.config);
  model.initialise(1);
  model.set_trainable(true);
  Weight head;
  for (const Parameter& parameter : parameters(model))
    if (parameter.name == "embedding") head = *parameter.tensor;  // tied
  Measured without(false), with(true);
  for (int i = -1; i < rounds; ++i) {
    step(c, model, head, without);
    step(c, model, head, with);
    if (i < 0) without.seconds.clear(), with.seconds.clear();  // the first round warms up
  }
  const double before = median(without.seconds), after = median(with.seconds);
  const auto mib = [](Measured& measured) { return static_cast<double>(measured.peak()) / (1 << 20); };
  fmt::print("{}: step {:.1f} ms, with recomputation {:.1f} ms ({:.2f} times); peak {:.1f} MiB, with {:.1f} MiB\n",
             c.name, 1e3 * before, 1e3 * after, after / before, mib(without), mib(with));
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 7;
  compare(shipped_recipe(), rounds);
  compare(gpt2(), rounds);
}
