// generate() of real models against transformers' (golden/models/*/expected.json, generation.cases).
#include <doctest/doctest.h>
#include <attend/base/error.hpp>
#include <attend/generate/generate.hpp>
#include <attend/generate/transformer_decoder.hpp>
#include <attend/io/config.hpp>
#include <attend/models/family.hpp>
#include <golden.hpp>

#include <algorithm>
#include <set>

using namespace attend;

namespace {

using Ids = std::vector<int32_t>;

bool has_family(const std::string& model_type) {
  const auto all = families();
  return std::any_of(all.begin(), all.end(), [&](const Family* family) { return family->model_type == model_type; });
}

std::vector<Ids> sources_of(const Config& inputs) {
  auto sources = inputs.require<std::vector<Ids>>("input_ids");
  const auto mask = inputs.require<std::vector<Ids>>("attention_mask");
  for (size_t i = 0; i < sources.size(); ++i)
    sources[i].resize(static_cast<size_t>(std::count(mask[i].begin(), mask[i].end(), 1)));
  return sources;
}

/// A row of the file without prompt and padding: up to the end token.
Ids answer_of(const Ids& row, const GenerationOptions& options) {
  const auto end = std::find_if(row.begin() + 1, row.end(), [&](int32_t token) { return options.ends_with(token); });
  return {row.begin() + 1, end == row.end() ? end : end + 1};
}

/// True if it could be compared.
bool run_case(const Transformer& model, const std::vector<Ids>& sources, const Config& item) {
  if (!item.require<bool>("stable")) return false;
  GenerationOptions options;
  options.read(item.object("params"));
  const auto expected = item.require<std::vector<Ids>>("sequences");
  const auto scores = item.value_or<std::vector<double>>("sequences_scores", {});
  const auto count = static_cast<size_t>(options.num_return_sequences);
  REQUIRE(expected.size() == sources.size() * count);

  TransformerDecoder decoder(model);
  const auto slots = decoder.encode(sources);
  std::vector<GenerationRequest> requests;
  for (size_t i = 0; i < sources.size(); ++i)
    requests.push_back({.slot = slots[i], .prompt = {*options.decoder_start_token_id}, .source = sources[i]});
  const auto answers = generate(decoder, requests, options);
  for (size_t i = 0; i < sources.size(); ++i) {
    REQUIRE(answers[i].size() == count);
    for (size_t j = 0; j < count; ++j) {
      CAPTURE(i);
      CAPTURE(j);
      CHECK(answers[i][j].ids == answer_of(expected[i * count + j], options));
      if (scores.empty()) continue;
      const double score = scores[i * count + j];
      CHECK(std::abs(answers[i][j].score - score) <= 1e-4 + 1e-4 * std::abs(score));
    }
  }
  return true;
}

}  // namespace

TEST_CASE("golden: generation of encoder-decoder models") {
  int compared = 0;
  std::set<std::filesystem::path> folders;
  for (const auto& entry : std::filesystem::directory_iterator(testing::golden_folder() / "models"))
    if (std::filesystem::exists(entry.path() / "expected.json")) folders.insert(entry.path());
  for (const auto& folder : folders) {
    const Config expected = Config::read(folder / "expected.json");
    if (expected.require<std::string>("kind") != "s2s" || !expected.has("generation")) continue;
    const auto model_type = Config::read(folder / "config.json").require<std::string>("model_type");
    const auto name = folder.filename().string();
    if (!has_family(model_type)) {
      MESSAGE("not yet: generation of models/" << name);
      continue;
    }
    const Transformer model = load_model(folder);
    const Config generation = expected.object("generation");
    const auto sources = sources_of(generation.object("inputs"));
    for (const auto& json : generation.require<nlohmann::json>("cases")) {
      const Config item(json, name);
      const std::string label = name + "/" + item.require<std::string>("name");
      CAPTURE(label);
      compared += run_case(model, sources, item);
    }
  }
  CHECK(compared > 0);
}
