// A recipe: everything that `attend train` can be told, in one list for TOML, flags, help and forms.
#pragma once

#include <attend/models/transformer.hpp>
#include <attend/tensor/precision.hpp>
#include <attend/train/optimiser.hpp>
#include <attend/train/schedule.hpp>

#include <string>
#include <vector>

namespace attend {

/// The shape of a new encoder–decoder, written as a Marian folder.
struct ModelOptions {
  int64_t width = 256, heads = 4, hidden = 1024, encoder_layers = 4, decoder_layers = 2, max_length = 512;
  std::string activation = "relu";
  float dropout = 0.1f, attention_dropout = 0, activation_dropout = 0;

  static void fields(auto& self, auto&& f) {
    f("width", self.width,
      Doc{.en = "width of the model (d_model)", .ko = "모델 너비(d_model)", .min = 1, .max = 65536});
    f("heads", self.heads, Doc{.en = "attention heads", .ko = "어텐션 헤드 수", .min = 1, .max = 1024});
    f("hidden", self.hidden,
      Doc{.en = "width of the feed-forward layers (d_ff)", .ko = "피드포워드 층 너비(d_ff)", .min = 1, .max = 262144});
    f("encoder_layers", self.encoder_layers, Doc{.en = "encoder layers", .ko = "인코더 층 수", .min = 1, .max = 1000});
    f("decoder_layers", self.decoder_layers, Doc{.en = "decoder layers", .ko = "디코더 층 수", .min = 1, .max = 1000});
    f("max_length", self.max_length,
      Doc{.en = "longest sequence in tokens", .ko = "최대 토큰 길이", .min = 8, .max = 1 << 20});
    f("activation", self.activation,
      Doc{.en = "of the feed-forward layers: relu, gelu, silu, …", .ko = "피드포워드 층의 활성화 함수"});
    f("dropout", self.dropout,
      Doc{.en = "dropout of embeddings and sub-layers", .ko = "임베딩과 하위 층의 드롭아웃", .min = 0, .max = 0.99});
    f("attention_dropout", self.attention_dropout,
      Doc{.en = "dropout of attention weights", .ko = "어텐션 가중치의 드롭아웃", .min = 0, .max = 0.99});
    f("activation_dropout", self.activation_dropout,
      Doc{.en = "dropout inside the feed-forward layers", .ko = "피드포워드 층 안의 드롭아웃", .min = 0, .max = 0.99});
  }
};

struct TokenizerOptions {
  int32_t vocab_size = 8000;
  int64_t min_frequency = 2;
  std::string file;

  static void fields(auto& self, auto&& f) {
    f("vocab_size", self.vocab_size,
      Doc{.en = "tokens of a new byte-level BPE", .ko = "새 바이트 BPE의 토큰 수", .min = 300, .max = 1000000});
    f("min_frequency", self.min_frequency,
      Doc{.en = "rarer pairs are not merged", .ko = "이보다 드문 쌍은 병합하지 않음", .min = 1});
    f("file", self.file,
      Doc{.en = "an existing tokenizer.json instead of a new one", .ko = "새로 만들지 않고 쓸 tokenizer.json"});
  }
};

/// What a file teaches where both directions are learned. Text that a machine translated is better read than learned to
/// write, so back-translated files are forward: machine's source, writer's target.
enum class Directions : uint8_t { both, forward, backward };

constexpr auto enum_names(Directions) {
  return std::to_array<EnumName<Directions>>(
      {{Directions::both, "both"}, {Directions::forward, "forward"}, {Directions::backward, "backward"}});
}

/// One file of sentence pairs.
struct PairFile {
  std::string path;
  std::string source = "1", target = "2";
  bool header = false;
  std::vector<std::string> only;
  Directions directions = Directions::both;
  bool optional = false;
  double weight = 1;

