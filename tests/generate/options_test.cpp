#include <doctest/doctest.h>
#include <attend/base/error.hpp>
#include <attend/generate/options.hpp>
#include <attend/io/config.hpp>

#include <filesystem>
#include <fstream>

using namespace attend;

namespace {

GenerationOptions read(const char* json) {
  GenerationOptions options;
  options.read(Config(nlohmann::json::parse(json), "generation_config.json"));
  return options;
}

}  // namespace

TEST_CASE("options are read as transformers writes them") {
  const auto options = read(R"({"num_beams": 4, "early_stopping": true, "length_penalty": 2, "eos_token_id": [3, 5],
    "forced_eos_token_id": 3, "bad_words_ids": [[9], [1, 2]], "max_length": null, "min_p": null, "temperature": 0.5,
    "forced_bos_token_id": null, "suppress_tokens": null, "transformers_version": "5.23.0", "_from_model_config": true})");
  CHECK(options.num_beams == 4);
  CHECK(options.early_stopping == EarlyStopping::yes);
  CHECK(options.length_penalty == 2);
  CHECK(options.eos_token_id == std::vector<int32_t>{3, 5});
  CHECK(options.forced_eos_token_id == std::vector<int32_t>{3});
  CHECK(options.bad_words_ids == std::vector<std::vector<int32_t>>{{9}, {1, 2}});
  CHECK_FALSE(options.max_length);
  CHECK_FALSE(options.forced_bos_token_id);
  CHECK(options.temperature == 0.5f);
  CHECK(read(R"({"early_stopping": "never"})").early_stopping == EarlyStopping::never);
  CHECK(read(R"({"early_stopping": false, "eos_token_id": 0})").eos_token_id == std::vector<int32_t>{0});
}

TEST_CASE("options as recipes and flags give them") {
  GenerationOptions options;
  const auto list = options_of(options);
  const std::vector<std::string> arguments{
      "--num-beams", "4", "--early-stopping=never", "--eos-token-id", "1,2", "--max-new-tokens", "12", "text"};
  CHECK(apply_flags(list, arguments) == std::vector<std::string>{"text"});
  CHECK(options.num_beams == 4);
  CHECK(options.early_stopping == EarlyStopping::never);
  CHECK(options.eos_token_id == std::vector<int32_t>{1, 2});
  CHECK(options.max_new_tokens == 12);
  for (const auto& option : list) {
    CAPTURE(option.name);
    CHECK_FALSE(option.doc.en.empty());
    CHECK_FALSE(option.doc.ko.empty());
  }
}

TEST_CASE("options that make no sense are refused with their values") {
  CHECK_THROWS_WITH_AS(read(R"({"early_stopping": 3})"),
                       "generation_config.json: early_stopping is 3, not true, false or \"never\"", ConfigError);
  CHECK_THROWS_WITH_AS(read(R"({"num_beams": 0})"), "generation: num_beams is 0, not from 1 to 1024", ConfigError);
  CHECK_THROWS_AS(read(R"({"num_beams": "four"})"), ConfigError);
  CHECK_THROWS_AS(read(R"({"top_p": 1.5})"), ConfigError);
  CHECK_THROWS_AS(read(R"({"repetition_penalty": 0})"), ConfigError);
  CHECK_THROWS_AS(read(R"({"length_penalty": 1e300})"), ConfigError);
  CHECK_THROWS_AS(read(R"({"bad_words_ids": [[]]})"), ConfigError);
  CHECK_THROWS_AS(read(R"({"num_return_sequences": 2})"), ConfigError);
  CHECK_THROWS_AS(read(R"({"num_return_sequences": 3, "num_beams": 2})"), ConfigError);
  CHECK_THROWS_AS(read(R"({"max_new_tokens": 2, "min_new_tokens": 3})"), ConfigError);
  CHECK_THROWS_AS(read(R"({"do_sample": true, "temperature": 0})"), ConfigError);
  CHECK_NOTHROW(read(R"({"do_sample": false, "temperature": 0})"));
  CHECK_NOTHROW(read(R"({"do_sample": true, "num_return_sequences": 2})"));

  GenerationOptions options;
  options.eos_token_id = {7};
  CHECK_NOTHROW(options.check(8));
  CHECK_THROWS_WITH_AS(options.check(7), "generation: eos_token_id is 7, not a token of the vocabulary of 7",
                       ConfigError);
  options.eos_token_id.clear();
  options.forced_bos_token_id = -1;
  CHECK_THROWS_AS(options.check(7), ConfigError);
}

TEST_CASE("where a sequence must end") {
  GenerationOptions options;
  CHECK(options.length_limit(3, 1000) == 23);
  CHECK(options.length_limit(3, 10) == 10);
  options.max_length = 8;
  CHECK(options.length_limit(3, 1000) == 8);
  CHECK_THROWS_AS(options.length_limit(8, 1000), ConfigError);
  options.max_new_tokens = 4;
  CHECK(options.length_limit(3, 1000) == 7);
  CHECK_THROWS_AS(options.length_limit(10, 10), ConfigError);
}

TEST_CASE("what a model's folder asks for") {
  const auto folder = std::filesystem::temp_directory_path() / "attend_generation_options_test";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json") << R"({"eos_token_id": 2, "pad_token_id": 9, "decoder_start_token_id": 9,
    "forced_eos_token_id": 2, "num_beams": 6})";
  auto options = GenerationOptions::load(folder);
  CHECK(options.num_beams == 6);
  CHECK(options.forced_eos_token_id == std::vector<int32_t>{2});

  std::ofstream(folder / "generation_config.json") << R"({"num_beams": 3, "eos_token_id": [2, 4]})";
  options = GenerationOptions::load(folder);
  CHECK(options.num_beams == 3);
  CHECK(options.eos_token_id == std::vector<int32_t>{2, 4});
  CHECK(options.forced_eos_token_id.empty());
  CHECK(options.decoder_start_token_id == 9);
  std::filesystem::remove_all(folder);
}
