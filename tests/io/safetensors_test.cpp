#include <attend/base/error.hpp>
#include <attend/base/file.hpp>
#include <attend/io/safetensors.hpp>

#include <doctest/doctest.h>

#include <cstring>

#include "base/scratch.hpp"

using namespace attend;
using Folder = attend::testing::ScratchFolder;

namespace {

SafeTensors parse(const std::string& header, size_t data_bytes) {
  auto bytes = std::make_shared<std::string>(8, '\0');
  const uint64_t size = header.size();
  std::memcpy(bytes->data(), &size, 8);
  *bytes += header + std::string(data_bytes, '\1');
  const auto view = std::as_bytes(std::span(*bytes));
  return SafeTensors::from_bytes(bytes, view, "memory");
}

std::string error_of(const std::string& header, size_t data_bytes) {
  try {
    parse(header, data_bytes);
  } catch (const FormatError& error) {
    return error.what();
  }
  return "";
}

Tensor numbers(Shape shape, float first = 0) {
  Tensor tensor(shape);
  for (float& x : tensor.values<float>()) x = first++;
  return tensor;
}

template <class T>
std::vector<T> list(const Tensor& tensor) {
  return {tensor.values<T>().begin(), tensor.values<T>().end()};
}

}  // namespace

TEST_CASE("a saved file reads back: names, shapes, types, values, metadata") {
  Folder folder;
  const NamedTensors tensors = {{"가.weight", numbers({2, 3})},
                                {"flags", Tensor::from<uint8_t>({3}, std::vector<uint8_t>{0, 1, 255})},
                                {"ids", Tensor::from<int64_t>({2, 1}, std::vector<int64_t>{-1, 1ll << 40})},
                                {"scalar", numbers({}, 7)},
                                {"empty", numbers({0, 4})},
                                {"", numbers({1}, 3)}};
  save_safetensors(folder / "a.safetensors", tensors, {.metadata = {{"format", "pt"}, {"note", "한글 \"\n"}}});
  const auto file = SafeTensors::open(folder / "a.safetensors");
  CHECK(file.metadata() == std::map<std::string, std::string>{{"format", "pt"}, {"note", "한글 \"\n"}});
  CHECK(file.entries().size() == tensors.size());
  for (const auto& [name, tensor] : tensors) {
    CAPTURE(name);
    const Tensor back = file.tensor(name);
    CHECK(back.shape() == tensor.shape());
    CHECK(back.dtype() == tensor.dtype());
    CHECK(back.bytes() == tensor.bytes());
    CHECK((tensor.bytes() == 0 || std::memcmp(back.memory(), tensor.memory(), tensor.bytes()) == 0));
  }
  CHECK_THROWS_WITH_AS(file.tensor("b"), doctest::Contains("there is no tensor 'b'"), FormatError);
}

TEST_CASE("the layout is the library's: falling type, then name, header a multiple of 8") {
  Folder folder;
  save_safetensors(folder / "a.safetensors",
                   {{"z", numbers({1})},
                    {"b", Tensor::zeros({3}, DType::boolean)},
                    {"a", Tensor::zeros({1}, DType::i32)},
                    {"l", Tensor::zeros({1}, DType::i64)},
                    {"c", numbers({2})}},
                   {.metadata = {{"format", "pt"}}});
  const std::string bytes = read_file(folder / "a.safetensors", 1 << 20);
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"l":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},)"
      R"("c":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},"z":{"dtype":"F32","shape":[1],"data_offsets":[16,20]},)"
      R"("a":{"dtype":"I32","shape":[1],"data_offsets":[20,24]},"b":{"dtype":"BOOL","shape":[3],"data_offsets":[24,27]}})";
  uint64_t size = 0;
  std::memcpy(&size, bytes.data(), 8);
  CHECK(size % 8 == 0);
  CHECK(size == (header.size() + 7) / 8 * 8);
  CHECK(bytes.substr(8, header.size()) == header);
  CHECK(bytes.substr(8 + header.size(), size - header.size()) == std::string(size - header.size(), ' '));
  CHECK(bytes.size() == 8 + size + 27);
}

