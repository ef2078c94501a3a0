// translate_worker MODEL THREADS: one side of bench/translation.py. Says "ready", then answers each line of standard
// input, {"texts": […], "to": "ko", "beams": 4, "batch": 32, "max_new_tokens": 60}, with {"seconds": s, "ids": [[…],
// …]}: how long the translation of all texts took, `batch` of them a call, and the tokens that were written.
#include <attend/tasks/translate.hpp>
#include <attend/tensor/context.hpp>

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <span>
#include <string>
#include <vector>

namespace {

using Json = nlohmann::json;

Json answer(const attend::Translate& translate, const Json& request) {
  const auto texts = request.at("texts").get<std::vector<std::string>>();
  const auto batch = request.at("batch").get<size_t>();
  attend::TranslateOptions options = translate.defaults();
  options.to = request.at("to").get<std::string>();
  options.split_sentences = false;
  options.generation.num_beams = request.at("beams").get<int64_t>();
  options.generation.length_penalty = 1;
  options.generation.early_stopping = attend::EarlyStopping::yes;
  options.generation.max_length.reset();
  options.generation.max_new_tokens = request.at("max_new_tokens").get<int64_t>();
  options.batch_tokens = int64_t{1} << 24;  // the batch is the list that is given

  std::vector<std::vector<attend::Translation>> answers;
  const auto start = std::chrono::steady_clock::now();
  for (size_t begin = 0; begin < texts.size(); begin += batch) {
    const size_t count = std::min(batch, texts.size() - begin);
    for (auto& one : translate.translate(std::span(texts).subspan(begin, count), options))
      answers.push_back(std::move(one));
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;

  Json ids = Json::array();
  for (const auto& best : answers) {
    Json& row = ids.emplace_back(Json::array());
    for (const attend::TextToken& token : best.at(0).tokens) row.push_back(token.id);
  }
  return {{"seconds", seconds.count()}, {"ids", std::move(ids)}};
}

}  // namespace

int main(int count, char** arguments) try {
  if (count != 3) {
    std::cerr << "usage: translate_worker MODEL THREADS\n";
    return 2;
  }
  attend::Context context({.threads = std::atoi(arguments[2]), .instruction_set = {}});
  const attend::ContextScope scope(context);
  const attend::Translate translate = attend::Translate::load(arguments[1]);
  std::cout << "ready" << std::endl;
  for (std::string line; std::getline(std::cin, line);)
    std::cout << answer(translate, Json::parse(line)).dump() << std::endl;
  return 0;
} catch (const std::exception& error) {
  std::cerr << "translate_worker: " << error.what() << '\n';
  return 1;
}
