#include <attend/tasks/translate.hpp>
#include <attend/train/validation.hpp>

#include <attend/metrics/bleu.hpp>
#include <attend/metrics/chrf.hpp>

#include <algorithm>

namespace attend {

std::vector<ValidationScore> validate_translator(const Transformer& model, const TranslationData& data,
                                                 const TrainOptions& options) {
  std::vector<ValidationScore> scores;
  // The model outlives the translator.
  const Translate translate(std::shared_ptr<const Transformer>(std::shared_ptr<const Transformer>(), &model),
                            data.tokenizer, {});
  for (const ValidationPairs& pairs : data.validation)
    for (size_t d = 0; d < data.directions.size(); ++d) {
      const Direction& direction = data.directions[d];
      const auto& [sources, targets] =
          direction.reversed ? std::tie(pairs.target, pairs.source) : std::tie(pairs.source, pairs.target);
      ValidationScore score{.name = pairs.name, .to = data.targets[d]};
      TranslateOptions how;
      if (options.data.two_way) how.to = data.targets[d];
      how.split_sentences = false;
      score.loss = translate.loss(sources, targets, how).mean();
      if (options.validation.translate) {
        how.generation.num_beams = options.validation.beams;
        std::vector<std::string> outputs;
        for (auto& best : translate.translate(sources, how)) outputs.push_back(std::move(best.front().text));
        const std::vector<std::vector<std::string>> references{targets};
        const Bleu::Score bleu = corpus_bleu(outputs, references);
        const Chrf::Score chrf = corpus_chrf(outputs, references);
        score.bleu = bleu.score;
        score.bleu_signature = bleu.signature();
        score.chrf = chrf.score;
        score.chrf_signature = chrf.signature();
      }
      scores.push_back(std::move(score));
    }
  return scores;
}

}  // namespace attend