TEST_CASE("tensors share the mapping, and outlive the reader and the file's name") {
  Folder folder;
  save_safetensors(folder / "a.safetensors", {{"x", numbers({4})}, {"y", numbers({4}, 10)}});
  Tensor x, y;
  {
    const auto file = SafeTensors::open(folder / "a.safetensors");
    x = file.tensor("x");
    y = file.tensor("y");
    CHECK(x.memory() == static_cast<const void*>(file.bytes("x").data()));
  }
  std::filesystem::remove(folder / "a.safetensors");
  CHECK(static_cast<std::byte*>(y.memory()) - static_cast<std::byte*>(x.memory()) == 16);
  CHECK(list<float>(y) == std::vector<float>{10, 11, 12, 13});
}

TEST_CASE("misaligned data and odd booleans are copied") {
  const auto file = parse(
      R"({"m":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]},"f":{"dtype":"F32","shape":[2],"data_offsets":[3,11]}})",
      11);
  const Tensor f = file.tensor("f");
  CHECK(reinterpret_cast<uintptr_t>(f.memory()) % 4 == 0);
  CHECK(f.data<float>()[0] == f.data<float>()[1]);

  auto odd = std::make_shared<std::string>(8, '\0');
  const std::string header = R"({"m":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}})";
  const uint64_t size = header.size();
  std::memcpy(odd->data(), &size, 8);
  *odd += header + std::string("\0\1\2", 3);
  const Tensor m = SafeTensors::from_bytes(odd, std::as_bytes(std::span(*odd)), "memory").tensor("m");
  CHECK(list<bool>(m) == std::vector<bool>{false, true, true});
  CHECK(static_cast<uint8_t>(static_cast<std::byte*>(m.memory())[2]) == 1);
}

TEST_CASE("types and ranks beyond Tensor's are described and read raw, not computed with") {
  const auto file = parse(R"({"h":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]},)"
                          R"("r":{"dtype":"U8","shape":[1,1,1,1,1,1,1],"data_offsets":[2,3]}})",
                          3);
  CHECK(file.find("h")->dtype == "F8_E4M3");
  CHECK(file.find("r")->shape.size() == 7);
  CHECK(file.bytes("h").size() == 2);
  CHECK_THROWS_WITH_AS(file.tensor("h"), "memory: tensor 'h' is F8_E4M3 [2], which this program does not compute with",
                       Unsupported);
  CHECK_THROWS_AS(file.tensor("r"), Unsupported);
}

TEST_CASE("headers as the library takes them") {
  // The list form of a tensor, an unknown field of any kind, a repeated name (the last counts).
  CHECK(parse(R"({"a":["F32",[2],[0,8]]})", 8).find("a")->shape == std::vector<uint64_t>{2});
  CHECK(parse(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":{"y":[1.5,null,-1]},"z":true}})", 1)
            .contains("a"));
  CHECK(parse(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"a":{"dtype":"U8","shape":[1],)"
              R"("data_offsets":[0,1]}})",
              1)
            .find("a")
            ->shape[0] == 1);
  const auto nested = [](size_t depth) {
    return R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":)" + std::string(depth, '[') +
           std::string(depth, ']') + "}}";
  };
  CHECK(error_of(nested(125), 1) == "");
  CHECK(error_of(nested(126), 1) == "memory: safetensors: the header's JSON is nested too deeply");
  // Refused.
  CHECK(error_of(R"({"a":["F32",[2],[0,8],1]})", 8) != "");
  CHECK(error_of(R"({"a":["F32",[2]]})", 8) == "memory: safetensors: tensor 'a' has no data_offsets");
  CHECK(error_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[-0,1]}})", 1) != "");
  CHECK(error_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1e999}})", 1) != "");
  CHECK(error_of(R"({"a":{"dtype":["U8"],"shape":[1],"data_offsets":[0,1]}})", 1) != "");
  CHECK(error_of(R"({"a":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})", 1) != "");
  CHECK(error_of(R"({"__metadata__":"x"})", 0) != "");
  CHECK(error_of("{}", 1) != "");
  CHECK(error_of("{}\0", 0) == "");
  CHECK(error_of(std::string("{}\0", 3), 0) != "");
}

