// Matrix products of attend, or of a library that is installed, as a worker for products.py:
//   products_bench attend|openblas|blis|onednn
// prints "ready"; for each line "M N K forward|dX|dW f32|bf16" of standard input, the seconds of one product as JSON.
// Libraries are opened at run time, each in a process of its own, so nothing here depends on them.
#include <dlfcn.h>
#include <fmt/core.h>

#include <bit>
#include <chrono>
#include <functional>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "attend/base/thread_pool.hpp"
#include "attend/kernels/kernels.hpp"

namespace {

using namespace attend;
using namespace attend::kernels;

/// One product as the layers of a model make it: y = x·Wᵀ, dx = dy·W or dW = dyᵀ·x.
struct Product {
  int64_t m, n, k;
  bool a_transposed, b_transposed;
  Format format;
  std::vector<float> a, b, c;
  std::vector<uint16_t> half_b;  // b in bf16, where it is a weight of a product in bf16: the libraries have it so too

  int64_t lda() const { return a_transposed ? m : k; }
  int64_t ldb() const { return b_transposed ? k : n; }
};

using Multiply = std::function<void(Product&)>;

void fill(std::vector<float>& x, uint32_t state) {
  for (float& value : x) {
    state = state * 1664525 + 1013904223;
    value = static_cast<float>(state >> 8) * 0x1p-23f - 1;
  }
}

Multiply attend_product() {
  static ThreadPool pool([] {
    const char* threads = std::getenv("ATTEND_THREADS");
    return threads ? std::atoi(threads) : 0;
  }());
  static Scratch scratch;
  scratch.reserve(pool.threads() + 1);
  static KernelContext context{&cpu_kernels(), &pool, &scratch};
  return [](Product& p) {
    Matmul args{};
    args.m = p.m, args.n = p.n, args.k = p.k;
    args.a = p.a.data(), args.lda = p.lda(), args.a_transposed = p.a_transposed;
    args.b = p.b.data(), args.ldb = p.ldb(), args.b_transposed = p.b_transposed;
    if (!p.half_b.empty()) args.b = p.half_b.data(), args.b_format = Format::bf16;
    args.c = p.c.data(), args.ldc = p.n, args.product = p.format;
    context.table->matmul(context, args);
  };
}

template <class Function>
Function* symbol(const char* library, const char* name) {
  void* opened = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  return opened ? reinterpret_cast<Function*>(dlsym(opened, name)) : nullptr;
}

/// The C interface of BLAS: row-major is 101, plain 111, transposed 112.
Multiply blas_product(const char* library) {
  using Gemm = void(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*, int);
  Gemm* gemm = symbol<Gemm>(library, "cblas_sgemm");
  if (!gemm) return {};
  return [gemm](Product& p) {
    gemm(101, p.a_transposed ? 112 : 111, p.b_transposed ? 112 : 111, int(p.m), int(p.n), int(p.k), 1, p.a.data(),
         int(p.lda()), p.b.data(), int(p.ldb()), 0, p.c.data(), int(p.n));
  };
}

Multiply onednn_product(const char* library) {
  using Gemm = int(char, char, int64_t, int64_t, int64_t, float, const float*, int64_t, const float*, int64_t, float,
                   float*, int64_t);
  Gemm* gemm = symbol<Gemm>(library, "dnnl_sgemm");
  if (!gemm) return {};
  return [gemm](Product& p) {
    gemm(p.a_transposed ? 'T' : 'N', p.b_transposed ? 'T' : 'N', p.m, p.n, p.k, 1, p.a.data(), p.lda(), p.b.data(),
         p.ldb(), 0, p.c.data(), p.n);
  };
}

/// At least a tenth of a second of products, after one to warm up.
double seconds_of(const Multiply& multiply, Product& product) {
  using Clock = std::chrono::steady_clock;
  multiply(product);
  const auto start = Clock::now();
  int64_t count = 0;
  double seconds = 0;
  do {
    multiply(product);
    ++count;
    seconds = std::chrono::duration<double>(Clock::now() - start).count();
  } while (seconds < 0.1);
  return seconds / static_cast<double>(count);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string who = argc > 1 ? argv[1] : "";
  const Multiply multiply = who == "attend"     ? attend_product()
                            : who == "openblas" ? blas_product("libopenblas.so.0")
                            : who == "blis"     ? blas_product("libblis.so.4")
                            : who == "onednn"   ? onednn_product("libdnnl.so.2")
                                                : Multiply{};
  if (!multiply) {
    fmt::print(stderr, "products_bench: no library \"{}\" here\n", who);
    return 2;
  }
  fmt::print("ready\n");
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string role, format;
    Product p{};
    if (!(words >> p.m >> p.n >> p.k >> role >> format) || p.m < 1 || p.n < 1 || p.k < 1) {
      fmt::print(stderr, "products_bench: \"{}\" is not M N K forward|dX|dW f32|bf16\n", line);
      return 2;
    }
    p.a_transposed = role == "dW", p.b_transposed = role == "forward";
    p.format = format == "bf16" ? Format::bf16 : Format::f32;
    if (p.format == Format::bf16 && who != "attend") {  // only sgemm is called there
      fmt::print("null\n");
    } else {
      p.a.resize(size_t(p.m * p.k)), p.b.resize(size_t(p.k * p.n)), p.c.resize(size_t(p.m * p.n));
      fill(p.a, 1), fill(p.b, 2);
      if (p.format == Format::bf16 && role == "forward")
        for (float x : p.b) p.half_b.push_back(static_cast<uint16_t>(std::bit_cast<uint32_t>(x) >> 16));
      fmt::print("{}\n", seconds_of(multiply, p));
    }
    std::fflush(stdout);
  }
}
