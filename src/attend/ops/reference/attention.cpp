#include <attend/ops/reference/reference.hpp>

#include <cmath>

namespace attend::reference {

double Scores::at(int64_t sequence, int64_t head, int64_t query, int64_t key) const {
  if (sequences == 1) sequence = 0;
  if (heads == 1) head = 0;
  return values[static_cast<size_t>(((sequence * heads + head) * queries + query) * keys + key)];
}

AttentionResult attention(const Matrix& q, const Matrix& k, const Matrix& v, const AttentionOptions& options) {
  const int64_t width = q.columns / options.heads, value_width = v.columns / options.key_heads;
  const double forbidden = -std::numeric_limits<double>::infinity();
  AttentionResult result{Matrix(q.rows, options.heads * value_width), Matrix(options.heads, q.rows, forbidden), {}};
  for (size_t s = 0; s + 1 < options.q_offsets.size(); ++s)
    for (int64_t h = 0; h < options.heads; ++h) {
      const int64_t key_head = h / (options.heads / options.key_heads);
      const int64_t q0 = options.q_offsets[s], k0 = options.k_offsets[s];
      const int64_t queries = options.q_offsets[s + 1] - q0, keys = options.k_offsets[s + 1] - k0;
      for (int64_t i = 0; i < queries; ++i) {
        Vector scores(static_cast<size_t>(keys), forbidden);
        for (int64_t j = 0; j < keys; ++j) {
          if (options.causal && j > i + keys - queries) continue;
          if (!options.mask.empty() && options.mask.at(static_cast<int64_t>(s), h, i, j) == 0) continue;
          double dot = 0;
          for (int64_t d = 0; d < width; ++d) dot += q(q0 + i, h * width + d) * k(k0 + j, key_head * width + d);
          double score = dot * options.scale;
          if (options.softcap > 0) score = options.softcap * std::tanh(score / options.softcap);
          if (!options.bias.empty()) score += options.bias.at(static_cast<int64_t>(s), h, i, j);
          scores[static_cast<size_t>(j)] = score;
        }
        const double lse = log_sum_exp(scores.data(), keys);
        result.lse(h, q0 + i) = lse;
        for (int64_t j = 0; j < keys; ++j) {
          const double score = scores[static_cast<size_t>(j)];
          const double weight = score == forbidden ? 0 : std::exp(score - lse);
          result.weights.push_back(weight);
          const uint64_t row = static_cast<uint64_t>((q0 + i) * options.heads + h);
          const double kept = weight * dropout_factor(options.dropout, (row << 20) + static_cast<uint64_t>(j));
          for (int64_t d = 0; d < value_width; ++d)
            result.out(q0 + i, h * value_width + d) += kept * v(k0 + j, key_head * value_width + d);
        }
      }
    }
  return result;
}

}  // namespace attend::reference
