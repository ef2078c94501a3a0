// How good a translator is: loss, BLEU and chrF by file and direction.
#pragma once

#include <attend/models/transformer.hpp>
#include <attend/train/trainer.hpp>
#include <attend/train/translation_data.hpp>

namespace attend {

std::vector<ValidationScore> validate_translator(const Transformer& model, const TranslationData& data,
                                                 const TrainOptions& options);

}  // namespace attend
