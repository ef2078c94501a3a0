#!/usr/bin/env python3
"""Sentences per second of a translator's folder: attend beside CTranslate2, on one machine in one run.

  bench/translation.py [MODEL FOLDER] [--build build] [--rounds N]     measures, writes bench/results/translation.json
  bench/translation.py --table                                         only refills the table of docs/performance.md

Both compute in f32 from the same folder (CTranslate2 from its conversion), with the same search: greedily or with four
beams, length penalty 1, a search that ends once four answers are complete. A side is a process of its own that is
started, warmed and then timed in turn with the others idle. attend takes text and gives text; CTranslate2 takes and
gives tokens, made beforehand by the folder's tokenizer. The translations must be the same, but for near ties.
"""
import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench/results/translation.json"
PAGE = ROOT / "docs/performance.md"
SENTENCES = ROOT / "datasets/everyday_valid.tsv"
MOST_TOKENS = 60
CELLS = [(1, 1), (1, 4), (32, 1), (32, 4)]  # sentences together, beams
PEERS = {"CTranslate2": {}, "CTranslate2, CT2_FORCE_CPU_ISA=AVX512": {"CT2_FORCE_CPU_ISA": "AVX512"}}
COLD_TEXT = "What is your name?"


def ctranslate2_worker(folder, threads):
    """The other side: the protocol of translate_worker.cpp, with tokens for texts."""
    import ctranslate2

    translator = ctranslate2.Translator(folder, device="cpu", compute_type="float32", inter_threads=1,
                                        intra_threads=threads)
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        texts, batch, written = request["texts"], request["batch"], []
        start = time.perf_counter()
        for begin in range(0, len(texts), batch):
            written += translator.translate_batch(
                texts[begin : begin + batch], beam_size=request["beams"], length_penalty=1, return_end_token=True,
                max_decoding_length=request["max_new_tokens"],
            )
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "ids": [answer.hypotheses[0] for answer in written]}), flush=True)


class Worker:
    def __init__(self, command, environment=None):
        self.process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8",
            env=os.environ | (environment or {}),
        )
        if self.process.stdout.readline().strip() != "ready":
            sys.exit(f"{command[0]}: did not start")

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        return json.loads(line) if line else sys.exit("a worker ended in the middle")

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def same_answers(ours, theirs, what):
    """How many answers agree; fails where more than one in ten does not or the amount of work differs."""
    same = sum(a == b for a, b in zip(ours, theirs, strict=True))
    lengths = [sum(map(len, answers)) for answers in (ours, theirs)]
    if same < 0.9 * len(ours) or abs(lengths[0] - lengths[1]) > 0.02 * lengths[0]:
        sys.exit(f"{what}: only {same} of {len(ours)} answers agree, {lengths[0]} and {lengths[1]} tokens")
    return same


def measure(arguments, converted, directions, tokenizer):
    cells = []
    for threads in arguments.threads:
        workers = {"attend": Worker([arguments.build / "bench/translation/translate_worker", arguments.model, threads])}
        for name, environment in PEERS.items():
            command = [sys.executable, __file__, "--worker", converted, "--threads", threads]
            workers[name] = Worker(command, environment)
        for batch, beams in CELLS:
            rounds = {name: [] for name in workers}
            for turn in range(-1, arguments.rounds):  # the first one warms up and is compared
                answers = {name: [] for name in workers}
                for name, worker in workers.items():
                    time.sleep(0.05)  # threads of the one before go to sleep
                    seconds = 0
                    for to, texts, tokens in directions:
                        reply = worker.ask(texts=texts if name == "attend" else tokens, to=to, beams=beams, batch=batch,
                                           max_new_tokens=MOST_TOKENS)
                        seconds += reply["seconds"]
                        answers[name] += reply["ids"]
                    if turn >= 0:
                        rounds[name].append(seconds)
                if turn < 0:
                    same = {}
                    for name in PEERS:
                        theirs = [tokenizer.convert_tokens_to_ids(tokens) for tokens in answers[name]]
                        same[name] = same_answers(answers["attend"], theirs, f"batch {batch}, {beams} beams, {name}")
                    written = sum(map(len, answers["attend"]))
            sentences = sum(len(texts) for _, texts, _ in directions)
            speed = {name: round(sentences / statistics.median(seconds), 1) for name, seconds in rounds.items()}
            ratio = round(speed["attend"] / max(speed[name] for name in PEERS), 2)
            print(f"{threads} threads, batch {batch}, {beams} beams: {speed}, {ratio} times the best peer", flush=True)
            cells.append({"threads": threads, "batch": batch, "beams": beams, "sentences": sentences,
                          "tokens_written": written, "same_answers": same, "sentences_per_second": speed,
                          "ratio_to_best_peer": ratio, "seconds": rounds})
        for worker in workers.values():
            worker.close()
    return cells