TEST_CASE("floating tensors are converted on request") {
  Folder folder;
  save_safetensors(folder / "h.safetensors", {{"x", numbers({3}, -1)}, {"n", Tensor::zeros({1}, DType::i64)}},
                   {.float_type = DType::f16});
  const auto file = SafeTensors::open(folder / "h.safetensors");
  CHECK(file.find("x")->dtype == "F16");
  CHECK(file.find("n")->dtype == "I64");
  CHECK(list<float>(file.tensor("x").to(DType::f32)) == std::vector<float>{-1, 0, 1});
  CHECK(file.tensor("x").data<Half>()[0].bits == 0xbc00);
}

TEST_CASE("what cannot be written leaves the old file") {
  Folder folder;
  save_safetensors(folder / "a.safetensors", {{"x", numbers({2})}});
  const std::string before = read_file(folder / "a.safetensors", 1 << 20);
  CHECK_THROWS_AS(save_safetensors(folder / "a.safetensors", {{"x", numbers({1})}, {"x", numbers({1})}}), FormatError);
  CHECK_THROWS_AS(save_safetensors(folder / "a.safetensors", {{"__metadata__", numbers({1})}}), FormatError);
  CHECK_THROWS_AS(save_safetensors(folder / "a.safetensors", {{"\xff", numbers({1})}}), FormatError);
  CHECK_THROWS_AS(save_safetensors(folder / "a.safetensors", {{"x", Tensor()}}), ShapeError);
  CHECK_THROWS_AS(save_safetensors(folder / "none" / "a.safetensors", {{"x", numbers({1})}}), SystemError);
  CHECK(read_file(folder / "a.safetensors", 1 << 20) == before);
}

TEST_CASE("shards: one view, all faults named, no way out of the folder") {
  Folder folder;
  save_safetensors(folder / "model-1.safetensors", {{"a", numbers({2})}, {"b", numbers({3})}});
  save_safetensors(folder / "model-2.safetensors", {{"c", numbers({1}, 5)}});
  const auto index = [&](const std::string& map) {
    write_file(folder / "model.safetensors.index.json", R"({"metadata":{"total_size":24},"weight_map":)" + map + "}");
  };
  index(R"({"a":"model-1.safetensors","b":"model-1.safetensors","c":"model-2.safetensors"})");
  const auto weights = WeightFiles::open(folder.path());
  CHECK(weights.names() == std::vector<std::string>{"a", "b", "c"});
  CHECK(weights.tensor("c").item() == 5);
  CHECK(weights.find("b")->shape == std::vector<uint64_t>{3});
  CHECK(!weights.contains("d"));
  CHECK_THROWS_AS(weights.tensor("d"), FormatError);

  index(R"({"a":"model-1.safetensors","x":"model-1.safetensors","y":"model-2.safetensors"})");
  CHECK_THROWS_WITH_AS(WeightFiles::open(folder.path()), doctest::Contains("x (model-1.safetensors), y"), FormatError);
  index(R"({"a":"model-3.safetensors"})");
  CHECK_THROWS_AS(WeightFiles::open(folder.path()), SystemError);
  for (const char* evil :
       {R"("../a.safetensors")", R"("/etc/passwd")", R"("..")", R"("")", R"("sub/a")", R"("a\\b")", "1", "{}"}) {
    CAPTURE(evil);
    index(std::string(R"({"a":)") + evil + "}");
    CHECK_THROWS_AS(WeightFiles::open(folder.path()), FormatError);
  }
  index("{}");
  CHECK_THROWS_AS(WeightFiles::open(folder.path()), FormatError);
  write_file(folder / "model.safetensors.index.json", "[");
  CHECK_THROWS_AS(WeightFiles::open(folder.path()), FormatError);

  // One file wins over an index, and may be named directly.
  save_safetensors(folder / "model.safetensors", {{"only", numbers({1})}});
  CHECK(WeightFiles::open(folder.path()).names() == std::vector<std::string>{"only"});
  CHECK(WeightFiles::open(folder / "model-2.safetensors").names() == std::vector<std::string>{"c"});
  CHECK_THROWS_AS(WeightFiles::open(folder / "nothing"), SystemError);
}
