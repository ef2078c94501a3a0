#!/usr/bin/env python3
"""Runs the `$ ./attend …` lines of ```console blocks again and puts their present output in: after a new model.

    tools/refill_console.py README.md README.ko.md

A line "…" stands for output left out: what follows it begins at the next line of the output that starts like the line
shown (its first three characters), and has as many lines as are shown.
"""
import re
import subprocess
import sys
from pathlib import Path

project = Path(__file__).resolve().parent.parent


def shown_part(shown: list[str], output: list[str], page: str) -> list[str]:
    if "…" not in shown:
        return output
    result, position = [], 0
    segments = [segment.split("\n") for segment in re.split(r"(?:^|\n)…(?:\n|$)", "\n".join(shown))]
    for number, segment in enumerate(segments):
        if number:
            result.append("…")
        if segment == [""]:
            continue
        while position < len(output) and output[position][:3] != segment[0][:3]:
            position += 1
        if position == len(output):
            sys.exit(f"refill_console: {page}: no line of the output starts like {segment[0]!r}")
        result += output[position : position + len(segment)]
        position += len(segment)
    return result


def refill(page: Path) -> None:
    def block(match: re.Match) -> str:
        lines, result = match.group(1).split("\n"), []
        while lines:
            command = lines.pop(0)
            shown = []
            while lines and not lines[0].startswith("$ "):
                shown.append(lines.pop(0))
            output = subprocess.run(
                ["bash", "-c", command[2:]], cwd=project, capture_output=True, text=True, check=True
            ).stdout
            result += [command, *shown_part(shown, output.rstrip("\n").split("\n"), page.name)]
        return "```console\n" + "\n".join(result) + "\n```"

    page.write_text(re.sub(r"```console\n(\$ .*?)\n```", block, page.read_text(), flags=re.DOTALL))


for name in sys.argv[1:]:
    refill(Path(name))
