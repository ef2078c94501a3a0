// Products in bf16 and weights in 16-bit formats, as operations see them.
#include <attend/base/error.hpp>
#include <attend/ops/cross_entropy.hpp>
#include <attend/ops/linear.hpp>
#include <attend/tensor/context.hpp>
#include <attend/tensor/tape.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace attend {
namespace {

Tensor numbers(Shape shape, float step) {
  std::vector<float> values(static_cast<size_t>(shape.elements()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(step * static_cast<float>(i + 1));
  return Tensor::from(shape, values);
}

Tensor in_bf16(const Tensor& x) { return x.to(DType::bf16).to(DType::f32); }

double difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  double largest = 0;
  for (int64_t i = 0; i < a.elements(); ++i)
    largest = std::max(largest, std::abs(double(a.data<float>()[i]) - double(b.data<float>()[i])));
  return largest;
}

struct LinearStep {
  Tensor y, dx, dw, db;
};

// y = x·Wᵀ + b and the gradients of Σ logsumexp(y) - y₀, with the backward pass outside of the precision's scope.
LinearStep linear_step(Tensor x, Tensor w, Tensor b, Precision precision) {
  for (Tensor* t : {&x, &w, &b}) t->set_tracked();
  Tape tape;
  Tensor loss, y;
  {
    const ProductPrecision scope(precision);
    y = linear(x, w, b, Activation::relu);
    loss = cross_entropy(y, Tensor::zeros({y.size(0)}, DType::i32), {.mean = false});
  }
  const Gradients gradients = tape.backward(loss);
  return {y, gradients.of(x), gradients.of(w), gradients.of(b)};
}

constexpr double rounding = 1e-5;

TEST_CASE("linear in bf16 rounds its factors in the forward and the backward step") {
  const Tensor x = numbers({37, 41}, 0.37f), w = numbers({29, 41}, 0.73f), b = numbers({29}, 0.11f);
  const LinearStep low = linear_step(x, w, b, Precision::bf16), plain = linear_step(x, w, b, Precision::f32);
  const LinearStep rounded = linear_step(in_bf16(x), in_bf16(w), b, Precision::f32);
  CHECK(difference(low.y, rounded.y) < rounding);
  CHECK(difference(low.y, plain.y) > 1e-3);
  // The gradient of y is rounded too where it is a factor: dx = dz·W within 2^-9 of each factor.
  CHECK(difference(low.dx, rounded.dx) > 0);
  CHECK(difference(low.dx, rounded.dx) < 2e-2);
  CHECK(difference(low.dw, rounded.dw) > 0);
  CHECK(difference(low.dw, rounded.dw) < 2e-2);
  CHECK(difference(low.db, rounded.db) < rounding);  // a sum, not a product
}

TEST_CASE("linear_cross_entropy in bf16 rounds hidden states and matrix") {
  const Tensor x = numbers({70, 24}, 0.37f), w = numbers({90, 24}, 0.73f);
  const Tensor targets = Tensor::zeros({70}, DType::i32);
  const Tensor plain = linear_cross_entropy(x, w, {}, targets);
  const Tensor rounded = linear_cross_entropy(in_bf16(x), in_bf16(w), {}, targets);
  const ProductPrecision scope(Precision::bf16);
  const Tensor low = linear_cross_entropy(x, w, {}, targets);
  CHECK(difference(low, rounded) < rounding);
  CHECK(difference(low, plain) > rounding);
}

TEST_CASE("a weight may lie in 16 bits, packed or not") {
  const Tensor x = numbers({5, 48}, 0.37f), w = numbers({33, 48}, 0.73f);
  for (DType format : {DType::f16, DType::bf16})
    for (Precision precision : {Precision::f32, Precision::bf16}) {
      const ProductPrecision scope(precision);
      Weight half(w.to(format));
      const Tensor expected = linear(x, w.to(format).to(DType::f32), {});
      CHECK(difference(linear(x, half, {}), expected) == 0);
      half.pack();
      CHECK(difference(linear(x, half, {}), expected) == 0);
    }
}

TEST_CASE("panels packed for one precision are not used for the other") {
  const Tensor x = numbers({3, 32}, 0.37f), w = numbers({20, 32}, 0.73f);
  Weight packed(w);
  packed.pack();
  const ProductPrecision scope(Precision::bf16);
  CHECK(difference(linear(x, packed, {}), linear(x, w, {})) == 0);
}

TEST_CASE("a precision ends with its scope") {
  CHECK(Context::current().product() == kernels::Format::f32);
  {
    const ProductPrecision outer(Precision::bf16);
    {
      const ProductPrecision inner(Precision::f32);
      CHECK(Context::current().product() == kernels::Format::f32);
    }
    CHECK(Context::current().product() == kernels::Format::bf16);
  }
  CHECK(Context::current().product() == kernels::Format::f32);
}

TEST_CASE("a weight that f16 holds is packed as such: the same bits, in f32 products alone") {
  const Tensor x = numbers({5, 41}, 0.37f), b = numbers({29}, 0.11f);
  const Tensor halves = numbers({29, 41}, 0.73f).to(DType::f16);
  for (const Tensor& w : {halves.to(DType::f32), halves}) {
    Weight packed = w;
    packed.pack();
    CHECK(packed.panels == Panels::f16);
    CHECK(difference(linear(x, packed, b, Activation::relu), linear(x, w, b, Activation::relu)) == 0);
    CHECK(difference(linear(x, packed, b, Activation::gelu), linear(x, w, b, Activation::gelu)) == 0);
    const ProductPrecision scope(Precision::bf16);
    CHECK(difference(linear(x, packed, b), linear(x, w, b)) == 0);
    packed.pack();
    CHECK(packed.panels == Panels::bf16);
    CHECK(difference(linear(x, packed, b), linear(x, w, b)) == 0);
  }
  Weight rounded = numbers({29, 41}, 0.73f);
  rounded.pack();
  CHECK(rounded.panels == Panels::f32);
}

TEST_CASE("int8 multiplies rounded weights and inputs, where the weight was packed for it") {
  const Tensor x = numbers({5, 96}, 0.37f), w = numbers({33, 96}, 0.73f), b = numbers({33}, 0.11f);
  const Tensor exact = linear(x, w, b);
  Weight plain = w, packed = w;
  plain.pack();
  {
    const ProductPrecision products(Precision::int8);
    packed.pack();
    CHECK(packed.panels == Panels::int8);
    const Tensor y = linear(x, packed, b);
    CHECK(difference(y, exact) > rounding);
    CHECK(difference(y, exact) < 0.05f);
    CHECK(difference(linear(x, plain, b), exact) == 0);  // packed before, used as it lies
    CHECK(difference(linear(x.rows(2, 3), packed, b), y.rows(2, 3)) == 0);
    // A tape needs the real weight.
    Tensor tracked = w;
    tracked.set_tracked();
    Weight learning = tracked;
    learning.pack();
    Tape tape;
    CHECK(difference(linear(x, learning, b), exact) == 0);
  }
  CHECK(difference(linear(x, packed, b), exact) == 0);
  // f16 and bf16 weights are rounded from their own numbers.
  for (DType dtype : {DType::f16, DType::bf16}) {
    const Tensor stored = w.to(dtype);
    const ProductPrecision products(Precision::int8);
    Weight small = stored, wide = stored.to(DType::f32);
    small.pack();
    wide.pack();
    CHECK(difference(linear(x, small, b), linear(x, wide, b)) == 0);
  }
}

}  // namespace
}  // namespace attend
