"""What the comparisons with the Python libraries (tools/compare_*.py) share. They run from the project's root with the
packages of tools/requirements.txt; ATTEND_BINARY names the command, else it is ./attend."""
import json
import os
import subprocess
import sys
from pathlib import Path

SHIPPED = Path("pretrained/en-ko")
VALIDATION = Path("datasets/everyday_valid.tsv")

# Enough to say something other than noise, little enough for half a minute.
TINY_RECIPE = """
output = "{output}"
steps = {steps}
warmup = 200
learning_rate = 3e-3
batch_tokens = 1500
checkpoint_every = {steps}
log_every = 500
[model]
width = 64
heads = 4
hidden = 128
encoder_layers = 2
decoder_layers = 1
dropout = 0.0
[tokenizer]
vocab_size = {vocab}
[data]
files = [{{ path = "datasets/phrases.tsv" }}]
[validation]
translate = false
"""


def attend(*arguments, text=None):
    """Runs the command; returns what it prints."""
    command = [os.environ.get("ATTEND_BINARY", "./attend"), *map(str, arguments)]
    done = subprocess.run(command, input=text, capture_output=True, encoding="utf-8")
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def attend_json(*arguments, text=None):
    """The same for a command that prints JSON lines."""
    return [json.loads(line) for line in attend(*arguments, text=text).splitlines()]


def train_tiny(folder, steps=1500, vocab=1500):
    """Trains a tiny translator with the command; returns its model folder."""
    recipe = Path(folder, "recipe.toml")
    recipe.write_text(TINY_RECIPE.format(output=Path(folder, "run"), steps=steps, vocab=vocab), encoding="utf-8")
    attend("train", "--config", recipe)
    return Path(folder, "run", "last")


def model_folder(given, scratch):
    """The folder that was given, else the shipped model, else a tiny one made now."""
    if given:
        return Path(given)
    if (SHIPPED / "config.json").exists():
        return SHIPPED
    print(f"{SHIPPED} is not there: training a tiny model instead")
    return train_tiny(scratch)


def sentence_pairs(count):
    lines = VALIDATION.read_text(encoding="utf-8").splitlines()
    return [tuple(line.split("\t")[:2]) for line in lines if "\t" in line][:count]


class Tally:
    """Counts what agrees, prints (the first twenty of) what does not."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, ok, what):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            if self.failed <= 20:
                print(f"DIFFERENT: {what}")
        return ok

    def exit_code(self):
        print(f"{self.passed} passed, {self.failed} failed")
        return 0 if self.failed == 0 and self.passed > 0 else 1
