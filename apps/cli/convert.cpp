// attend convert: a model folder in another number format.
#include <attend/base/error.hpp>
#include <attend/base/file.hpp>
#include <attend/models/family.hpp>

#include <fmt/format.h>

#include <array>

#include "commands.hpp"
#include "model_folder.hpp"

namespace attend::cli {
namespace {

namespace fs = std::filesystem;

enum class StoredType : uint8_t { f32, f16, bf16 };
constexpr auto enum_names(StoredType) {
  return std::to_array<EnumName<StoredType>>(
      {{StoredType::f32, "f32"}, {StoredType::f16, "f16"}, {StoredType::bf16, "bf16"}});
}

DType dtype_of(StoredType type) {
  return type == StoredType::f16 ? DType::f16 : type == StoredType::bf16 ? DType::bf16 : DType::f32;
}

struct ConvertFlags {
  StoredType dtype = StoredType::f16;

  static void fields(auto& self, auto&& f) {
    f("dtype", self.dtype, Doc{.en = "how the weights are stored", .ko = "가중치를 저장할 형식"});
  }
};

void run(ConvertFlags& flags, Call& call) {
  if (call.arguments.size() != 2) throw UsageError("convert: give a model folder and a folder for the result");
  const fs::path from = find_model(call.arguments[0]), to = call.arguments[1];
  if (fs::exists(to) && fs::equivalent(from, to)) throw UsageError("convert: the result needs a folder of its own");
  const Transformer model = load_model(from, {.trainable = true});
  save_model(to, model, dtype_of(flags.dtype));
  // What else makes the folder usable goes along as it is.
  for (const char* name :
       {"generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"})
    if (fs::exists(from / name)) write_file(to / name, read_file(from / name, int64_t{1} << 30));
  call.out.line(fmt::format("{}: {} parameters, {:.1f} MB", to.string(), model.parameter_count(),
                            static_cast<double>(fs::file_size(to / "model.safetensors")) * 1e-6));
}

}  // namespace

Command convert_command() {
  return make_command<ConvertFlags>("convert", "MODEL FOLDER",
                                    {"Write a model folder with its weights in another number format.",
                                     "모델 폴더의 가중치를 다른 수 형식으로 씁니다."},
                                    "attend convert runs/en-ko/best pretrained/en-ko --dtype f16", run);
}

}  // namespace attend::cli