  static void fields(auto& self, auto&& f) {
    f("path", self.path, Doc{.en = "TSV or JSON lines, plain, .gz, .xz or .zst", .ko = "TSV 또는 JSONL, 압축 가능"});
    f("source", self.source,
      Doc{.en = "column number, name or JSON key of the source", .ko = "원문 열 번호, 이름 또는 JSON 키"});
    f("target", self.target,
      Doc{.en = "column number, name or JSON key of the target", .ko = "번역문 열 번호, 이름 또는 JSON 키"});
    f("header", self.header, Doc{.en = "the first line names the columns", .ko = "첫 줄이 열 이름임"});
    f("only", self.only,
      Doc{.en = "lines that contain one of these texts, for files that name each line's origin; empty: all",
          .ko = "이 가운데 하나를 담은 줄만. 줄마다 출처를 적은 파일에 씀. 비우면 모든 줄"});
    f("directions", self.directions,
      Doc{.en = "what two_way learns from it: both, source to target alone (forward) or target to source alone "
                "(backward)",
          .ko = "two_way일 때 배울 방향: 양쪽, 원문→번역문만(forward), 번역문→원문만(backward)"});
    f("optional", self.optional, Doc{.en = "skip the file where it does not exist", .ko = "파일이 없으면 건너뜀"});
    f("weight", self.weight, Doc{.en = "share of the examples drawn from it", .ko = "뽑을 비중", .min = 0});
  }
};

struct DataOptions {
  std::string source_language = "en", target_language = "ko";
  bool two_way = true;
  std::vector<PairFile> files;
  int64_t max_tokens = 128;
  double max_ratio = 0;
  int64_t pool = 8192;
  double subword_dropout = 0;
  bool skip_bad_lines = false;

  static void fields(auto& self, auto&& f) {
    f("source_language", self.source_language, Doc{.en = "language of the source column", .ko = "원문 열의 언어"});
    f("target_language", self.target_language, Doc{.en = "language of the target column", .ko = "번역문 열의 언어"});
    f("two_way", self.two_way,
      Doc{.en = "learn both directions, with language tokens", .ko = "언어 토큰으로 양방향을 함께 학습"});
    f("files", self.files, Doc{.en = "files of sentence pairs", .ko = "문장 쌍 파일"});
    f("max_tokens", self.max_tokens,
      Doc{.en = "longer sides are left out", .ko = "이보다 긴 문장은 제외", .min = 1, .max = 65536});
    f("max_ratio", self.max_ratio,
      Doc{.en = "largest ratio of lengths, 0 = any", .ko = "길이 비율의 상한, 0이면 없음", .min = 0});
    f("pool", self.pool,
      Doc{.en = "examples sorted by length together", .ko = "길이로 함께 정렬할 예문 수", .min = 1, .max = 1 << 24});
    f("subword_dropout", self.subword_dropout,
      Doc{.en = "chance that a token is split into the two it was merged from, anew at each reading (BPE-dropout); 0 = "
                "off",
          .ko = "토큰을 병합 전의 두 토큰으로 나눌 확률. 읽을 때마다 새로 정함(BPE 드롭아웃). 0이면 끔",
          .min = 0,
          .max = 0.9});
    f("skip_bad_lines", self.skip_bad_lines,
      Doc{.en = "count broken lines instead of stopping", .ko = "깨진 줄에서 멈추지 않고 건너뜀"});
  }
};

struct ValidationOptions {
  std::vector<PairFile> files;
  int64_t every = 1000;
  int64_t max_examples = 400;
  int64_t beams = 1;
  bool translate = true;

  static void fields(auto& self, auto&& f) {
    f("files", self.files,
      Doc{.en = "the first one decides which checkpoint is best",
          .ko = "첫 파일의 점수로 가장 좋은 체크포인트를 정함"});
    f("every", self.every, Doc{.en = "steps between validations", .ko = "검증 간격(스텝)", .min = 1});
    f("max_examples", self.max_examples, Doc{.en = "pairs of each file", .ko = "파일마다 쓸 쌍의 수", .min = 1});
    f("beams", self.beams, Doc{.en = "beams of the translations", .ko = "번역의 빔 개수", .min = 1, .max = 64});
    f("translate", self.translate,
      Doc{.en = "score translations (BLEU, chrF), else the loss alone",
          .ko = "번역 점수(BLEU, chrF) 계산, 끄면 손실만"});
  }
};

struct TrainOptions {
  std::string output = "runs/model";
  std::string from;
  ModelOptions model;
  TokenizerOptions tokenizer;
  DataOptions data;
  ValidationOptions validation;
  AdamWOptions optimiser;
  ScheduleKind schedule = ScheduleKind::inverse_sqrt;
  double learning_rate = 1e-3;
  int64_t warmup = 1000;
  int64_t steps = 10000;
  int64_t batch_tokens = 4096;
  int64_t accumulation = 1;
  Precision precision = Precision::f32;
  bool recompute = false;
  float label_smoothing = 0.1f;
  int64_t seed = 1;
  int64_t checkpoint_every = 500;
  int64_t keep = 3;
  int64_t average = 1;
  int64_t patience = 0;
  int64_t log_every = 20;
  int64_t prefetch = 4;

