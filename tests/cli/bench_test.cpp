// attend bench as a program, with models small enough for a test.
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <sstream>

#include "cli/program.hpp"

using attend::testing::attend_run;
using attend::testing::Program;
using attend::testing::Result;
using attend::testing::Start;
using Json = nlohmann::json;

namespace {

std::vector<std::string> tiny(const std::string& shape, std::vector<std::string> more) {
  std::vector<std::string> arguments{"bench", "--train",  shape, "--layers", "1", "--batch",
                                     "2",     "--length", "8",   "--steps",  "2"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

}  // namespace

TEST_CASE("bench alone measures the machine") {
  const Result result = attend_run({"bench", "--json"});
  CHECK(result.code == 0);
  const Json report = Json::parse(result.out);
  CHECK(report["threads"] == 1);
  for (const char* limit :
       {"f32_flops_per_second", "bf16_flops_per_second", "read_bytes_per_second", "update_bytes_per_second"}) {
    CHECK(report["limits"][limit]["one_thread"] > 1e8);
    CHECK(report["limits"][limit]["all_threads"] > 1e8);
  }
  CHECK(attend_run({"bench"}).out.find("limits     f32 ") != std::string::npos);
}

TEST_CASE("bench --train: every shape takes steps and counts its FLOPs") {
  struct Row {
    const char* shape;
    double parameters, flops;
  };
  // One layer each: 12·d² + 13·d of weights, biases and norms (hidden = 4·d), and what stands around it.
  auto layer = [](double d) { return 12 * d * d + 13 * d; };
  const double gpt_head = 8192 * 384, gpt_rest = layer(384) + 2 * 384;
  const double cross = 4 * 256 * 256 + 6 * 256, pair = 2 * layer(256) + cross, table = 16000 * 256;
  const double bert_rest = layer(768) + (512 + 2 + 2) * 768 + 768 * 768 + 768 + 2 * 768 + 2;
  const Row rows[] = {
      {"gpt", gpt_head + gpt_rest + 256 * 384, (6 * (gpt_head + gpt_rest) + 12 * 8 * 384 / 2) * 16},
      {"encoder-decoder", table + pair + 4 * 256, 6 * (table + pair) * 16},
      {"bert", 30522 * 768 + bert_rest, (6 * bert_rest + 12 * 8 * 768) * 16},
  };
  for (const Row& row : rows) {
    CAPTURE(row.shape);
    const Result result = attend_run(tiny(row.shape, {"--json", "--profile"}));
    REQUIRE(result.code == 0);
    const Json report = Json::parse(result.out);
    CHECK(report["shape"] == row.shape);
    CHECK(report["parameters"] == row.parameters);
    CHECK(report["flops"] == row.flops);
    CHECK(report["tokens"] == (row.shape == std::string("encoder-decoder") ? 32 : 16));
    CHECK(report["seconds"].size() == 2);
    CHECK(report["peak_mb"] > 10);
    CHECK(report["tokens_per_second"] > 0);
    const Json& profile = report["profile"];
    double share = profile["outside_seconds"].get<double>() * 2 /
                   (report["seconds"][0].get<double>() + report["seconds"][1].get<double>());
    for (const Json& operation : profile["operations"]) share += operation["share"].get<double>();
    CHECK(share == doctest::Approx(1));
    CHECK(profile["shapes"].size() > profile["operations"].size());
  }
}

TEST_CASE("bench --dtype bf16 trains with products in bf16") {
  const Result result = attend_run(tiny("encoder-decoder", {"--json", "--dtype", "bf16"}));
  REQUIRE(result.code == 0);
  const Json report = Json::parse(result.out);
  CHECK(report["dtype"] == "bf16");
  const double peak = report["machine"]["limits"]["bf16_flops_per_second"]["all_threads"];
  CHECK(report["share_of_peak"].get<double>() == doctest::Approx(report["flops_per_second"].get<double>() / peak));
  CHECK_FALSE(report.contains("profile"));
}

TEST_CASE("bench --profile as text: the table and the rest") {
  const Result result = attend_run(tiny("gpt", {"--profile"}));
  CHECK(result.code == 0);
  for (const char* part : {"tokens/s", "of the f32 peak", "matmul dW", "adamw", "outside kernels", "16×8192×384"}) {
    CAPTURE(part);
    CHECK(result.out.find(part) != std::string::npos);
  }
}

TEST_CASE("bench --worker answers every line with seconds and memory, in turns with others") {
  Program program(Start{tiny("gpt", {"--worker"}), {}});
  REQUIRE(program.pump([&] { return program.out() == "ready\n"; }));
  program.write("go\n");
  REQUIRE(program.pump([&] { return program.out().ends_with("]\n"); }));
  program.write("go\n");
  const Result result = program.finish();
  CHECK(result.code == 0);
  std::istringstream lines(result.out);
  int answers = -1;  // the first line is "ready"
  for (std::string line; std::getline(lines, line); ++answers) {
    if (answers < 0) continue;
    const Json answer = Json::parse(line);
    REQUIRE(answer.size() == 2);
    CHECK(answer[0] > 0);
    CHECK(answer[1] > 10);
  }
  CHECK(answers == 2);
}

TEST_CASE("bench: wrong usage") {
  CHECK(attend_run({"bench", "--profile"}).err == "attend: --profile needs --train MODEL\n");
  CHECK(attend_run({"bench", "--worker"}).code == 2);
  CHECK(attend_run({"bench", "--train", "t5"}).code == 2);
  CHECK(attend_run({"bench", "--train", "gpt", "--dtype", "f16"}).code == 2);
  CHECK(attend_run({"bench", "--train", "gpt", "--steps", "0"}).code == 2);
}
