#!/usr/bin/env python3
"""Compares a translator's folder, as attend runs it, with transformers and CTranslate2.

  compare_translation.py [MODEL FOLDER] [--sentences N]      default: pretrained/en-ko, 60 sentences each way

- AutoTokenizer gives the same ids.
- MarianMTModel gives the same logits and hidden states as `attend forward` (1e-4), and opens the folder as float16 and
  as float32.
- MarianMTModel.generate() and CTranslate2 give the same translations as `attend translate`, greedily and with four
  beams. Where two tokens (greedy) or two whole answers (beams) are closer than 1e-4 in log-probability, either one is
  right; such ties are counted and shown.

Exit code 0: equal, 1: differences are printed.
"""
import argparse
import json
import logging
import sys
import tempfile
from pathlib import Path

import ctranslate2
import torch
from ctranslate2.converters import TransformersConverter
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, MarianMTModel
from transformers.utils import logging as transformers_logging

from comparison import Tally, attend, attend_json, model_folder, sentence_pairs

MOST_TOKENS = 60
TOLERANCE = 1e-4
TIE = 1e-4


class Theirs:
    """The folder as transformers opens it."""

    def __init__(self, folder):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = MarianMTModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        config = self.model.config
        self.pad, self.eos, self.start = config.pad_token_id, config.eos_token_id, config.decoder_start_token_id

    def batch(self, sequences):
        """Ids and mask, padded on the right."""
        length = max(map(len, sequences))
        ids = torch.tensor([s + [self.pad] * (length - len(s)) for s in sequences])
        mask = torch.tensor([[1] * len(s) + [0] * (length - len(s)) for s in sequences])
        return ids, mask

    @torch.no_grad()
    def generate(self, sources, beams, early_stopping):
        ids, mask = self.batch(sources)
        rows = self.model.generate(
            input_ids=ids, attention_mask=mask, num_beams=beams, early_stopping=early_stopping and beams > 1,
            max_new_tokens=MOST_TOKENS, do_sample=False, length_penalty=1.0,
        )
        return [self.answer(row.tolist()) for row in rows]

    def answer(self, row):
        """Without start token and padding."""
        row = row[1:]
        return row[: row.index(self.eos) + 1] if self.eos in row else row

    @torch.no_grad()
    def log_probs(self, source, answer):
        """Of every token of the vocabulary at every place of the answer, padding forbidden as generate() does."""
        logits = self.model(
            input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([[self.start, *answer[:-1]]])
        ).logits[0]
        logits[:, self.pad] = float("-inf")
        return logits.log_softmax(-1)

    def score(self, source, answer):
        """What a beam search ranks by: the mean log-probability."""
        log_probs = self.log_probs(source, answer)
        return sum(log_probs[i, token].item() for i, token in enumerate(answer)) / len(answer)

    def gap(self, source, ours, theirs, beams):
        """How far apart in log-probability two answers are, where they part (greedy) or as a whole."""
        if beams > 1:
            return abs(self.score(source, ours) - self.score(source, theirs))
        place = next(i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b)
        at = self.log_probs(source, ours)[place]
        return abs(at[ours[place]] - at[theirs[place]]).item()


def compare_answers(tally, theirs, what, beams, sources, ours, answers):
    ties = []
    for source, a, b in zip(sources, ours, answers, strict=True):
        if a == b:
            tally.check(True, what)
            continue
        gap = theirs.gap(source, a, b, beams)
        text = [theirs.tokenizer.decode(ids, skip_special_tokens=True) for ids in (a, b)]
        if tally.check(gap < TIE, f"{what}: ours {text[0]!r} {a}, theirs {text[1]!r} {b}, {gap:.2e} apart"):
            ties.append(f"    {text[0]!r} and {text[1]!r} are {gap:.1e} apart")
    print("\n".join([f"{what}: {len(sources)} answers, {len(ties)} ties", *ties]))


def compare_translations(tally, theirs, converted, model, to, sentences):
    sources = [theirs.tokenizer(f">>{to}<<{sentence}").input_ids for sentence in sentences]
    source_tokens = [theirs.tokenizer.convert_ids_to_tokens(ids) for ids in sources]
    for beams, early in ((1, False), (4, False), (4, True)):
        answers = attend_json(
            "translate", "--model", model, "--to", to, "--beam", beams, "--early-stopping", str(early).lower(),
            "--length-penalty", 1, "--max-new-tokens", MOST_TOKENS, "--no-split-sentences", "--json",
            text="\n".join(sentences) + "\n",
        )
        if not tally.check(len(answers) == len(sentences), f"to {to}: {len(answers)} of {len(sentences)} answers"):
            return
        for source, answer in zip(sources, answers):
            read = [token["id"] for token in answer["source_tokens"]]
            tally.check(read == source, f"ids of {answer['source']!r}: ours {read}, theirs {source}")
        ours = [[token["id"] for token in answer["tokens"]] for answer in answers]
        what = f"to {to}, {beams} beams" + (", early stopping" if early else "")
        compare_answers(tally, theirs, f"transformers {what}", beams, sources, ours,
                        theirs.generate(sources, beams, early))
        if beams > 1 and not early:
            continue  # CTranslate2 stops as early_stopping=True does
        results = converted.translate_batch(
            source_tokens, beam_size=beams, length_penalty=1, max_decoding_length=MOST_TOKENS, return_end_token=True
        )
        hypotheses = [theirs.tokenizer.convert_tokens_to_ids(result.hypotheses[0]) for result in results]
        # CTranslate2 does not force an end where the length is used up.
        ended = [i for i, ids in enumerate(hypotheses) if ids[-1] == theirs.eos and len(ours[i]) < MOST_TOKENS]
        tally.check(2 * len(ended) >= len(ours), f"CTranslate2 {what}: only {len(ended)} answers end by themselves")
        rows = [[column[i] for i in ended] for column in (sources, ours, hypotheses)]
        compare_answers(tally, theirs, f"CTranslate2 {what}", beams, *rows)


