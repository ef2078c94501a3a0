// Speed of the kernels at fixed shapes, beside the machine's own multiply-add rate measured in the same run.
//   kernels_bench [LEVEL] [THREADS] [matmul|attention|rows]
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <new>
#include <string>
#include <vector>

#include "attend/base/thread_pool.hpp"
#include "attend/kernels/limits.hpp"

namespace {

using namespace attend;
using namespace attend::kernels;

// Memory aligned as that of a tensor.
template <class T>
struct Aligned {
  using value_type = T;
  Aligned() = default;
  template <class U>
  Aligned(const Aligned<U>&) {}
  T* allocate(size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t(64))); }
  void deallocate(T* memory, size_t) { ::operator delete(memory, std::align_val_t(64)); }
  bool operator==(const Aligned&) const { return true; }
};
using Floats = std::vector<float, Aligned<float>>;

Floats numbers(int64_t count) {
  Floats x(static_cast<size_t>(count));
  uint32_t state = 1;
  for (float& value : x) {
    state = state * 1664525 + 1013904223;
    value = static_cast<float>(state >> 8) * 0x1p-23f - 1;
  }
  return x;
}

double now(bool cpu_time) {
  if (cpu_time) return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Best of several runs, in seconds: the neighbours' noise only ever adds. With one thread the time is the process's
// own, which leaves out what the neighbours took.
double best(const std::function<void()>& run, bool cpu_time) {
  run();
  double shortest = 1e9, spent = 0;
  for (int i = 0; i < 50 && (spent < 0.1 || i < 3); ++i) {
    // Repeats short runs, because the clock of CPU time is coarse.
    int64_t repeats = 0;
    const double start = now(cpu_time);
    double seconds = 0;
    do {
      run();
      ++repeats;
      seconds = now(cpu_time) - start;
    } while (seconds < 0.002);
    shortest = std::min(shortest, seconds / static_cast<double>(repeats));
    spent += seconds;
  }
  return shortest;
}

struct Bench {
  KernelContext& context;
  double peak = 0;  // GF/s of all threads

  double best(const std::function<void()>& run) const { return ::best(run, context.pool->threads() == 1); }

  void report(const std::string& name, double flops, double bytes, double seconds) const {
    fmt::print("{:<52} {:9.1f} us", name, seconds * 1e6);
    if (flops > 0) fmt::print("  {:7.1f} GF/s {:3.0f} %", flops / seconds * 1e-9, flops / seconds * 1e-7 / peak);
    if (bytes > 0) fmt::print("  {:6.1f} GB/s", bytes / seconds * 1e-9);
    fmt::print("\n");
  }

  void matmul(int64_t m, int64_t n, int64_t k, bool at, bool bt, bool packed = false,
              Activation act = Activation::none) {
    for (Format product : {Format::f32, Format::bf16}) matmul(product, m, n, k, at, bt, packed, act);
  }

  void matmul(Format product, int64_t m, int64_t n, int64_t k, bool at, bool bt, bool packed, Activation act) {
    const Floats a = numbers(m * k), b = numbers(n * k), bias = numbers(n);
    Floats c(static_cast<size_t>(m * n)), before(c.size());
    Floats panels(packed ? static_cast<size_t>(context.table->packed_size(n, k, product)) : 0);
    Matmul p{};
    p.m = m, p.n = n, p.k = k, p.a = a.data(), p.lda = at ? m : k, p.a_transposed = at;
    p.b = b.data(), p.ldb = bt ? k : n, p.b_transposed = bt, p.c = c.data(), p.ldc = n;
    p.product = product;
    if (act != Activation::none) p.bias = bias.data(), p.activation = act, p.before = before.data();
    if (packed) {
      context.table->pack_matmul(context, {n, k, b.data(), p.ldb, bt, panels.data(), product});
      p.packed_b = panels.data();
    }
    const double seconds = best([&] { context.table->matmul(context, p); });
    report(fmt::format("{} {}x{}x{}{}{}{}{}", product == Format::bf16 ? "bf16" : "f32 ", m, n, k, at ? " at" : "",
                       bt ? " bt" : "", packed ? " packed" : "", act != Activation::none ? " bias+act" : ""),
           2.0 * double(m * n * k), m <= 16 ? 4.0 * double(n * k) : 0, seconds);
  }

  // Queries and keys of each sequence. With heads·width the row of q, k and v, which lie beside each other if the
  // lengths are the same, as they come out of one product.
  struct AttentionShape {
    std::vector<int32_t> queries, keys;
    int64_t heads, width;
    bool causal = false;
    float dropout = 0;
    std::string name;
  };

  void attention(const AttentionShape& shape) {
    std::vector<int32_t> q_offsets{0}, k_offsets{0};
    double pairs = 0;  // of a query and a key that it sees
    for (size_t s = 0; s < shape.queries.size(); ++s) {
      const int32_t queries = shape.queries[s], keys = shape.keys[s];
      q_offsets.push_back(q_offsets.back() + queries);
      k_offsets.push_back(k_offsets.back() + keys);
      for (int32_t i = 0; i < queries; ++i) pairs += shape.causal ? std::clamp(i + 1 + keys - queries, 0, keys) : keys;
    }
    const int64_t rows = q_offsets.back(), key_rows = k_offsets.back(), row = shape.heads * shape.width;
    const bool self = shape.queries == shape.keys;
    const Floats q = numbers(rows * row * (self ? 3 : 1)), kv = numbers(self ? 0 : key_rows * row * 2);
    const Floats dout = numbers(rows * row);
    Floats out(dout.size()), lse(static_cast<size_t>(shape.heads * rows)), dq(q.size()), dkv(kv.size());
    AttentionBackward b{};
    Attention& p = b.forward;
    p.sequences = static_cast<int64_t>(shape.queries.size()), p.heads = p.key_heads = shape.heads;
    p.width = p.value_width = shape.width, p.q_offsets = q_offsets.data(), p.k_offsets = k_offsets.data();
    p.q = q.data(), p.k = self ? p.q + row : kv.data(), p.v = p.k + row;
    p.q_stride = self ? 3 * row : row, p.k_stride = p.v_stride = self ? 3 * row : 2 * row;
    p.scale = 0.125f, p.causal = shape.causal, p.dropout = {shape.dropout, 7};
    p.out = out.data(), p.out_stride = row, p.lse = lse.data();
    b.dout = dout.data(), b.dq = dq.data(), b.dk = self ? b.dq + row : dkv.data(), b.dv = b.dk + row;
    b.dq_stride = p.q_stride, b.dk_stride = b.dv_stride = p.k_stride;
    const double flops = 4 * pairs * double(row);
    const std::string name = fmt::format("attention {} heads {}x{}{}{}", shape.name, shape.heads, shape.width,
                                         shape.causal ? " causal" : "", shape.dropout > 0 ? " dropout" : "");
    report(name, flops, 0, best([&] { context.table->attention(context, p); }));
    report(name + " backward", 2.5 * flops, 0, best([&] { context.table->attention_backward(context, b); }));
  }

  void attention(int64_t sequences, int32_t length, int64_t heads, int64_t width, bool causal, float dropout = 0) {
    const std::vector<int32_t> lengths(static_cast<size_t>(sequences), length);
    attention({lengths, lengths, heads, width, causal, dropout, fmt::format("{}x{}", sequences, length)});
  }

  void decode(int64_t sequences, int64_t length, int64_t heads, int64_t width) {
    const int64_t row = heads * width, page = 16, pages = (length + page - 1) / page;
    const Floats q = numbers(sequences * row), k = numbers(sequences * pages * page * row), v = k;
    Floats out(q.size());
    std::vector<int32_t> offsets, lengths, table;
    for (int32_t s = 0; s <= sequences; ++s) offsets.push_back(s);
    for (int32_t i = 0; i < sequences * pages; ++i) table.push_back(i);
    lengths.assign(static_cast<size_t>(sequences), static_cast<int32_t>(length));
    AttentionCached p{};
    p.sequences = sequences, p.heads = p.key_heads = heads, p.width = p.value_width = width, p.page_size = page;
    p.max_pages = pages, p.q_offsets = offsets.data(), p.lengths = lengths.data(), p.page_table = table.data();
    p.q = q.data(), p.k_pages = k.data(), p.v_pages = v.data(), p.q_stride = p.k_stride = p.v_stride = row;
    p.scale = 0.1f, p.out = out.data(), p.out_stride = row;
    const double seconds = best([&] { context.table->attention_cached(context, p); });
    report(fmt::format("attention_cached {}x{} heads {} width {}", sequences, length, heads, width), 0,
           8.0 * double(sequences * length * row), seconds);
  }

  void rowwise(int64_t rows, int64_t width, int64_t vocab) {
    const Floats x = numbers(rows * width), residual = x, weight = numbers(width), dy = x;
    Floats sum(x.size()), y(x.size()), mean(static_cast<size_t>(rows)), rstd(mean), dweight(weight), dbias(weight);
    Norm n{};
    n.rows = rows, n.width = width, n.x = x.data(), n.residual = residual.data(), n.weight = n.bias = weight.data();
    n.sum = sum.data(), n.y = y.data(), n.mean = mean.data(), n.rstd = rstd.data();
    const std::string shape = fmt::format(" {}x{}", rows, width);
    const double area = 4.0 * double(rows * width);
    report("norm + residual" + shape, 0, 4 * area, best([&] { context.table->norm(context, n); }));
    n.dropout = {0.1f, 3};
    report("norm + residual + dropout" + shape, 0, 4 * area, best([&] { context.table->norm(context, n); }));
    Floats dx(x.size());
    NormBackward b{};
    b.rows = rows, b.width = width, b.dy = dy.data(), b.sum = sum.data(), b.mean = mean.data(), b.rstd = rstd.data();
    b.weight = weight.data(), b.dsum_in = residual.data(), b.dsum = y.data(), b.dropout = n.dropout, b.dx = dx.data();
    b.dweight = dweight.data(), b.dbias = dbias.data();
    report("norm backward + dropout" + shape, 0, 5 * area, best([&] { context.table->norm_backward(context, b); }));
    report("column_sum" + shape, 0, area, best([&] {
             context.table->column_sum(context, {rows, width, x.data(), dbias.data(), true});
           }));
    report("dropout" + shape, 0, 2 * area, best([&] {
             context.table->dropout(context, {rows * width, x.data(), y.data(), {0.1f, 5}});
           }));
    report("gelu backward" + shape, 0, 3 * area, best([&] {
             context.table->activation_backward(
                 context, {rows * width, Activation::gelu, dy.data(), nullptr, x.data(), y.data()});
           }));
    std::vector<int32_t> targets(static_cast<size_t>(rows), 3), ids(targets);
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i * 7919 % static_cast<size_t>(vocab));
    // As the loss calls it: a slice of rows that stays in the cache, gradients in the place of the logits.
    const int64_t slice = 64;
    Floats logits = numbers(slice * vocab), losses(static_cast<size_t>(slice));
    SoftmaxCrossEntropy s{};
    s.rows = slice, s.vocab = s.ld = vocab, s.logits = s.gradient = logits.data(), s.targets = targets.data();
    s.label_smoothing = 0.1f, s.losses = losses.data();
    report(fmt::format("softmax_cross_entropy {}x{}", slice, vocab), 0, 8.0 * double(slice * vocab),
           best([&] { context.table->softmax_cross_entropy(context, s); }));
    Floats table(static_cast<size_t>(vocab * width));
    report(
        "embedding_backward" + shape, 0, 3 * area, best([&] {
          context.table->embedding_backward(context, {rows, width, vocab, ids.data(), dy.data(), 1, -1, table.data()});
        }));
  }

  void optimiser(int64_t size) {
    Floats w = numbers(size), m(w.size()), v(w.size());
    const Floats g = w;
    report(fmt::format("adamw {}", size), 0, 28.0 * double(size), best([&] {
             context.table->adamw(context, {size, w.data(), g.data(), m.data(), v.data(), 1e-3f, 0.9f, 0.99f, 1e-8f,
                                            0.01f, 0.1f, 0.1f, 1});
           }));
    double out = 0;
    report(fmt::format("sum_of_squares {}", size), 0, 4.0 * double(size), best([&] {
             context.table->sum_of_squares(context, {size, g.data(), &out});
           }));
  }
};

