// attend forward: the raw model on given ids, for comparing numbers with another framework.
#include <attend/inspect/forward.hpp>
#include <attend/io/safetensors.hpp>
#include <attend/models/family.hpp>

#include <fmt/format.h>

#include "commands.hpp"
#include "model_folder.hpp"

namespace attend::cli {
namespace {

struct ForwardFlags {
  std::string model = "en-ko", inputs, output;
  ForwardOptions forward;

  static void fields(auto& self, auto&& f) {
    f("model", self.model, Doc{.en = "folder or name of the model", .ko = "모델 폴더나 이름"});
    f("inputs", self.inputs,
      Doc{.en = "safetensors file with input_ids, decoder_input_ids, …", .ko = "input_ids 등이 든 safetensors 파일"});
    f("output", self.output,
      Doc{.en = "file for out.logits and what else is asked for", .ko = "out.logits 등을 쓸 파일"});
    f("hidden", self.forward.hidden, Doc{.en = "hidden states of every layer", .ko = "모든 층의 은닉 상태"});
    f("attentions", self.forward.attentions, Doc{.en = "all attention weights", .ko = "모든 어텐션 가중치"});
    f("gradients", self.forward.gradients,
      Doc{.en = "gradients of the loss (needs labels)", .ko = "손실의 기울기(labels 필요)"});
    f("label_smoothing", self.forward.label_smoothing,
      Doc{.en = "of the loss", .ko = "손실의 라벨 평활화", .min = 0, .max = 1});
  }
};

void run(ForwardFlags& flags, Call& call) {
  for (const auto& [flag, value] : {std::pair{"--inputs", &flags.inputs}, {"--output", &flags.output}})
    if (value->empty()) throw UsageError(fmt::format("forward: {} FILE is missing", flag));
  const SafeTensors file = SafeTensors::open(flags.inputs);
  NamedTensors inputs;
  for (const StoredTensor& entry : file.entries()) inputs.emplace_back(entry.name, file.tensor(entry.name));
  Transformer model = load_model(find_model(flags.model), {.trainable = flags.forward.gradients});
  const NamedTensors outputs = forward(model, inputs, flags.forward);
  save_safetensors(flags.output, outputs);
  for (const auto& [name, tensor] : outputs) call.out.line(fmt::format("{} {}", name, tensor.shape()));
}

}  // namespace

Command forward_command() {
  return make_command<ForwardFlags>(
      "forward", "",
      {"Run the raw model on given ids and write its numbers, named as other frameworks name them.",
       "주어진 id로 모델을 한 번 돌려 숫자를 파일로 씁니다."},
      "attend forward --model DIR --inputs in.safetensors --output out.safetensors --hidden", run);
}

}  // namespace attend::cli