def compare_forward(tally, theirs, model, to, pairs, scratch):
    """Logits, hidden states and attention weights on the references, sequences of different lengths together."""
    source_ids, source_mask = theirs.batch([theirs.tokenizer(f">>{to}<<{source}").input_ids for source, _ in pairs])
    targets = [theirs.tokenizer(target).input_ids for _, target in pairs]
    target_ids, target_mask = theirs.batch([[theirs.start, *ids[:-1]] for ids in targets])
    inputs = {"input_ids": source_ids, "attention_mask": source_mask,
              "decoder_input_ids": target_ids, "decoder_attention_mask": target_mask}
    save_file(inputs, Path(scratch, "inputs.safetensors"))
    attend("forward", "--model", model, "--inputs", Path(scratch, "inputs.safetensors"),
           "--output", Path(scratch, "outputs.safetensors"), "--hidden", "--attentions")
    ours = load_file(Path(scratch, "outputs.safetensors"))
    with torch.no_grad():
        out = theirs.model(**inputs, output_hidden_states=True, output_attentions=True)
    expected = {"out.logits": out.logits, "out.encoder_last_hidden_state": out.encoder_last_hidden_state}
    for name in ("encoder_hidden_states", "decoder_hidden_states", "encoder_attentions", "decoder_attentions",
                 "cross_attentions"):
        expected |= {f"out.{name}.{i}": value for i, value in enumerate(getattr(out, name))}
    for name, value in expected.items():
        if not tally.check(name in ours, f"to {to}: {name} is missing"):
            continue
        rows = (source_mask if ".encoder" in name else target_mask).bool()
        if "attentions" in name:  # heads before rows
            mine, value = ours[name].transpose(1, 2)[rows], value.transpose(1, 2)[rows]
        else:
            mine, value = ours[name][rows], value[rows]
        if name == "out.logits":  # the padding token's -10000 has its own scale
            mine, value = mine[:, : theirs.pad], value[:, : theirs.pad]
        worst = (mine - value).abs().max().item()
        tally.check(worst <= TOLERANCE, f"to {to}: {name} differs by {worst:.1e}")
        if name == "out.logits":
            print(f"to {to}: logits of {mine.shape[0]} tokens differ by at most {worst:.1e}")


def compare_types(tally, folder):
    """The folder opens in both types, and halves that were written are the floats that are read."""
    stored = {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}
    tally.check("final_logits_bias" in stored, "final_logits_bias is written")
    for dtype in (torch.float16, torch.float32):
        model = MarianMTModel.from_pretrained(folder, dtype=dtype)
        state = model.state_dict()
        types = {tensor.dtype for tensor in state.values()}
        tally.check(types == {dtype}, f"opened as {dtype}: tensors are {types}")
        for name, tensor in stored.items():
            tally.check(torch.equal(state[name], tensor.to(dtype)), f"{name} as {dtype}")
        tally.check(all(tensor.isfinite().all() for tensor in state.values()), f"all of {dtype} is finite")
    kept = json.loads(Path(folder, "config.json").read_text(encoding="utf-8"))["dtype"]
    types = {str(tensor.dtype) for tensor in stored.values()}
    tally.check(types == {f"torch.{kept}"}, f"config.json says {kept}, the file has {types}")
    print(f"{folder}: {kept}, opens as float16 and float32")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--sentences", type=int, default=60)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)  # which of max_length and max_new_tokens goes first
    transformers_logging.disable_progress_bar()
    tally = Tally()
    with tempfile.TemporaryDirectory() as scratch:
        folder = model_folder(arguments.model, scratch)
        compare_types(tally, folder)
        theirs = Theirs(folder)
        TransformersConverter(str(folder)).convert(str(Path(scratch, "converted")))
        converted = ctranslate2.Translator(str(Path(scratch, "converted")), device="cpu", compute_type="float32")
        pairs = sentence_pairs(arguments.sentences)
        for to, source, target in (("ko", 0, 1), ("en", 1, 0)):
            both = [(pair[source], pair[target]) for pair in pairs]
            compare_forward(tally, theirs, folder, to, both[:12], scratch)
            compare_translations(tally, theirs, converted, folder, to, [text for text, _ in both])
    return tally.exit_code()


if __name__ == "__main__":
    sys.exit(main())
