#!/usr/bin/env python3
"""Compares a tokenizer trained here with Hugging Face tokenizers (pip install tokenizers==0.23.3).

  compare_tokenizer.py                                     all of the below, for one that attend trains now, and that
                                                           the shipped translator's encodings agree
  compare_tokenizer.py TOKENIZER.json                      the file opens and a save gives an equal tokenizer
      --corpus LINES.txt [--min-frequency N]               training on the same lines gives the same ids and merges
      --encodings FILE.jsonl                               {"text", "ids"[, "offsets", "tokens", "decode"]} agree

Exit code 0: equal, 1: the first differences are printed.
"""
import argparse
import json
import sys
import tempfile
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers
from tokenizers.normalizers import NFC

from comparison import SHIPPED, attend, sentence_pairs, train_tiny


def report(name, ours, theirs):
    if ours == theirs:
        print(f"equal: {name}")
        return True
    print(f"DIFFERENT: {name}")
    pairs = zip(ours, theirs) if isinstance(ours, list) else [(ours, theirs)]
    for i, (a, b) in enumerate(pairs):
        if a != b:
            print(f"  at {i}: ours {a!r}, theirs {b!r}")
            break
    else:
        print(f"  lengths: ours {len(ours)}, theirs {len(theirs)}")
    return False


def by_id(vocab):
    return sorted(vocab, key=vocab.get)


def compare_training(ours, corpus, min_frequency):
    """Trains with the layout of `ours`: special tokens that come before the bytes first, the others last."""
    vocab = by_id(ours["model"]["vocab"])
    special = {token["content"] for token in ours["added_tokens"]}
    first = []
    while vocab[len(first)] in special:
        first.append(vocab[len(first)])
    last = [token for token in vocab[len(first) :] if token in special]
    theirs = Tokenizer(models.BPE(unk_token=ours["model"]["unk_token"]))
    if ours["normalizer"]:
        assert ours["normalizer"] == {"type": "NFC"}, "only NFC is compared"
        theirs.normalizer = NFC()
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=len(vocab) - len(last),
        min_frequency=min_frequency,
        special_tokens=[AddedToken(token, special=True) for token in first],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    with open(corpus, encoding="utf-8", newline="\n") as lines:
        theirs.train_from_iterator((line.rstrip("\n") for line in lines), trainer)
    model = json.loads(theirs.to_str())["model"]
    ok = report("vocabulary", vocab[: len(vocab) - len(last)], by_id(model["vocab"]))
    return report("merges", ours["model"]["merges"], model["merges"]) and ok


def compare_encodings(tokenizer, file):
    count, ok = 0, True
    with open(file, encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            encoding = tokenizer.encode(record["text"])
            theirs = {
                "ids": encoding.ids,
                "tokens": encoding.tokens,
                "offsets": [list(offset) for offset in encoding.offsets],
                "decode": tokenizer.decode(encoding.ids, skip_special_tokens=False),
            }
            count += 1
            for key in theirs:
                if key in record and record[key] != theirs[key]:
                    ok = False
                    print(f"DIFFERENT: {key} of {record['text']!r}\n  ours   {record[key]}\n  theirs {theirs[key]}")
            if not ok:
                break
    if count == 0:
        print(f"DIFFERENT: {file} has no encodings")
        return False
    if ok:
        print(f"equal: {count} encodings")
    return ok


def compare(tokenizer_file, corpus=None, min_frequency=2, encodings=None):
    with open(tokenizer_file, encoding="utf-8") as file:
        ours = json.load(file)
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    again = json.loads(tokenizer.to_str())
    ok = True
    for name in ours:
        ok &= report(f"{name} after loading and saving", ours[name], again[name])
    if corpus:
        ok &= compare_training(ours, corpus, min_frequency)
    if encodings:
        ok &= compare_encodings(tokenizer, encodings)
    return 0 if ok else 1


def compare_trained_now():
    with tempfile.TemporaryDirectory() as scratch:
        corpus, encodings = Path(scratch, "corpus.txt"), Path(scratch, "encodings.jsonl")
        texts = Path("datasets/phrases.tsv").read_text(encoding="utf-8").replace("\t", "\n")
        corpus.write_text(texts, encoding="utf-8")
        trained = train_tiny(scratch, steps=1, vocab=3000)
        sentences = "".join(f"{text}\n" for pair in sentence_pairs(None) for text in pair)
        code = 0
        for folder, lines in ((trained, corpus), (SHIPPED, None)):
            if not (folder / "tokenizer.json").exists():
                print(f"{folder} is not there")
                continue
            encodings.write_text(attend("tokenize", "--model", folder, "--json", text=sentences), encoding="utf-8")
            code |= compare(folder / "tokenizer.json", corpus=lines, encodings=encodings)
        return code


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer", nargs="?")
    parser.add_argument("--corpus")
    parser.add_argument("--min-frequency", type=int, default=2)
    parser.add_argument("--encodings")
    arguments = parser.parse_args()
    if not arguments.tokenizer:
        return compare_trained_now()
    return compare(arguments.tokenizer, arguments.corpus, arguments.min_frequency, arguments.encodings)


if __name__ == "__main__":
    sys.exit(main())