  static void fields(auto& self, auto&& f) {
    f("output", self.output, Doc{.en = "folder of the run", .ko = "결과 폴더"});
    f("from", self.from,
      Doc{.en = "model folder to go on from: its weights and tokenizer; the shape must be the recipe's",
          .ko = "이어서 학습할 모델 폴더. 가중치와 토크나이저를 가져오며 모양은 레시피와 같아야 함"});
    f("model", self.model);
    f("tokenizer", self.tokenizer);
    f("data", self.data);
    f("validation", self.validation);
    f("optimiser", self.optimiser);
    f("schedule", self.schedule, Doc{.en = "how the learning rate moves", .ko = "학습률 변화 방식"});
    f("learning_rate", self.learning_rate,
      Doc{.en = "its peak (noam: its factor)", .ko = "최고 학습률(noam은 배수)", .min = 0});
    f("warmup", self.warmup, Doc{.en = "steps until the peak", .ko = "최고점까지의 스텝", .min = 0});
    f("steps", self.steps, Doc{.en = "steps in all", .ko = "전체 스텝", .min = 1});
    f("batch_tokens", self.batch_tokens,
      Doc{.en = "source and target tokens of a batch", .ko = "배치의 원문·번역문 토큰 수", .min = 1});
    f("accumulation", self.accumulation,
      Doc{.en = "batches of a step", .ko = "한 스텝의 배치 수", .min = 1, .max = 4096});
    f("precision", self.precision,
      Doc{.en = "of matrix products, f32 or bf16, which is about 1.8 times as fast on CPUs that have it",
          .ko = "행렬 곱의 정밀도, f32 또는 bf16. bf16을 지원하는 CPU에서는 약 1.8배 빠름"});
    f("recompute", self.recompute,
      Doc{.en = "run each block again in the backward pass: less memory, more time, the same weights",
          .ko = "역전파 때 각 블록을 다시 계산. 메모리는 줄고 시간은 늘며 가중치는 그대로"});
    f("label_smoothing", self.label_smoothing,
      Doc{.en = "label smoothing", .ko = "레이블 평활화", .min = 0, .max = 0.99});
    f("seed", self.seed, Doc{.en = "equal seeds give equal models", .ko = "같은 값이면 같은 모델", .min = 0});
    f("checkpoint_every", self.checkpoint_every,
      Doc{.en = "steps between checkpoints", .ko = "체크포인트 간격(스텝)", .min = 1});
    f("keep", self.keep, Doc{.en = "checkpoints kept", .ko = "남겨 둘 체크포인트 수", .min = 1});
    f("average", self.average,
      Doc{.en = "newest checkpoints whose weights are averaged",
          .ko = "가중치를 평균할 최근 체크포인트 수",
          .min = 1,
          .max = 100});
    f("patience", self.patience,
      Doc{.en = "validations without gain until it stops, 0 = never",
          .ko = "나아지지 않은 검증이 이만큼이면 멈춤, 0이면 안 멈춤",
          .min = 0});
    f("log_every", self.log_every, Doc{.en = "steps between log lines", .ko = "로그 간격(스텝)", .min = 1});
    f("prefetch", self.prefetch, Doc{.en = "batches made ahead", .ko = "미리 만들 배치 수", .min = 1, .max = 1024});
  }
};

}  // namespace attend
