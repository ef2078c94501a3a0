// Two small examples of attention with numbers for people: what comes out of them is computed, not written here.
#pragma once

#include <attend/inspect/attention_steps.hpp>

#include <string>
#include <vector>

namespace attend {

/// Vectors as rows and the three matrices that make queries, keys and values of them.
struct ProjectionExample {
  Matrix x;              ///< [vectors, width]
  Matrix w_q, w_k, w_v;  ///< [width, dₖ], [width, dₖ], [width, d_v]

  /// Throws ShapeError naming the matrix that does not fit.
  void check() const;
  AttentionSteps attention() const { return attention_steps(multiply(x, w_q), multiply(x, w_k), multiply(x, w_v)); }
};

/// The study notes' numbers: one vector [1, 2, 3].
ProjectionExample notes_example();

/// A sentence of three words with hand-made queries, keys and values of width 4.
struct SentenceExample {
  std::vector<std::string> words;
  Matrix q, k, v;  ///< [words, 4]
};

SentenceExample sentence_example();

}  // namespace attend
