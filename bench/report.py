#!/usr/bin/env python3
"""Writes the tables of docs/performance.md, between their markers, from the results in bench/results/."""
import json
import pathlib
import re
import statistics
import sys

HERE = pathlib.Path(__file__).resolve().parent
PAGE = HERE.parent / "docs/performance.md"
TITLES = {"gpt2": "GPT-2, 124 M", "gpt": "GPT, 13.9 M", "encoder-decoder": "encoder–decoder, 11.5 M",
          "bert": "BERT-base, 109 M", "plain": "plain"}
LARGEST = 10  # operations of a profile that are shown


def table(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def limits_of(entry):
    """The best of the run's measurements: a neighbour can only take away."""
    measured = [entry["machine"]["limits"], *(profile["limits"] for profile in entry["profiles"].values())]
    return {name: {count: max(one[name][count] for one in measured) for count in rates}
            for name, rates in measured[0].items()}


def peak_of(limits, dtype):
    return limits[f"{dtype}_flops_per_second"]["all_threads"]


def memory_of(limits):
    return max(limits[f"{kind}_bytes_per_second"]["all_threads"] for kind in ("read", "update"))


def percent(share):
    return f"{100 * share:.0f} %"


def training(results):
    rows = []
    for shape, entry in results.items():
        speed = {name: entry["tokens"] / statistics.median(run["seconds"]) for name, run in entry["runs"].items()}
        for dtype in entry["profiles"]:
            ours = f"attend {dtype}"
            theirs = {name: speed[name] for name in speed if name.startswith("torch") and name.endswith(dtype)}
            if ours not in speed or not theirs:
                continue
            best = max(theirs, key=theirs.get)
            share = entry["flops"] * speed[ours] / entry["tokens"] / peak_of(limits_of(entry), dtype)
            rows.append([
                TITLES[shape], dtype, f"{speed[ours]:.0f}",
                *(f"{theirs[name]:.0f}" if (name := f"torch {mode} {dtype}") in theirs else "–" for mode in ("eager", "compile")),
                f"**{speed[ours] / theirs[best]:.2f}**", percent(share),
                f"{entry['runs'][ours]['peak_mb']:.0f}", f"{entry['runs'][best]['peak_mb']:.0f}"])
    return table(["model", "products", "attend, tokens/s", "PyTorch eager", "PyTorch compiled", "ratio to the better one",
                  "attend, of the peak", "attend, MB", "PyTorch, MB"], rows)


def limits(results):
    rows = []
    for shape, entry in results.items():
        measured, versions = limits_of(entry), entry["versions"]
        rate = lambda name: "{:.0f} ({:.0f})".format(*(measured[name][k] * 1e-9 for k in ("all_threads", "one_thread")))
        rows.append([TITLES[shape], entry["date"], f"{entry['machine']['processor']}, {entry['machine']['kernels']}",
                     entry["machine"]["threads"], rate("f32_flops_per_second"), rate("bf16_flops_per_second"),
                     rate("read_bytes_per_second"), rate("update_bytes_per_second"), versions.get("torch", "–")])
    return table(["run", "date", "processor, kernels", "threads", "f32, GF/s", "bf16, GF/s", "reading, GB/s",
                  "updating, GB/s", "PyTorch"], rows)


def profiles(results):
    parts = []
    for shape, entry in results.items():
        for dtype, profile in entry["profiles"].items():
            wall = statistics.mean(profile["seconds"])
            operations, limits = profile["operations"], limits_of(entry)
            rows = []
            for row in operations[:LARGEST]:
                arithmetic = row["bound"] == "arithmetic"
                rate = row["flops" if arithmetic else "bytes"] / row["seconds"]
                limit = peak_of(limits, dtype) if arithmetic else memory_of(limits)
                rows.append([row["operation"], f"{row['calls']:.0f}", f"{1e3 * row['seconds']:.1f}", f"{100 * row['share']:.1f} %",
                             f"{rate * 1e-9:.0f} {'GF/s' if arithmetic else 'GB/s'}", percent(rate / limit)])
            rest = sum(row["seconds"] for row in operations[LARGEST:])
            for name, seconds in (("other kernels", rest), ("outside kernels", profile["outside_seconds"])):
                rows.append([name, "", f"{1e3 * seconds:.1f}", f"{100 * seconds / wall:.1f} %", "", ""])
            parts.append(f"**{TITLES[shape]}, {dtype}** ({1e3 * wall:.0f} ms a step)\n\n" +
                         table(["operation", "calls", "ms", "share", "rate", "of its limit"], rows))
    return "\n\n".join(parts)


def products(results):
    rows = []
    for group, entry in results.items():
        for product in entry["products"]:
            rate = {name: 2e-9 * product["m"] * product["n"] * product["k"] / statistics.median(seconds)
                    for name, seconds in product["seconds"].items()}
            row = [TITLES[group], f"{product['m']}×{product['n']}×{product['k']} {product['role']}"]
            for dtype in ("f32", "bf16"):
                others = {name: r for name, r in rate.items() if name.endswith(dtype) and not name.startswith("attend")}
                ours = rate.get(f"attend {dtype}")
                if ours and others:
                    best = max(others, key=others.get)
                    row += [f"{ours:.0f}", f"{others[best]:.0f} ({best.split()[0]})", f"{ours / others[best]:.2f}"]
                else:
                    row += ["–"] * 3
            rows.append(row)
    return table(["of", "m×n×k", "attend f32, GF/s", "best library", "ratio", "attend bf16, GF/s", "best library", "ratio"],
                 rows)


def main():
    page = PAGE.read_text()
    for marker, source, render in (("training", "training", training), ("limits", "training", limits),
                                   ("profiles", "training", profiles), ("products", "products", products)):
        path = HERE / f"results/{source}.json"
        if not path.exists():
            print(f"report: no {path.name} yet", file=sys.stderr)
            continue
        block = f"<!-- {marker} -->\n{render(json.loads(path.read_text()))}\n<!-- /{marker} -->"
        page, count = re.subn(rf"<!-- {marker} -->.*?<!-- /{marker} -->", lambda _: block, page, flags=re.S)
        if count != 1:
            sys.exit(f"report: {PAGE.name} needs the markers of '{marker}' once, not {count} times")
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
