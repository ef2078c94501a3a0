#!/usr/bin/env python3
"""Matrix products of attend beside PyTorch (MKL and oneDNN), OpenBLAS, BLIS and oneDNN, timed in turns.

Libraries that are not installed are left out: apt install libopenblas0 libblis4 libdnnl2.
"""
import argparse
import os
import pathlib
import statistics
import sys
import time

from workers import serve, start_all, surroundings, update_results

HERE = pathlib.Path(__file__).resolve().parent


def layers(tokens, width, hidden, vocab=None):
    """The products of a layer's matrices, in both directions, and of the head."""
    pairs = [(width, width), (hidden, width), (width, hidden)] + ([(vocab, width)] if vocab else [])
    for out, into in pairs:
        yield tokens, out, into, "forward"
        yield tokens, into, out, "dX"
        yield out, into, tokens, "dW"


SHAPES = {
    "plain": [(512, 2048, 512, "forward"), (1024, 3072, 768, "forward"), (128, 768, 768, "forward"),
              (4096, 768, 768, "forward"), (1, 4096, 4096, "forward"), (2048, 2048, 2048, "forward"),
              (4096, 4096, 4096, "forward")],
    "gpt2": list(layers(1024, 768, 3072, 50257)),
    "gpt": list(layers(4096, 384, 1536, 8192)),
    "encoder-decoder": list(layers(2048, 256, 1024, 16000)),
    "bert": list(layers(2048, 768, 3072)),
}


def torch_worker():
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    types = {"f32": torch.float32, "bf16": torch.bfloat16}

    def answer(line):
        m, n, k, role, dtype = line.split()
        m, n, k = int(m), int(n), int(k)
        # What lies transposed in memory is transposed back by a view, as autograd does it.
        a = torch.randn(k, m).t() if role == "dW" else torch.randn(m, k)
        b = torch.randn(n, k).t() if role == "forward" else torch.randn(k, n)
        a, b = (x.to(types[dtype]) for x in (a, b))
        c = torch.empty(m, n, dtype=types[dtype])
        torch.mm(a, b, out=c)
        start, count = time.perf_counter(), 0
        while (seconds := time.perf_counter() - start) < 0.1 or not count:
            torch.mm(a, b, out=c)
            count += 1
        return seconds / count

    serve(answer)


def measure(shape, workers, arguments):
    m, n, k, role = shape
    row = {"m": m, "n": n, "k": k, "role": role, "seconds": {}}
    for _ in range(arguments.rounds):
        for dtype in arguments.dtypes:
            for name, worker in workers.items():
                seconds = worker.ask(f"{m} {n} {k} {role} {dtype}")
                if seconds is not None:
                    row["seconds"].setdefault(f"{name} {dtype}", []).append(float(f"{seconds:.4g}"))
    rates = {name: 2e-9 * m * n * k / statistics.median(all_of) for name, all_of in row["seconds"].items()}
    print(f"  {m}x{n}x{k} {role}: " + ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items()) + " GF/s",
          file=sys.stderr, flush=True)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attend", default=str(HERE.parent / "build/apps/attend"))
    parser.add_argument("--bench", default=str(HERE.parent / "build/bench/products/products_bench"))
    parser.add_argument("--python", default=sys.executable, help="a Python with torch")
    parser.add_argument("--groups", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--dtypes", nargs="+", default=["f32", "bf16"], choices=["f32", "bf16"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", default=str(HERE / "results/products.json"))
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return torch_worker()
    commands = {name: [arguments.bench, name] for name in ("attend", "onednn", "openblas", "blis")}
    commands["torch"] = [arguments.python, str(HERE / "products.py"), "--worker"]
    workers = start_all(commands, arguments.threads)
    for group in arguments.groups:
        print(group, file=sys.stderr)
        around = surroundings(arguments.attend, arguments.python, arguments.threads)
        products = [measure(shape, workers, arguments) for shape in SHAPES[group]]
        update_results(arguments.out, group, {**around, "products": products})
    for worker in workers.values():
        worker.close()


if __name__ == "__main__":
    main()
