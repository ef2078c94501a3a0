// Attention and its gradients by the formula, in double precision, over packed sequences.
#pragma once

#include "kernels/machines.hpp"

namespace attend::kernels::test {

/// One attention problem: shapes, options and random data. Strides are larger than needed, so that a kernel that
/// ignores them is caught.
struct AttentionCase {
  std::string name;
  std::vector<int64_t> queries, keys;
  int64_t heads = 2, key_heads = 2, width = 8, value_width = 8;
  Format product = Format::f32;
  bool causal = false, with_bias = false, with_mask = false;
  float softcap = 0, magnitude = 1;
  Dropout dropout = {};

  std::vector<int32_t> q_offsets = {0}, k_offsets = {0};
  int64_t q_stride = 0, k_stride = 0, v_stride = 0, out_stride = 0, bias_row = 0;
  Floats q, k, v, dout, bias;
  std::vector<uint8_t> mask;

  void prepare() {
    int64_t longest_q = 0, longest_k = 0;
    for (size_t s = 0; s < queries.size(); ++s) {
      q_offsets.push_back(q_offsets.back() + int32_t(queries[s]));
      k_offsets.push_back(k_offsets.back() + int32_t(keys[s]));
      longest_q = std::max(longest_q, queries[s]);
      longest_k = std::max(longest_k, keys[s]);
    }
    q_stride = heads * width + 3, k_stride = key_heads * width + 1;
    v_stride = key_heads * value_width + 2, out_stride = heads * value_width + 5;
    q = random_floats(q_offsets.back() * q_stride, 1, magnitude);
    k = random_floats(k_offsets.back() * k_stride, 2, magnitude);
    v = random_floats(k_offsets.back() * v_stride, 3);
    dout = random_floats(q_offsets.back() * out_stride, 4);
    bias_row = longest_k;
    const int64_t area = int64_t(queries.size()) * heads * longest_q * bias_row;
    if (with_bias) bias = random_floats(area, 5, 2);
    if (with_mask) {
      const Floats coin = random_floats(area, 6);
      for (float c : coin) mask.push_back(c > -0.4f);
      for (int64_t j = 0; j < bias_row; ++j) mask[size_t(j)] = 0;  // the first query of head 0 sees nothing
    }
  }

  int64_t q_rows() const { return q_offsets.back(); }
  int64_t k_rows() const { return k_offsets.back(); }

  Attention args(Floats& out, Floats& lse) const {
    Attention p{};
    p.sequences = int64_t(queries.size()), p.heads = heads, p.key_heads = key_heads;
    p.width = width, p.value_width = value_width;
    p.q_offsets = q_offsets.data(), p.k_offsets = k_offsets.data();
    p.q = q.data(), p.q_stride = q_stride, p.k = k.data(), p.k_stride = k_stride, p.v = v.data(), p.v_stride = v_stride;
    p.scale = scale(), p.causal = causal, p.softcap = softcap, p.dropout = dropout, p.product = product;
    const int64_t longest_q = bias_row == 0 ? 0 : longest();
    const int64_t strides[3] = {heads * longest_q * bias_row, longest_q * bias_row, bias_row};
    if (with_bias) p.bias = bias.data(), std::copy(strides, strides + 3, p.bias_strides);
    if (with_mask) p.mask = mask.data(), std::copy(strides, strides + 3, p.mask_strides);
    p.out = out.data(), p.out_stride = out_stride, p.lse = lse.data();
    return p;
  }

