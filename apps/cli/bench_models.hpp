// Models at fixed shapes with random weights and random data, built as a user would build them: what training speed is
// measured with.
#pragma once

#include <attend/base/options.hpp>
#include <attend/nn/parameters.hpp>
#include <attend/nn/pass.hpp>

#include <array>
#include <memory>

namespace attend::cli {

enum class BenchShape : uint8_t { none, gpt2, gpt, encoder_decoder, bert };
constexpr auto enum_names(BenchShape) {
  return std::to_array<EnumName<BenchShape>>({{BenchShape::none, "none"},
                                              {BenchShape::gpt2, "gpt2"},
                                              {BenchShape::gpt, "gpt"},
                                              {BenchShape::encoder_decoder, "encoder-decoder"},
                                              {BenchShape::bert, "bert"}});
}

/// Replaces the shape's own numbers where not 0.
struct BenchSize {
  int64_t batch = 0;   ///< sequences (or pairs of them) a step
  int64_t length = 0;  ///< tokens of a sequence
  int64_t layers = 0;  ///< of a stack

  static void fields(auto& self, auto&& f) {
    f("batch", self.batch,
      Doc{.en = "sequences a step, 0 = the shape's own",
          .ko = "한 단계의 문장 수, 0이면 모델의 기본값",
          .min = 0,
          .max = 4096});
    f("length", self.length,
      Doc{.en = "tokens of a sequence, 0 = the shape's own",
          .ko = "문장의 토큰 수, 0이면 모델의 기본값",
          .min = 0,
          .max = 65536});
    f("layers", self.layers,
      Doc{.en = "layers, 0 = the shape's own", .ko = "층의 수, 0이면 모델의 기본값", .min = 0, .max = 1000});
  }
};

/// A model with its one batch.
class BenchModel {
 public:
  virtual ~BenchModel() = default;
  virtual Tensor loss(Pass& pass) const = 0;
  /// All trainable.
  virtual std::vector<Parameter> parameters() = 0;

  BenchSize size;      ///< of the batch as it is
  int64_t tokens = 0;  ///< a step reads (source and target together)
  int64_t parameter_count = 0;
  /// FLOPs of a step by the usual rule: 6 a token and parameter that is multiplied with, and 12·length·width a token
  /// and layer for attention (half of it causal; none is counted for the encoder–decoder, whose sentences are short).
  double flops = 0;
};

/// gpt2: GPT-2 small, 124 M parameters, 4 × 256 tokens. gpt: 13.9 M, width 384, 6 layers, vocabulary 8192, 16 × 256.
/// encoder_decoder: 11.5 M, 4 + 4 layers of width 256, vocabulary 16000, 32 pairs of 64 + 64. bert: BERT-base that
/// classifies, 109 M, 16 × 128, dropout 0.1.
std::unique_ptr<BenchModel> make_bench_model(BenchShape shape, const BenchSize& size);

}  // namespace attend::cli
