#include <attend/base/error.hpp>
#include <attend/inspect/explain_example.hpp>

namespace attend {

void ProjectionExample::check() const {
  for (const auto& [name, w] : {std::pair{"W_Q", &w_q}, {"W_K", &w_k}, {"W_V", &w_v}})
    if (w->rows != x.columns)
      fail<ShapeError>("explain: {} has {} rows, x has {} numbers: they must be as many", name, w->rows, x.columns);
  if (w_q.columns != w_k.columns)
    fail<ShapeError>("explain: W_Q has {} columns and W_K {}: q and k must be as long", w_q.columns, w_k.columns);
}

ProjectionExample notes_example() {
  return {Matrix(1, 3, {1, 2, 3}), Matrix(3, 3, {1, 2, 3, 4, 5, 6, 7, 8, 9}), Matrix(3, 3, {1, 0, 0, 0, 1, 0, 0, 0, 1}),
          Matrix(3, 3, {1, 1, 1, 2, 2, 2, 3, 3, 3})};
}

SentenceExample sentence_example() {
  return {{"나는", "강아지를", "좋아한다"},
          Matrix(3, 4, {0, 1, 1, 1, 1, 0, 2, 1, 1, 2, 1, 0}),
          Matrix(3, 4, {1, 0, 1, 0, 0, 2, 0, 1, 0, 0, 1, 1}),
          Matrix(3, 4, {1, 0, 0, 2, 0, 3, 0, 1, 2, 0, 1, 0})};
}

}  // namespace attend
