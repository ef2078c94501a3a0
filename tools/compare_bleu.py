#!/usr/bin/env python3
"""Compares the BLEU and chrF of `attend evaluate` with sacreBLEU on the model's own translations.

  compare_bleu.py [MODEL FOLDER]      default: pretrained/en-ko

Scores agree to the last printed digit (here: to 1e-9), signatures are equal. Exit code 0: equal, 1: differences are
printed.
"""
import argparse
import sys
import tempfile

import sacrebleu

from comparison import VALIDATION, Tally, attend_json, model_folder, sentence_pairs

TOKENIZERS = ["13a", "intl", "char", "zh", "none"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?")
    arguments = parser.parse_args()
    tally = Tally()
    with tempfile.TemporaryDirectory() as scratch:
        model = model_folder(arguments.model, scratch)
        pairs = sentence_pairs(None)
        for to, source, target in (("ko", 0, 1), ("en", 1, 0)):
            options = ("--model", model, "--to", to, "--beam", 1, "--max-new-tokens", 60)
            sources, references = [[pair[i] for pair in pairs] for i in (source, target)]
            answers = attend_json("translate", *options, "--json", text="\n".join(sources) + "\n")
            hypotheses = [answer["text"] for answer in answers]
            tally.check(len(hypotheses) == len(references), f"to {to}: {len(hypotheses)} of {len(references)} answers")
            for tokenizer in TOKENIZERS:
                ours = attend_json("evaluate", *options, "--data", VALIDATION, "--source", source + 1, "--target",
                                   target + 1, "--tokenize", tokenizer, "--json")[0]
                bleu = sacrebleu.BLEU(tokenize=tokenizer)
                compare(tally, ours, "bleu", f"to {to}, {tokenizer}", bleu, hypotheses, references)
            compare(tally, ours, "chrf", f"to {to}", sacrebleu.CHRF(), hypotheses, references)
    return tally.exit_code()


def compare(tally, ours, name, what, metric, hypotheses, references):
    theirs = metric.corpus_score(hypotheses, [references])
    tally.check(abs(ours[name] - theirs.score) <= 1e-9, f"{name} {what}: ours {ours[name]}, theirs {theirs.score}")
    signature = str(metric.get_signature())
    print(f"{name} {what}: {theirs.score:.4f}")
    tally.check(ours[name + "_signature"] == signature,
                f"{name} {what}: ours {ours[name + '_signature']}, theirs {signature}")


if __name__ == "__main__":
    sys.exit(main())
