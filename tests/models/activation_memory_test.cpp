// The table of docs/performance.md, "Activation memory": what a layer keeps per token for the backward pass is measured
// and must be the page's numbers, which must be the page's formulas.
#include <attend/base/error.hpp>
#include <attend/models/transformer.hpp>
#include <attend/tensor/context.hpp>
#include <attend/tensor/tape.hpp>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

using namespace attend;

namespace {

// Powers of two: no block of the allocator is larger than what lies in it.
constexpr int64_t tokens = 256, other_tokens = 512;

struct Row {
  std::string kind;
  int64_t width, hidden, heads;
  std::string formula;                   // numbers of f32 per token
  int64_t kept, recomputed, per_source;  // bytes
};

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream stream(line.substr(1));
  for (std::string cell; std::getline(stream, cell, '|');) {
    const size_t begin = cell.find_first_not_of(' ');
    cells.push_back(begin == cell.npos ? "" : cell.substr(begin, cell.find_last_not_of(' ') + 1 - begin));
  }
  return cells;
}

int64_t number_in(std::string cell) {
  std::erase(cell, ',');  // 12,320
  return std::stoll(cell);
}

std::vector<Row> documented() {
  std::ifstream page("docs/performance.md");
  std::vector<Row> rows;
  bool here = false;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("## ")) here = line == "## Activation memory";
    if (!here || !line.starts_with("|") || line.starts_with("| ---")) continue;
    const std::vector<std::string> c = cells_of(line);
    if (c.size() != 8 || !std::all_of(c[1].begin(), c[1].end(), [](unsigned char x) { return std::isdigit(x); }))
      continue;
    rows.push_back({c[0], number_in(c[1]), number_in(c[2]), number_in(c[3]), c[4], number_in(c[5]), number_in(c[6]),
                    number_in(c[7])});
  }
  return rows;
}

// "8d + f + h + 4", optionally in backticks, with the row's sizes.
int64_t value_of(std::string formula, const Row& row) {
  std::erase(formula, '`');
  std::erase(formula, ' ');
  std::istringstream terms(formula);
  int64_t sum = 0;
  for (std::string term; std::getline(terms, term, '+');) {
    const char letter = std::isalpha(static_cast<unsigned char>(term.back())) ? term.back() : '1';
    const int64_t factor = std::isdigit(static_cast<unsigned char>(term.front())) ? std::stoll(term) : 1;
    const std::map<char, int64_t> sizes{{'d', row.width}, {'f', row.hidden}, {'h', row.heads}, {'1', 1}};
    sum += factor * sizes.at(letter);
  }
  return sum;
}

TransformerConfig config_of(const Row& row, int64_t layers) {
  const bool pre_norm = row.kind.starts_with("pre-norm"), encoder = row.kind.find("encoder") != row.kind.npos;
  TransformerConfig c;
  c.vocab = c.source_vocab = 64;
  c.width = row.width;
  StackConfig stack{
      .layers = layers,
      .block = {.width = row.width,
                .heads = row.heads,
                .hidden = row.hidden,
                .activation = row.kind.find("GELU") != row.kind.npos ? Activation::gelu : Activation::relu,
                .pre_norm = pre_norm,
                .causal = !encoder,
                .cross = row.kind.find("cross-attention") != row.kind.npos,
                .dropout = 0.1f}};
  (encoder ? c.encoder : c.decoder) = stack;
  return c;
}

// Bytes that are held after the forward pass of a stack and were not before.
int64_t kept(const Row& row, int64_t layers, bool recompute, int64_t target, int64_t source) {
  Context context({.threads = 2});
  ContextScope scope(context);
  Transformer model(config_of(row, layers));
  model.set_trainable(true);
  const std::vector<int32_t> ids(static_cast<size_t>(target), 5);
  const Tokens input = Tokens::of({ids});
  const Sequences sources = Sequences::of(std::vector<int64_t>{source});
  const Tensor memory = Tensor::zeros({source, row.width}).set_tracked();
  const auto used = [&] { return context.allocator()->statistics().bytes_used; };
  Pass pass = Pass::training(1, 1);
  pass.recompute = recompute;
  model.encode(pass, Tokens::of({{1}}));  // tables that are made once
  const int64_t before = used();
  Tape tape;
  const Tensor out =
      model.config().encoder.layers ? model.encode(pass, input) : model.decode(pass, input, memory, sources);
  return used() - before;
}

// What one more layer keeps.
int64_t of_a_layer(const Row& row, bool recompute, int64_t target, int64_t source) {
  return kept(row, 3, recompute, target, source) - kept(row, 2, recompute, target, source);
}

}  // namespace

TEST_CASE("the documented bytes per token and layer are those that are kept") {
  const std::vector<Row> rows = documented();
  std::set<std::string> kinds;
  for (const Row& row : rows) {
    CAPTURE(row.kind);
    CAPTURE(row.width);
    kinds.insert(row.kind);
    CHECK(row.kept == 4 * value_of(row.formula, row));
    for (const bool recompute : {false, true}) {
      CAPTURE(recompute);
      const int64_t bytes = of_a_layer(row, recompute, tokens, tokens);
      const int64_t per_source = (of_a_layer(row, recompute, tokens, other_tokens) - bytes) / (other_tokens - tokens);
      CHECK(per_source == (recompute ? 0 : row.per_source));
      CHECK(bytes == tokens * ((recompute ? row.recomputed : row.kept) + per_source));
    }
  }
  CHECK(kinds == std::set<std::string>{"post-norm, ReLU, encoder", "pre-norm, GELU, causal",
                                       "post-norm, ReLU, causal, cross-attention"});
}
