#include <attend/inspect/explain.hpp>

#include <nlohmann/json.hpp>

namespace attend {
namespace {

using Json = nlohmann::ordered_json;

template <class T>
Json rows_json(const T* values, int64_t rows, int64_t columns) {
  Json json = Json::array();
  for (int64_t i = 0; i < rows; ++i)
    json.push_back(std::vector<double>(values + i * columns, values + (i + 1) * columns));
  return json;
}

Json tensor_json(const Tensor& tensor) { return rows_json(tensor.data<float>(), tensor.size(0), tensor.size(1)); }

const char* name_of(HeadChoice choice) {
  switch (choice) {
    case HeadChoice::given:
      return "given";
    case HeadChoice::spread:
      return "spread";
    case HeadChoice::nearest:
      return "nearest";
  }
  return "";
}

}  // namespace

Json matrix_json(const Matrix& matrix) { return rows_json(matrix.values.data(), matrix.rows, matrix.columns); }

Json explanation_json(const Explanation& e) {
  Json pieces = Json::array(), words = Json::array(), expectation;
  for (const ExplainedPiece& piece : e.pieces)
    pieces.push_back({{"id", piece.id},
                      {"token", piece.token},
                      {"text", piece.text},
                      {"begin", piece.span.begin},
                      {"end", piece.span.end},
                      {"special", piece.special}});
  for (const WordPieces& word : e.words)
    words.push_back({{"text", word.text},
                     {"begin", word.span.begin},
                     {"end", word.span.end},
                     {"pieces", {word.begin, word.end}},
                     {"special", word.special}});
  if (e.fit)
    expectation = {{"high", e.high},
                   {"low", e.low},
                   {"mean_high", e.fit->high},
                   {"mean_low", e.fit->low},
                   {"margin", e.fit->margin()},
                   {"holds", e.fit->holds},
                   {"heads_that_fit", e.heads_that_fit},
                   {"nearest_that_fits", Json()}};
  if (e.nearest_that_fits)
    expectation["nearest_that_fits"] = {{"layer", e.nearest_that_fits->layer}, {"head", e.nearest_that_fits->head}};
  return {{"text", e.text},
          {"language", e.language.empty() ? Json() : Json(e.language)},
          {"query",
           {{"word", e.words[e.query].text},
            {"index", e.query},
            {"occurrence", e.occurrence},
            {"occurrences", e.occurrences}}},
          {"layers", e.layers},
          {"heads", e.heads},
          {"layer", e.place.layer},
          {"head", e.place.head},
          {"chosen", name_of(e.choice)},
          {"d_k", e.q.size(1)},
          {"pieces", std::move(pieces)},
          {"words", std::move(words)},
          {"q", tensor_json(e.q)},
          {"k", tensor_json(e.k)},
          {"v", tensor_json(e.v)},
          {"products", matrix_json(e.steps.products)},
          {"scores", matrix_json(e.steps.scores)},
          {"weights", tensor_json(e.weights)},
          {"output", tensor_json(e.out)},
          {"word_weights", matrix_json(e.word_weights)},
          {"check",
           {{"weights", e.weights_difference},
            {"output", e.out_difference},
            {"tolerance", Explanation::tolerance},
            {"agrees", e.agrees()}}},
          {"expectation", std::move(expectation)}};
}

}  // namespace attend