def cold_start(arguments, runs=21):
    """Milliseconds of the whole command, page cache warm."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run([arguments.build / "apps/attend", "translate", "--model", arguments.model, COLD_TEXT],
                       check=True, capture_output=True)
        times.append(round(1000 * (time.perf_counter() - start), 1))
    return {"milliseconds": statistics.median(times), "all": times}


def hardware():
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    fields = dict(line.split(":", 1) for line in info.split("\n\n")[0].splitlines() if ":" in line)
    return {"cpu": {key.strip(): value.strip() for key, value in fields.items()}["model name"],
            "cores": os.cpu_count(), "system": platform.system()}


def refill():
    """Puts the table between the markers of the page."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    begin, end = "<!-- translation: begin (bench/translation.py) -->", "<!-- translation: end -->"
    names = ["attend", *PEERS]
    lines = ["| threads | batch | beams | " + " | ".join(names) + " | attend / best peer |",
             "| --- | --- | --- | " + "--- | " * len(names) + "--- |"]
    for cell in results["cells"]:
        speeds = [f"{cell['sentences_per_second'][name]:.0f}" for name in names]
        lines.append(f"| {cell['threads']} | {cell['batch']} | {cell['beams']} | " + " | ".join(speeds)
                     + f" | **{cell['ratio_to_best_peer']:.2f}** |")
    lines += ["", f"Cold start, page cache warm: `attend translate \"{COLD_TEXT}\"` answers after "
              f"{results['cold_start']['milliseconds']:.0f} ms (median of {len(results['cold_start']['all'])} runs).",
              "", f"{results['hardware']['cpu']}, {results['hardware']['cores']} cores; CTranslate2 "
              f"{results['versions']['ctranslate2']}; {results['date']}."]
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(begin, 1)
    PAGE.write_text(before + begin + "\n" + "\n".join(lines) + "\n" + end + rest.split(end, 1)[1], encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default=ROOT / "pretrained/en-ko", type=Path)
    parser.add_argument("--build", default=ROOT / "build", type=Path, help="folder with apps and bench built")
    parser.add_argument("--sentences", type=int, default=64, help="each way")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--output", default=RESULTS, type=Path)
    parser.add_argument("--table", action="store_true", help="only refill the table")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return ctranslate2_worker(arguments.worker, arguments.threads[0])
    if arguments.table:
        return refill()

    import ctranslate2
    from ctranslate2.converters import TransformersConverter
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    lines = SENTENCES.read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t")[:2] for line in lines if "\t" in line][: arguments.sentences]
    directions = []
    for to, side in (("ko", 0), ("en", 1)):
        texts = [pair[side] for pair in pairs]
        tokens = [tokenizer.convert_ids_to_tokens(tokenizer(f">>{to}<<{text}").input_ids) for text in texts]
        directions.append((to, texts, tokens))
    with tempfile.TemporaryDirectory() as scratch:
        converted = Path(scratch, "converted")
        TransformersConverter(str(arguments.model)).convert(str(converted))
        cells = measure(arguments, converted, directions, tokenizer)
    model = json.loads((arguments.model / "config.json").read_text(encoding="utf-8"))
    keys = ("d_model", "encoder_layers", "decoder_layers", "encoder_ffn_dim", "vocab_size", "dtype")
    results = {"date": datetime.date.today().isoformat(), "hardware": hardware(),
               "versions": {"ctranslate2": ctranslate2.__version__, "python": platform.python_version()},
               "model": {key: model[key] for key in keys}, "cells": cells, "cold_start": cold_start(arguments)}
    print(f"cold start: {results['cold_start']['milliseconds']} ms")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if arguments.output == RESULTS and PAGE.exists():
        refill()


if __name__ == "__main__":
    main()