  float scale() const { return 1 / std::sqrt(float(width)); }
  int64_t longest() const { return queries.empty() ? 0 : *std::max_element(queries.begin(), queries.end()); }
};

struct AttentionReference {
  Doubles out, lse, dq, dk, dv;
  std::vector<Doubles> weights;  ///< of each sequence [heads, Tq, Tk]
  /// How far a relative error of 1 in every weight and every dS that is a factor of a product may move each result.
  Doubles out_slack, dq_slack, dk_slack, dv_slack;
};

/// The dropout factor of each weight by its documented element number, from the dropout kernel.
inline Doubles row_factors(const Dropout& dropout, int64_t first_element, int64_t count) {
  Doubles factors(size_t(count), 1.0);
  if (dropout.probability == 0) return factors;
  // The dropout kernel numbers from 0, so ask it for everything up to there; rows are few in these tests.
  static std::map<std::pair<uint64_t, int64_t>, Floats> blocks;
  const int64_t block = first_element >> 20;
  Floats& values = blocks[{dropout.key, block}];
  if (values.empty()) {
    const int64_t size = (block + 1) << 20;
    static Floats ones, all;
    if (int64_t(ones.size()) < size) ones.assign(size_t(size), 1), all.resize(size_t(size));
    KernelContext& context = machine(cpu_kernels(), 1);
    context.table->dropout(context, {size, ones.data(), all.data(), dropout});
    values = slice(all, size_t(block) << 20, 4096);
  }
  for (int64_t j = 0; j < count; ++j) factors[size_t(j)] = double(values[size_t(j)]);
  return factors;
}

inline AttentionReference reference_attention(const AttentionCase& c) {
  AttentionReference r;
  r.out.assign(size_t(c.q_rows() * c.out_stride), 0);
  r.lse.assign(size_t(c.heads * c.q_rows()), -INFINITY);
  r.dq.assign(c.q.size(), 0), r.dk.assign(c.k.size(), 0), r.dv.assign(c.v.size(), 0);
  r.out_slack = r.out, r.dq_slack = r.dq, r.dk_slack = r.dk, r.dv_slack = r.dv;
  const double scale = double(c.scale()), cap = double(c.softcap);
  for (size_t s = 0; s < c.queries.size(); ++s) {
    const int64_t tq = c.queries[s], tk = c.keys[s];
    Doubles weights(size_t(c.heads * tq * tk));
    for (int64_t h = 0; h < c.heads; ++h)
      for (int64_t i = 0; i < tq; ++i) {
        const int64_t row = c.q_offsets[s] + i, kh = h / (c.heads / c.key_heads);
        const auto q_at = [&](int64_t d) { return size_t(row * c.q_stride + h * c.width + d); };
        const auto k_at = [&](int64_t j, int64_t d) {
          return size_t((c.k_offsets[s] + j) * c.k_stride + kh * c.width + d);
        };
        const auto v_at = [&](int64_t j, int64_t d) {
          return size_t((c.k_offsets[s] + j) * c.v_stride + kh * c.value_width + d);
        };
        const auto o_at = [&](int64_t d) { return size_t(row * c.out_stride + h * c.value_width + d); };
        Doubles x(size_t(tk), -INFINITY), slope(size_t(tk), 1.0);
        double top = -INFINITY, total = 0;
        for (int64_t j = 0; j < tk; ++j) {
          const size_t extra = size_t(((int64_t(s) * c.heads + h) * c.longest() + i) * c.bias_row + j);
          if (c.causal && j > i + tk - tq) continue;
          if (c.with_mask && !c.mask[extra]) continue;
          double value = 0;
          for (int64_t d = 0; d < c.width; ++d) value += scale * double(c.q[q_at(d)]) * double(c.k[k_at(j, d)]);
          if (cap > 0) {
            const double t = std::tanh(value / cap);
            value = cap * t;
            slope[size_t(j)] = 1 - t * t;
          }
          if (c.with_bias) value += double(c.bias[extra]);
          x[size_t(j)] = value;
          top = std::max(top, value);
        }
        if (top == -INFINITY) continue;
        for (double value : x) total += std::exp(value - top);
        r.lse[size_t(h * c.q_rows() + row)] = top + std::log(total);
        const Doubles keep = row_factors(c.dropout, (row * c.heads + h) << 20, tk);
        Doubles p, dp(size_t(tk), 0.0);
        double d_sum = 0;
        for (int64_t j = 0; j < tk; ++j) {
          p.push_back(std::exp(x[size_t(j)] - top) / total);
          weights[size_t((h * tq + i) * tk + j)] = p.back();
          for (int64_t d = 0; d < c.value_width; ++d) {
            const double kept = p.back() * keep[size_t(j)], g = double(c.dout[o_at(d)]);
            r.out[o_at(d)] += kept * double(c.v[v_at(j, d)]);
            r.dv[v_at(j, d)] += kept * g;
            r.out_slack[o_at(d)] += kept * std::abs(double(c.v[v_at(j, d)]));
            r.dv_slack[v_at(j, d)] += kept * std::abs(g);
            dp[size_t(j)] += keep[size_t(j)] * g * double(c.v[v_at(j, d)]);
          }
          d_sum += p.back() * dp[size_t(j)];
        }
        double d_slack = 0;  // of D, from that of O
        for (int64_t d = 0; d < c.value_width; ++d) d_slack += std::abs(double(c.dout[o_at(d)])) * r.out_slack[o_at(d)];
        for (int64_t j = 0; j < tk; ++j) {
          const double ds = p[size_t(j)] * (dp[size_t(j)] - d_sum) * slope[size_t(j)] * scale;
          const double slack = std::abs(ds) + p[size_t(j)] * d_slack * slope[size_t(j)] * scale;
          for (int64_t d = 0; d < c.width; ++d) {
            r.dq_slack[q_at(d)] += slack * std::abs(double(c.k[k_at(j, d)]));
            r.dk_slack[k_at(j, d)] += slack * std::abs(double(c.q[q_at(d)]));
            r.dq[q_at(d)] += ds * double(c.k[k_at(j, d)]);
            r.dk[k_at(j, d)] += ds * double(c.q[q_at(d)]);
          }
        }
      }
    r.weights.push_back(weights);
  }
  return r;
}

}  // namespace attend::kernels::test
