// What a user of the installed library writes first: one include, a layer with its gradient, an error that says what is
// wrong.
#include <attend/attend.hpp>

#include <cstdio>
#include <string>
#include <vector>

int main() {
  using namespace attend;
  const auto x = Tensor::from<float>(Shape{1, 3}, std::vector<float>{1, 2, 3});
  auto w = Tensor::from<float>(Shape{1, 3}, std::vector<float>{4, 5, 6});
  w.set_tracked();

  Tape tape;
  const Tensor y = linear(x, w);
  std::printf("y = %g\n", y.item());
  if (y.item() != 32) return 1;
  const Tensor slope = tape.backward(y).of(w);  // dy/dw = x
  if (slope.values<float>()[2] != 3) return 1;

  try {
    linear(x, Tensor::zeros(Shape{4, 5}));
  } catch (const ShapeError& error) {
    std::printf("%s\n", error.what());
    return 0;
  }
  return 1;
}
