#include <attend/base/error.hpp>
#include <attend/tensor/context.hpp>
#include <attend/tensor/tensor.hpp>
#include <attend/tensor/weight.hpp>

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

namespace attend {
namespace {

template <class T>
std::vector<T> list(const Tensor& tensor) {
  return {tensor.values<T>().begin(), tensor.values<T>().end()};
}

Tensor counting(Shape shape) {
  Tensor tensor(shape);
  float next = 0;
  for (float& x : tensor.values<float>()) x = next++;
  return tensor;
}

TEST_CASE("shapes") {
  const Shape shape{2, 3, 4};
  CHECK(shape.rank() == 3);
  CHECK(shape.elements() == 24);
  CHECK(shape.rows() == 6);
  CHECK(shape.last() == 4);
  CHECK(shape[-1] == 4);
  CHECK(shape[0] == 2);
  CHECK(shape.to_string() == "[2, 3, 4]");
  CHECK(shape == Shape{2, 3, 4});
  CHECK(shape != Shape{2, 12});
  CHECK(shape.with_last(5) == Shape{2, 3, 5});
  CHECK(shape.with_last(0).elements() == 0);
  CHECK(Shape{}.elements() == 1);
  CHECK(Shape{}.rows() == 1);
  CHECK(Shape{}.to_string() == "[]");
  CHECK(Shape{0, 5}.rows() == 0);
  CHECK(Shape{3, 0}.rows() == 3);

  CHECK_THROWS_WITH_AS((Shape{2, -1}), "shape: negative size -1", ShapeError);
  CHECK_THROWS_WITH_AS((Shape{1, 1, 1, 1, 1, 1, 1}), "shape: 7 dimensions, at most 6 are supported", ShapeError);
  CHECK_THROWS_WITH_AS((Shape{int64_t{1} << 40, int64_t{1} << 40}), "shape: more elements than memory can address",
                       ShapeError);
  CHECK_THROWS_WITH_AS((Shape{int64_t{1} << 60, 2}), "shape: more elements than memory can address", ShapeError);
}

TEST_CASE("making and reading") {
  CHECK_FALSE(Tensor().defined());
  CHECK_FALSE(static_cast<bool>(Tensor()));
  CHECK(list<float>(Tensor::zeros({2, 2})) == std::vector<float>{0, 0, 0, 0});
  CHECK(list<int64_t>(Tensor::zeros({3}, DType::i64)) == std::vector<int64_t>{0, 0, 0});
  CHECK(list<float>(Tensor::full({3}, 2.5f)) == std::vector<float>{2.5f, 2.5f, 2.5f});
  const Tensor t = Tensor::from({2, 2}, std::vector<int32_t>{1, 2, 3, 4});
  CHECK(t.dtype() == DType::i32);
  CHECK(t.bytes() == 16);
  CHECK(t.device() == Device::cpu);
  CHECK(list<int32_t>(t) == std::vector<int32_t>{1, 2, 3, 4});
  const Tensor empty({0, 7});
  CHECK(empty.defined());
  CHECK(empty.values<float>().empty());
  for (int64_t bytes : {1, 63, 64, 65, 257, 5000})  // aligned for every vector unit
    CHECK(reinterpret_cast<uintptr_t>(Tensor({bytes}, DType::u8).memory()) % 64 == 0);

  CHECK_THROWS_WITH_AS(Tensor::from({2, 2}, std::vector<float>{1, 2, 3}), "tensor: 12 bytes given for [2, 2] of f32",
                       ShapeError);
  CHECK_THROWS_WITH_AS(t.data<float>(), "tensor: read as f32, but it holds i32", ShapeError);
  CHECK_THROWS_WITH_AS(Tensor().data<float>(), "tensor: data of an undefined tensor", ShapeError);
}

TEST_CASE("item") {
  CHECK(Tensor::full({}, 2.5f).item() == 2.5);
  CHECK(Tensor::from({1, 1}, std::vector<double>{0.1}).item() == 0.1);
  CHECK(Tensor::from({1}, std::vector<int64_t>{int64_t{1} << 40}).item() == 0x1p40);
  CHECK(Tensor::from({1}, std::vector<int32_t>{-7}).item() == -7);
  CHECK(Tensor::full({1}, 1.5f).to(DType::bf16).item() == 1.5);
  CHECK(Tensor::full({1}, 1.5f).to(DType::f16).item() == 1.5);
  CHECK(Tensor::from({1}, std::vector<uint8_t>{200}).item() == 200);
  Tensor yes({1}, DType::boolean);
  *yes.data<bool>() = true;
  CHECK(yes.item() == 1);
  CHECK(Tensor::full({1}, 3).to(Device::fake).item() == 3);
  CHECK_THROWS_WITH_AS(Tensor::zeros({2, 3}).item(), "item: [2, 3] has 6 elements, not one", ShapeError);
  CHECK_THROWS_WITH_AS(Tensor::zeros({0}).item(), "item: [0] has 0 elements, not one", ShapeError);
  CHECK_THROWS_AS(Tensor().item(), ShapeError);
}

TEST_CASE("views share memory, clones do not") {
  const Tensor t = counting({4, 3});
  const Tensor flat = t.view({12}), middle = t.rows(1, 3);
  CHECK(middle.shape() == Shape{2, 3});
  CHECK(list<float>(middle) == std::vector<float>{3, 4, 5, 6, 7, 8});
  middle.data<float>()[0] = 99;
  CHECK(t.data<float>()[3] == 99);
  CHECK(flat.data<float>()[3] == 99);
  CHECK(list<float>(middle.rows(1, 2).view({3, 1})) == std::vector<float>{6, 7, 8});  // a view of a view
  CHECK(t.rows(4, 4).elements() == 0);
  CHECK(t.rows(0, 4).memory() == t.memory());

  const Tensor copy = middle.clone();
  copy.data<float>()[0] = 1;
  CHECK(middle.data<float>()[0] == 99);
  CHECK(copy.id() != middle.id());
  const Tensor handle = t;
  CHECK(handle.id() == t.id());
  CHECK(flat.id() != t.id());

  CHECK_THROWS_WITH_AS(t.view({5}), "view: [5] has other elements than [4, 3]", ShapeError);
  CHECK_THROWS_WITH_AS(t.rows(2, 5), "rows: [2, 5) of [4, 3]", ShapeError);
  CHECK_THROWS_WITH_AS(t.rows(3, 2), "rows: [3, 2) of [4, 3]", ShapeError);
  CHECK_THROWS_WITH_AS(t.rows(-1, 2), "rows: [-1, 2) of [4, 3]", ShapeError);
  CHECK_THROWS_WITH_AS(Tensor::full({}, 1).rows(0, 1), "rows: [0, 1) of []", ShapeError);
}

TEST_CASE("a window on foreign memory keeps its owner alive") {
  auto owner = std::make_shared<std::vector<float>>(std::vector<float>{1, 2, 3, 4, 5, 6});
  const std::weak_ptr<std::vector<float>> watch = owner;
  Tensor window(Storage(owner, owner->data(), owner->size() * 4), {2, 2}, DType::f32, 8);
  owner.reset();
  CHECK_FALSE(watch.expired());
  CHECK(list<float>(window) == std::vector<float>{3, 4, 5, 6});
  const Storage storage = window.storage();
  CHECK_THROWS_WITH_AS(Tensor(storage, {2, 2}, DType::f32, 12),
                       "tensor: [2, 2] of f32 at byte 12 does not fit 24 bytes", ShapeError);
  CHECK_THROWS_WITH_AS(Tensor(storage, {1}, DType::f32, 25), "tensor: [1] of f32 at byte 25 does not fit 24 bytes",
                       ShapeError);
  CHECK_THROWS_AS(Tensor(storage, {int64_t{1} << 60}, DType::f64), ShapeError);  // 2^63 bytes
}

TEST_CASE("the owner of foreign memory goes with the last handle") {
  auto owner = std::make_shared<std::vector<float>>(4);
  const std::weak_ptr<std::vector<float>> watch = owner;
  {
    const Tensor row = Tensor(Storage(owner, owner->data(), 16), {2, 2}, DType::f32).rows(1, 2);
    owner.reset();
    CHECK_FALSE(watch.expired());
  }
  CHECK(watch.expired());
}

TEST_CASE("conversions") {
  const Tensor x = Tensor::from({4}, std::vector<float>{1, -2.5f, 0, 65504});
  CHECK(list<double>(x.to(DType::f64)) == std::vector<double>{1, -2.5, 0, 65504});
  CHECK(list<float>(x.to(DType::f64).to(DType::f32)) == list<float>(x));
  CHECK(list<float>(x.to(DType::f16).to(DType::f32)) == list<float>(x));
  CHECK(x.to(DType::f32).memory() == x.memory());  // nothing to do
  CHECK(list<float>(Tensor::from({2}, std::vector<int64_t>{-3, 1 << 20}).to(DType::f32)) ==
        std::vector<float>{-3, 1 << 20});
  CHECK(list<float>(Tensor::from({2}, std::vector<int32_t>{-3, 5}).to(DType::f32)) == std::vector<float>{-3, 5});
  CHECK(list<int32_t>(Tensor::from({2}, std::vector<int64_t>{-3, 5}).to(DType::i32)) == std::vector<int32_t>{-3, 5});
  CHECK(list<int64_t>(Tensor::from({2}, std::vector<int32_t>{-3, 5}).to(DType::i64)) == std::vector<int64_t>{-3, 5});
  CHECK(list<double>(Tensor::full({1}, 1.5f).to(DType::bf16).to(DType::f64)) == std::vector<double>{1.5});
  CHECK(list<uint8_t>(Tensor::zeros({2}, DType::boolean).to(DType::u8)) == std::vector<uint8_t>{0, 0});
  CHECK_THROWS_WITH_AS(x.to(DType::boolean), "to: no conversion from f32 to bool", Unsupported);
  CHECK_THROWS_WITH_AS(x.to(DType::i32), "to: no conversion from f32 to i32", Unsupported);
}

// Round to nearest, ties to even, against arithmetic on doubles.
TEST_CASE("half and bfloat16 round to nearest, ties to even") {
  const std::vector<float> values{1 + 0x1p-11f, 1 + 0x3p-11f, 1 + 0x1p-11f + 0x1p-20f,
                                  65519.f,      65520.f,      0x1p-24f,
                                  0x1p-25f,     0x1.8p-25f,   0x1p-14f,
                                  -0.f,         HUGE_VALF,    -HUGE_VALF,
                                  1e-30f,       6.1e-5f};
  const std::vector<float> half{1,        1 + 0x1p-9f, 1 + 0x1p-10f, 65504.f,   HUGE_VALF,  0x1p-24f, 0,
                                0x1p-24f, 0x1p-14f,    -0.f,         HUGE_VALF, -HUGE_VALF, 0};
  const Tensor x = Tensor::from({static_cast<int64_t>(values.size())}, values);
  const std::vector<float> back = list<float>(x.to(DType::f16).to(DType::f32));
  for (size_t i = 0; i < half.size(); ++i) {
    CAPTURE(values[i]);
    CHECK(std::bit_cast<uint32_t>(back[i]) == std::bit_cast<uint32_t>(half[i]));
  }
  const std::vector<float> bf{1 + 0x1p-8f, 1 + 0x3p-8f, 1 + 0x1p-8f + 0x1p-20f, 3.39e38f, 3.4e38f};
  const std::vector<float> bf_back{1, 1 + 0x1p-6f, 1 + 0x1p-7f, 0x1.fep127f, HUGE_VALF};
  const Tensor rounded = Tensor::from({5}, bf).to(DType::bf16).to(DType::f32);
  for (size_t i = 0; i < bf.size(); ++i) {
    CAPTURE(bf[i]);
    CHECK(rounded.data<float>()[i] == bf_back[i]);
  }
  const Tensor nan = Tensor::full({1}, std::nanf(""));
  CHECK(std::isnan(nan.to(DType::f16).item()));
  CHECK(std::isnan(nan.to(DType::bf16).item()));
}

TEST_CASE("memory of another device is not touched by accident") {
  const Tensor x = counting({2, 3}), there = x.to(Device::fake);
  CHECK(there.device() == Device::fake);
  CHECK_THROWS_WITH_AS(there.data<float>(), "tensor: it lies on fake; copy it with to(Device::cpu) first", Unsupported);
  CHECK(there.clone().device() == Device::fake);
  CHECK(there.rows(0, 1).device() == Device::fake);
  CHECK(list<float>(there.to(Device::cpu)) == list<float>(x));
  CHECK(x.to(Device::cpu).memory() == x.memory());
}

TEST_CASE("tracking belongs to the handle") {
  Tensor t = Tensor::zeros({2});
  CHECK_FALSE(t.tracked());
  CHECK(t.set_tracked().tracked());
  CHECK(Tensor(t).tracked());
  CHECK_FALSE(t.clone().tracked());
  CHECK_FALSE(t.view({2, 1}).tracked());
  CHECK_FALSE(t.set_tracked(false).tracked());
}

TEST_CASE("a packed weight holds every element") {
  for (bool halves : {true, false}) {  // whether f16 holds its numbers: else panels of f32
    Weight weight(counting({5, 7}));
    if (!halves) weight.tensor.data<float>()[34] += 0x1p-8f;
    weight.pack();
    CHECK(weight.panels == (halves ? Panels::f16 : Panels::f32));
    CHECK(weight.packed.elements() >= 35);
    double sum = 0;
    for (float x : weight.packed.to(DType::f32).values<float>()) sum += x;  // panels are padded with zeros
    CHECK(sum == 34 * 35 / 2 + (halves ? 0 : 0x1p-8));
    weight.unpack();
    CHECK_FALSE(weight.packed.defined());
    CHECK(weight.panels == Panels::none);
    CHECK(weight.shape() == Shape{5, 7});
  }
}

}  // namespace
}  // namespace attend
