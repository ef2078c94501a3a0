#include <algorithm>

#include "kernels/attention_reference.hpp"

namespace attend::kernels::test {
namespace {

std::vector<AttentionCase> cases() {
  std::vector<AttentionCase> list;
  const auto add = [&](const char* name, auto change) {
    AttentionCase c;
    c.name = name;
    c.queries = {5, 1, 0, 17, 33}, c.keys = {5, 1, 0, 17, 33};
    change(c);
    c.prepare();
    list.push_back(c);
  };
  add("plain", [](auto&) {});
  add("nothing", [](auto& c) { c.queries = {}, c.keys = {}; });
  add("causal", [](auto& c) { c.causal = true; });
  add("cross", [](auto& c) { c.queries = {3, 40, 1, 4}, c.keys = {20, 9, 70, 0}; });
  add("causal, aligned to the end", [](auto& c) { c.causal = true, c.queries = {3, 9, 12}, c.keys = {20, 9, 5}; });
  add("odd widths", [](auto& c) { c.width = 5, c.value_width = 3, c.heads = 3, c.key_heads = 3; });
  add("width 32", [](auto& c) { c.width = c.value_width = 32, c.heads = 8, c.key_heads = 8; });
  add("width 64, causal", [](auto& c) { c.width = c.value_width = 64, c.causal = true; });
  add("width 80 and 20", [](auto& c) { c.width = 80, c.value_width = 20; });
  add("width 1", [](auto& c) { c.width = c.value_width = 1; });
  add("wide values", [](auto& c) { c.width = 7, c.value_width = 129; });
  add("grouped heads", [](auto& c) { c.heads = 6, c.key_heads = 2; });
  add("one key head, causal", [](auto& c) { c.heads = 4, c.key_heads = 1, c.causal = true; });
  add("long", [](auto& c) { c.queries = {150, 300}, c.keys = {310, 300}; });
  add("long, causal", [](auto& c) { c.queries = c.keys = {290}, c.causal = true, c.width = c.value_width = 16; });
  add("long, causal, aligned", [](auto& c) { c.queries = {140, 200}, c.keys = {333, 90}, c.causal = true; });
  add("borders of blocks", [](auto& c) {
    c.queries = {31, 32, 33, 63, 64, 65, 128, 129}, c.keys = {65, 33, 32, 64, 64, 63, 127, 1};
    c.width = c.value_width = 16;
  });
  add("borders of blocks, causal", [](auto& c) {
    c.queries = {15, 16, 17, 31, 32, 33, 64, 129}, c.keys = {15, 16, 18, 64, 32, 30, 69, 130};
    c.width = 24, c.value_width = 16, c.causal = true;
  });
  add("causal, more queries than keys, bias and dropout", [](auto& c) {
    c.queries = {70, 37}, c.keys = {5, 21}, c.causal = c.with_bias = true, c.dropout = {0.3f, 5};
  });
  add("large scores", [](auto& c) { c.magnitude = 12, c.queries = c.keys = {200}; });
  add("softcap", [](auto& c) { c.softcap = 1.5f, c.magnitude = 3; });
  add("bias", [](auto& c) { c.with_bias = true; });
  add("mask", [](auto& c) { c.with_mask = true; });
  add("everything", [](auto& c) {
    c.with_bias = c.with_mask = c.causal = true, c.softcap = 2, c.heads = 4, c.queries = {7, 150}, c.keys = {9, 170};
  });
  add("dropout", [](auto& c) { c.dropout = {0.25f, 77}, c.queries = {3, 12}, c.keys = {5, 12}; });
  add("dropout, causal, grouped", [](auto& c) {
    c.dropout = {0.5f, 3}, c.heads = 4, c.causal = true, c.queries = {10}, c.keys = {140};
  });
  return list;
}

// Outputs of both passes; what lies between the heads of a row is not the kernels', so it becomes 0.
struct BothPasses {
  Floats out, lse, dq, dk, dv;
};

BothPasses both_passes(KernelContext& context, const AttentionCase& c) {
  BothPasses r{Floats(size_t(c.q_rows() * c.out_stride)), Floats(size_t(c.heads * c.q_rows()), NAN),
               Floats(c.q.size(), NAN), Floats(c.k.size(), NAN), Floats(c.v.size(), NAN)};
  AttentionBackward b{};
  b.forward = c.args(r.out, r.lse);
  context.table->attention(context, b.forward);
  b.dout = c.dout.data(), b.dq = r.dq.data(), b.dk = r.dk.data(), b.dv = r.dv.data();
  b.dq_stride = c.q_stride, b.dk_stride = c.k_stride, b.dv_stride = c.v_stride;
  context.table->attention_backward(context, b);
  const auto clear_gaps = [](Floats& x, int64_t stride, int64_t used) {
    for (size_t i = 0; i < x.size(); ++i)
      if (int64_t(i) % stride >= used) {
        CHECK(std::isnan(x[i]));
        x[i] = 0;
      }
  };
  clear_gaps(r.dq, c.q_stride, c.heads * c.width);
  clear_gaps(r.dk, c.k_stride, c.key_heads * c.width);
  clear_gaps(r.dv, c.v_stride, c.key_heads * c.value_width);
  return r;
}

Floats joined(const BothPasses& r) { return test::joined({r.out, r.lse, r.dq, r.dk, r.dv}); }

TEST_CASE("attention equals its formula; dead rows give 0 and -inf") {
  for (const AttentionCase& c : cases()) {
    INFO(c.name);
    const AttentionReference r = reference_attention(c);
    Doubles expected = r.out;
    expected.insert(expected.end(), r.lse.begin(), r.lse.end());
    on_every_level(
        [&](KernelContext& context) {
          Floats out(r.out.size()), lse(r.lse.size(), NAN);
          context.table->attention(context, c.args(out, lse));
          return joined({out, lse});
        },
        [&](const Floats& all) { CHECK(deviation(all, expected) < (c.magnitude > 4 ? 2e-5 : 2e-6)); });
  }
}

TEST_CASE("attention backward equals its formula") {
  for (const AttentionCase& c : cases()) {
    INFO(c.name);
    const AttentionReference r = reference_attention(c);
    Doubles expected;
    for (const Doubles* part : {&r.dq, &r.dk, &r.dv}) expected.insert(expected.end(), part->begin(), part->end());
    on_every_level(
        [&](KernelContext& context) {
          const BothPasses passes = both_passes(context, c);
          return test::joined({passes.dq, passes.dk, passes.dv});
        },
        [&](const Floats& all) { CHECK(deviation(all, expected) < (c.magnitude > 4 ? 5e-5 : 5e-6)); });
  }
}

// Factors of products lose at most 2^-8 of themselves (bf16 has 8 bits); sums, softmax and D stay f32.
TEST_CASE("attention in bf16 equals the formula of the rounded inputs, within the rounding of weights and dS") {
  for (AttentionCase c : cases()) {
    INFO(c.name);
    c.product = Format::bf16;
    const AttentionCase raw = c;
    for (Floats* x : {&c.q, &c.k, &c.v, &c.dout})
      for (float& number : *x) number = in_bf16(number);
    const AttentionReference r = reference_attention(c);
    const auto slack_of = [](const Doubles& expected, const Doubles& slack, double rest) {
      Doubles allowed;
      for (size_t i = 0; i < expected.size(); ++i)
        allowed.push_back(1.01 * 0x1p-8 * (slack.empty() ? 0 : slack[i]) + rest * (1 + std::abs(expected[i])));
      return allowed;
    };
    const double rest = c.magnitude > 4 ? 5e-5 : 5e-6;
    Doubles expected, allowed;
    for (const auto& [values, slack] :
         {std::pair{&r.out, &r.out_slack}, {&r.dq, &r.dq_slack}, {&r.dk, &r.dk_slack}, {&r.dv, &r.dv_slack}}) {
      expected.insert(expected.end(), values->begin(), values->end());
      const Doubles part = slack_of(*values, *slack, rest);
      allowed.insert(allowed.end(), part.begin(), part.end());
    }
    on_every_level(
        [&](KernelContext& context) {
          const BothPasses passes = both_passes(context, c);
          CHECK(deviation(passes.lse, r.lse) < rest);
          // The kernel rounds by itself.
          AttentionCase unrounded = raw;
          unrounded.dout = c.dout;  // D is made from dO as it is
          const BothPasses same = both_passes(context, unrounded);
          CHECK(same_bits(joined(same), joined(passes)));
          return test::joined({passes.out, passes.dq, passes.dk, passes.dv});
        },
        [&](const Floats& all) {
          size_t wrong = 0;
          for (size_t i = 0; i < expected.size(); ++i) wrong += !(std::abs(double(all[i]) - expected[i]) <= allowed[i]);
          CHECK(wrong == 0);
        });
  }
}

TEST_CASE("attention in bf16 drops the same weights forward, backward and at every level") {
  AttentionCase c;
  c.queries = {33, 70}, c.keys = {41, 90}, c.width = c.value_width = 32, c.dropout = {0.5f, 9};
  c.prepare();
  for (float& x : c.q) x = 0;  // all weights of a row are the same, so a mask shows in every result
  for (Format product : {Format::f32, Format::bf16}) {
    c.product = product;
    const AttentionReference r = reference_attention(c);
    for (const KernelTable* table : levels()) {
      const BothPasses passes = both_passes(machine(*table, 2), c);
      const double tolerance = product == Format::bf16 ? 0x1p-6 : 1e-5;
      CHECK(deviation(passes.out, r.out) < tolerance);
      CHECK(deviation(passes.dv, r.dv) < tolerance);
    }
  }
}

TEST_CASE("attention weights are those of the formula") {
  for (const AttentionCase& c : cases())
    for (size_t s = 0; s < c.queries.size(); ++s) {
      INFO(c.name << ", sequence " << s);
      const AttentionReference r = reference_attention(c);
      on_every_level(
          [&](KernelContext& context) {
            Floats out(r.out.size()), lse(r.lse.size()), weights(r.weights[s].size(), NAN);
            AttentionWeights w{};
            w.forward = c.args(out, lse);
            context.table->attention(context, w.forward);
            w.sequence = int64_t(s), w.weights = weights.data();
            context.table->attention_weights(context, w);
            return weights;
          },
          [&](const Floats& weights) { CHECK(deviation(weights, r.weights[s]) < (c.magnitude > 4 ? 2e-5 : 2e-6)); });
    }
}

TEST_CASE("attention lets NaN through instead of calling the row dead") {
  AttentionCase c;
  c.queries = c.keys = {5, 70}, c.causal = true;
  c.prepare();
  c.q[size_t(40 * c.q_stride)] = NAN;  // head 0
  c.k[size_t(60 * c.k_stride)] = INFINITY, c.q[size_t(70 * c.q_stride)] = 1;
  for (const KernelTable* table : levels()) {
    INFO("level " << std::string(table->level));
    KernelContext& context = machine(*table, 1);
    Floats out(size_t(c.q_rows() * c.out_stride)), lse(size_t(c.heads * c.q_rows()));
    AttentionBackward b{};
    b.forward = c.args(out, lse);
    context.table->attention(context, b.forward);
    CHECK(std::isnan(out[size_t(40 * c.out_stride)]));
    CHECK(std::isnan(out[size_t(70 * c.out_stride)]));
    CHECK(!std::isnan(out[size_t(41 * c.out_stride)]));
    CHECK(!std::isnan(out[size_t(40 * c.out_stride + c.value_width)]));
    Floats dq(c.q.size()), dk(c.k.size()), dv(c.v.size());
    b.dout = c.dout.data(), b.dq = dq.data(), b.dk = dk.data(), b.dv = dv.data();
    b.dq_stride = c.q_stride, b.dk_stride = c.k_stride, b.dv_stride = c.v_stride;
    context.table->attention_backward(context, b);
    CHECK(std::isnan(dq[size_t(40 * c.q_stride)]));
    CHECK(std::isnan(dk[size_t(30 * c.k_stride)]));
    CHECK(!std::isnan(dk[size_t(2 * c.k_stride)]));
  }
}

// A sequence must not feel its neighbours in the batch.
TEST_CASE("attention of a sequence has the same bits alone and packed") {
  AttentionCase c;
  c.queries = c.keys = {20, 45, 7}, c.causal = true, c.width = c.value_width = 32;
  c.prepare();
  for (const KernelTable* table : levels()) {
    KernelContext& context = machine(*table, 2);
    Floats out(size_t(c.q_rows() * c.out_stride)), lse(size_t(c.heads * c.q_rows()));
    context.table->attention(context, c.args(out, lse));
    Floats alone(size_t(45 * c.out_stride)), lse_alone(size_t(c.heads * 45));
    Attention p = c.args(alone, lse_alone);
    const int32_t offsets[] = {0, 45};
    p.sequences = 1, p.q_offsets = p.k_offsets = offsets;
    p.q += 20 * c.q_stride, p.k += 20 * c.k_stride, p.v += 20 * c.v_stride;
    context.table->attention(context, p);
    CHECK(same_bits(alone, slice(out, size_t(20 * c.out_stride), alone.size())));
  }
}

TEST_CASE("cached attention reads pages and agrees with attention") {
  for (int64_t page_size : {1, 4, 16})
    for (int variant = 0; variant < 5; ++variant) {
      AttentionCase c;
      c.queries = {1, 3, 1, 2}, c.keys = {9, 3, 41, 0}, c.heads = 4, c.key_heads = variant == 1 ? 2 : 4;
      c.causal = variant != 2;
      c.width = c.value_width = variant == 3 ? 5 : 32;
      if (variant == 4) c.softcap = 1.2f;
      c.prepare();
      INFO("page size " << page_size << " variant " << variant);
      const int64_t max_pages = 41 / page_size + 1;
      // Pages in an order that has nothing to do with the sequences.
      std::vector<int32_t> pages(size_t(4 * max_pages));
      for (size_t i = 0; i < pages.size(); ++i) pages[i] = int32_t((i * 7 + 3) % pages.size());
      if (pages.size() % 7 == 0)
        for (size_t i = 0; i < pages.size(); ++i) pages[i] = int32_t(pages.size() - 1 - i);
      Floats k_pages(size_t(4 * max_pages * page_size * c.k_stride), NAN), v_pages(k_pages.size() * 2, NAN);
      std::vector<int32_t> lengths;
      for (size_t s = 0; s < 4; ++s) {
        lengths.push_back(int32_t(c.keys[s]));
        for (int64_t j = 0; j < c.keys[s]; ++j) {
          const int64_t at = pages[s * size_t(max_pages) + size_t(j / page_size)] * page_size + j % page_size;
          std::copy_n(c.k.begin() + (c.k_offsets[s] + j) * c.k_stride, c.key_heads * c.width,
                      k_pages.begin() + at * c.k_stride);
          std::copy_n(c.v.begin() + (c.k_offsets[s] + j) * c.v_stride, c.key_heads * c.value_width,
                      v_pages.begin() + at * c.v_stride);
        }
      }
      const AttentionReference r = reference_attention(c);
      Doubles expected = r.out;
      expected.insert(expected.end(), r.lse.begin(), r.lse.end());
      on_every_level(
          [&](KernelContext& context) {
            Floats out(r.out.size()), lse(r.lse.size());
            AttentionCached p{};
            p.sequences = 4, p.heads = c.heads, p.key_heads = c.key_heads, p.width = c.width;
            p.value_width = c.value_width, p.page_size = page_size, p.max_pages = max_pages;
            p.q_offsets = c.q_offsets.data(), p.lengths = lengths.data(), p.page_table = pages.data();
            p.q = c.q.data(), p.q_stride = c.q_stride, p.k_pages = k_pages.data(), p.v_pages = v_pages.data();
            p.k_stride = c.k_stride, p.v_stride = c.v_stride, p.scale = c.scale(), p.causal = c.causal;
            p.softcap = c.softcap, p.out = out.data(), p.out_stride = c.out_stride, p.lse = lse.data();
            context.table->attention_cached(context, p);
            return joined({out, lse});
          },
          [&](const Floats& all) { CHECK(deviation(all, expected) < 2e-6); });
    }
}

}  // namespace
}  // namespace attend::kernels::test