void matmuls(Bench& bench) {
  bench.matmul(4096, 768, 768, false, true);
  bench.matmul(4096, 768, 768, false, true, true);
  bench.matmul(2000, 256, 256, false, true);
  bench.matmul(2000, 1024, 256, false, true);
  bench.matmul(2000, 1024, 256, false, true, false, Activation::relu);
  bench.matmul(2000, 1024, 256, false, true, false, Activation::gelu);
  bench.matmul(2000, 256, 1024, false, true);
  bench.matmul(2000, 256, 1024, false, false);
  bench.matmul(256, 1024, 2000, true, false);
  bench.matmul(256, 256, 2000, true, false);
  bench.matmul(2000, 8000, 256, false, true);
  bench.matmul(8000, 256, 2000, true, false);
  bench.matmul(60, 256, 256, false, true);
  bench.matmul(16, 1024, 256, false, true);
  bench.matmul(16, 1024, 256, false, true, true);
  bench.matmul(4, 8000, 256, false, true);
  bench.matmul(4, 8000, 256, false, true, true);
  bench.matmul(1, 1024, 256, false, true);
  bench.matmul(1, 1024, 256, false, true, true);
  bench.matmul(1, 3072, 768, false, true, true);
  bench.matmul(1, 4096, 4096, false, true);
}

