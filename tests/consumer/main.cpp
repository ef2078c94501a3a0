// What a user of the installed library writes first: one include, a tensor, and an error that says what is wrong.
#include <attend/attend.hpp>

#include <cstdio>
#include <string>
#include <vector>

int main() {
  using namespace attend;
  const auto x = Tensor::from<float>(Shape{2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6});
  const Tensor second = x.rows(1, 2);
  if (second.size(1) != 3 || second.values<float>()[2] != 6.0f) return 1;

  try {
    x.view(Shape{4, 2});
    return 1;
  } catch (const ShapeError& error) {
    if (std::string(error.what()).empty()) return 1;
    std::printf("attend says: %s\n", error.what());
  }
  return 0;
}
