// How to choose tokens. Names, meanings and file form are those of Hugging Face's generation_config.json.
#pragma once

#include <attend/base/options.hpp>

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace attend {

class Config;

/// When a beam search stops that has num_beams finished hypotheses.
enum class EarlyStopping : uint8_t {
  no,     ///< when the best running beam scores no better than the worst of them, at its present length
  yes,    ///< at once
  never,  ///< when it cannot score better at any length (as far as the length penalty allows to say)
};
constexpr auto enum_names(EarlyStopping) {
  return std::to_array<EnumName<EarlyStopping>>(
      {{EarlyStopping::no, "false"}, {EarlyStopping::yes, "true"}, {EarlyStopping::never, "never"}});
}

struct GenerationOptions {
  // Lengths. Counts of new tokens leave the prompt out; max_length and min_length include it.
  std::optional<int64_t> max_new_tokens;  ///< goes before max_length; without either: 20
  std::optional<int64_t> max_length;
  int64_t min_new_tokens = 0;
  int64_t min_length = 0;

  // Search. One beam is greedy search, or sampling.
  int64_t num_beams = 1;
  int64_t num_return_sequences = 1;  ///< the best of a beam search, or independent samples
  float length_penalty = 1;          ///< score = Σ log p / length^length_penalty
  EarlyStopping early_stopping = EarlyStopping::no;

  // Sampling.
  bool do_sample = false;
  float temperature = 1;
  int64_t top_k = 50;        ///< 0: off
  float top_p = 1;           ///< 1: off
  float min_p = 0;           ///< 0: off
  float typical_p = 1;       ///< 1: off
  float epsilon_cutoff = 0;  ///< 0: off
  float eta_cutoff = 0;      ///< 0: off
  int64_t seed = 0;          ///< equal seeds give equal samples (not a key of Hugging Face)

  // Constraints.
  float repetition_penalty = 1;
  int64_t no_repeat_ngram_size = 0;
  int64_t encoder_no_repeat_ngram_size = 0;
  std::vector<std::vector<int32_t>> bad_words_ids;
  std::vector<int32_t> suppress_tokens;

  // Special tokens.
  std::vector<int32_t> eos_token_id;
  std::optional<int32_t> forced_bos_token_id;
  std::vector<int32_t> forced_eos_token_id;
  std::optional<int32_t> pad_token_id;
  std::optional<int32_t> decoder_start_token_id;

  bool ends_with(int32_t token) const noexcept;

  /// Takes over the keys that `config` has (null = absent). Throws ConfigError for wrong types and for what check()
  /// refuses.
  void read(const Config& config);

  /// What a model's folder asks for: generation_config.json, or config.json where that is missing; special tokens that
  /// it lacks come from config.json.
  static GenerationOptions load(const std::filesystem::path& folder);

  /// Throws ConfigError "generation: NAME is VALUE, not WHAT" for values out of range or that exclude each other.
  void check() const;
  /// Also for token ids outside a vocabulary.
  void check(int64_t vocab) const;

  /// Total length at which a sequence with this prompt ends, at most `model_length`; `new_tokens` goes before the
  /// options' own lengths. Throws ConfigError if the prompt leaves no room.
  int64_t length_limit(int64_t prompt_length, int64_t model_length, std::optional<int64_t> new_tokens = {}) const;

  static constexpr int64_t most_tokens = int64_t{1} << 30;

  static void fields(auto& self, auto&& f) {
    constexpr auto count = [](std::string_view en, std::string_view ko, double min = 0, double max = most_tokens) {
      return Doc{.en = en, .ko = ko, .min = min, .max = max};
    };
    f("max_new_tokens", self.max_new_tokens, count("longest answer in tokens", "답의 최대 토큰 수", 1));
    f("max_length", self.max_length, count("longest prompt and answer in tokens", "입력과 답을 합한 최대 토큰 수", 1));
    f("min_new_tokens", self.min_new_tokens, count("shortest answer in tokens", "답의 최소 토큰 수"));
    f("min_length", self.min_length, count("shortest prompt and answer in tokens", "입력과 답을 합한 최소 토큰 수"));
    f("num_beams", self.num_beams, count("beams of the search, 1 = greedy", "빔 개수, 1이면 탐욕 탐색", 1, 1024));
    f("num_return_sequences", self.num_return_sequences, count("answers to return", "돌려줄 답의 수", 1, 1024));
    f("length_penalty", self.length_penalty,
      Doc{.en = "above 0 favours long answers of a beam search, below 0 short ones",
          .ko = "빔 탐색에서 0보다 크면 긴 답, 작으면 짧은 답을 선호",
          .min = -100,
          .max = 100});
    f("early_stopping", self.early_stopping,
      Doc{.en = "stop a beam search once num_beams answers are complete", .ko = "완성된 답이 빔 수만큼 모이면 멈춤"});
    f("do_sample", self.do_sample, Doc{.en = "draw tokens at random", .ko = "토큰을 무작위로 뽑음"});
    f("temperature", self.temperature,
      Doc{.en = "below 1 draws likely tokens more often", .ko = "1보다 작으면 확률 높은 토큰을 더 자주 뽑음"});
    f("top_k", self.top_k, count("draw among the k best tokens, 0 = off", "가장 좋은 k개 토큰에서 뽑음, 0이면 끔"));
    f("top_p", self.top_p,
      count("draw among the best tokens of this total probability", "누적 확률이 이 값인 상위 토큰에서 뽑음", 0, 1));
    f("min_p", self.min_p,
      count("draw among tokens this likely beside the best, 0 = off", "최고 확률의 이 비율 이상만 뽑음, 0이면 끔", 0,
            1));
    f("typical_p", self.typical_p,
      count("mass of typical tokens to draw among, 1 = off", "전형적 토큰의 누적 확률, 1이면 끔", 0, 1));
    f("epsilon_cutoff", self.epsilon_cutoff,
      count("least probability to be drawn, 0 = off", "뽑힐 최소 확률, 0이면 끔", 0, 1));
    f("eta_cutoff", self.eta_cutoff,
      count("least probability, lower where many tokens fit, 0 = off", "엔트로피에 따른 최소 확률, 0이면 끔", 0, 1));
    f("seed", self.seed, Doc{.en = "equal seeds draw equal answers", .ko = "같은 값이면 같은 답을 뽑음"});
    f("repetition_penalty", self.repetition_penalty,
      Doc{.en = "above 1 discourages tokens that occurred", .ko = "1보다 크면 이미 나온 토큰을 피함"});
    f("no_repeat_ngram_size", self.no_repeat_ngram_size,
      count("no n tokens in a row occur twice, 0 = off", "n개 토큰의 반복을 막음, 0이면 끔"));
    f("encoder_no_repeat_ngram_size", self.encoder_no_repeat_ngram_size,
      count("no n tokens in a row are copied from the source, 0 = off", "원문의 n개 토큰을 베끼지 않음, 0이면 끔"));
    f("bad_words_ids", self.bad_words_ids, Doc{.en = "token sequences that must not occur", .ko = "금지할 토큰열"});
    f("suppress_tokens", self.suppress_tokens, Doc{.en = "tokens that must not occur", .ko = "금지할 토큰"});
    f("eos_token_id", self.eos_token_id, Doc{.en = "tokens that end an answer", .ko = "답을 끝내는 토큰"});
    f("forced_bos_token_id", self.forced_bos_token_id,
      Doc{.en = "first token of every answer", .ko = "모든 답의 첫 토큰"});
    f("forced_eos_token_id", self.forced_eos_token_id,
      Doc{.en = "last token of an answer that reaches the longest length", .ko = "최대 길이에 이른 답의 마지막 토큰"});
    f("pad_token_id", self.pad_token_id, Doc{.en = "padding token", .ko = "채움 토큰"});
    f("decoder_start_token_id", self.decoder_start_token_id,
      Doc{.en = "token a decoder starts from", .ko = "디코더가 시작하는 토큰"});
  }
};

}  // namespace attend