// Lengths of sentences: from 5 to 60.
std::vector<int32_t> sentences(size_t count, int32_t step) {
  std::vector<int32_t> lengths(count);
  for (size_t i = 0; i < count; ++i) lengths[i] = 5 + static_cast<int32_t>(i) * step % 56;
  return lengths;
}

void attentions(Bench& bench) {
  // Translation.
  for (const bool causal : {false, true})
    for (const float dropout : {0.0f, 0.1f}) {
      bench.attention(64, 30, 4, 64, causal, dropout);
      bench.attention(64, 30, 8, 32, causal, dropout);
    }
  const auto source = sentences(64, 37), target = sentences(64, 23);
  bench.attention({source, source, 4, 64, false, 0.1f, "64x5-60"});
  bench.attention({target, target, 4, 64, true, 0.1f, "64x5-60"});
  bench.attention({target, source, 4, 64, false, 0.1f, "64x5-60 over 5-60"});
  bench.attention(32, 64, 4, 64, false);
  bench.attention(32, 64, 4, 64, true);
  bench.attention({std::vector<int32_t>(32, 64), std::vector<int32_t>(32, 50), 4, 64, false, 0, "32x64 over 50"});
  // Language models.
  bench.attention(16, 256, 6, 64, true);
  bench.attention(4, 256, 12, 64, true);
  bench.attention(16, 128, 12, 64, false, 0.1f);
  bench.attention(1, 1024, 12, 64, false);
  bench.decode(4, 30, 4, 64);
  bench.decode(4, 500, 12, 64);
}

}  // namespace

int main(int argc, char** argv) {
  const KernelTable* table = argc > 1 ? cpu_kernels(argv[1]) : &cpu_kernels();
  if (table == nullptr) {
    fmt::print(stderr, "kernels_bench: this machine has no level {}\n", argv[1]);
    return 2;
  }
  ThreadPool pool(argc > 2 ? std::atoi(argv[2]) : 0);
  Scratch scratch;
  KernelContext context{table, &pool, &scratch};
  Bench bench{context};
  bench.peak = measure_limits(*table, pool).f32.all * 1e-9;
  fmt::print("level {}, {} threads, multiply-add peak {:.1f} GF/s\n", table->level, pool.threads(), bench.peak);
  const std::string only = argc > 3 ? argv[3] : "";
  if (only.empty() || only == "matmul") matmuls(bench);
  if (only.empty() || only == "attention") attentions(bench);
  if (only.empty() || only == "rows") {
    bench.rowwise(2000, 256, 8000);
    bench.optimiser(5'000'000);
  }
}
