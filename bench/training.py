#!/usr/bin/env python3
"""Training steps of attend and of PyTorch (eager and compiled; f32 and bf16 autocast), timed in turns on this machine."""
import argparse
import os
import pathlib
import statistics
import sys

from workers import attend_json, start_all, surroundings, update_results

HERE = pathlib.Path(__file__).resolve().parent
# Steps of one turn: about a second or more.
STEPS = {"gpt2": 1, "gpt": 1, "encoder-decoder": 2, "bert": 1}


def commands_of(shape, arguments):
    commands = {}
    for dtype in arguments.dtypes:
        commands[f"attend {dtype}"] = [
            arguments.attend, "bench", "--train", shape, "--dtype", dtype, "--steps", str(STEPS[shape]), "--worker"]
        for mode in arguments.modes:
            commands[f"torch {mode} {dtype}"] = [
                arguments.python, str(HERE / "torch_training.py"), shape, mode, dtype, str(STEPS[shape])]
    return commands


def measure(shape, arguments):
    print(shape, file=sys.stderr)
    around = surroundings(arguments.attend, arguments.python, arguments.threads)
    profiles = {
        dtype: attend_json(arguments.attend, arguments.threads, "bench", "--train", shape, "--dtype", dtype,
                           "--steps", "2", "--profile") for dtype in arguments.dtypes
    }
    described = profiles[arguments.dtypes[0]]
    workers = start_all(commands_of(shape, arguments), arguments.threads)
    runs = {name: {"seconds": [], "peak_mb": 0} for name in workers}
    for _ in range(arguments.rounds):
        for name, worker in workers.items():
            seconds, peak_mb = worker.ask()
            runs[name]["seconds"].append(round(seconds, 5))
            runs[name]["peak_mb"] = max(runs[name]["peak_mb"], round(peak_mb))
    for worker in workers.values():
        worker.close()
    for name, run in runs.items():
        print(f"  {name:<20} {described['tokens'] / statistics.median(run['seconds']):8.0f} tokens/s {run['peak_mb']:6.0f} MB",
              file=sys.stderr)
    return {
        **around,
        **{key: described[key] for key in ("parameters", "batch", "length", "layers", "tokens", "flops")},
        "runs": runs,
        "profiles": {dtype: {"seconds": profile["seconds"], "limits": profile["machine"]["limits"], **profile["profile"]}
                     for dtype, profile in profiles.items()},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attend", default=str(HERE.parent / "build/apps/attend"))
    parser.add_argument("--python", default=sys.executable, help="a Python with torch and transformers")
    parser.add_argument("--shapes", nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--dtypes", nargs="+", default=["f32", "bf16"], choices=["f32", "bf16"])
    parser.add_argument("--modes", nargs="*", default=["eager", "compile"], choices=["eager", "compile"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", default=str(HERE / "results/training.json"))
    arguments = parser.parse_args()
    for shape in arguments.shapes:
        update_results(arguments.out, shape, measure(shape, arguments))


if __name__ == "__main__":
    main()
