"""A training step of PyTorch at the shapes of `attend bench --train`: a worker for training.py.

usage: torch_training.py SHAPE eager|compile f32|bf16 STEPS
"""
import os
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

from workers import peak_memory_mb, reset_peak_memory, serve


class Attention(nn.Module):
    """Multi-head attention with fused projections and PyTorch's fused kernel."""

    def __init__(self, width, heads, causal=False, cross=False):
        super().__init__()
        self.heads, self.causal, self.cross = heads, causal, cross
        self.project = nn.Linear(width, width if cross else 3 * width)
        self.project_memory = nn.Linear(width, 2 * width) if cross else None
        self.out = nn.Linear(width, width)

    def split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x, memory=None):
        if self.cross:
            query = self.project(x)
            key, value = self.project_memory(memory).chunk(2, dim=-1)
        else:
            query, key, value = self.project(x).chunk(3, dim=-1)
        mixed = F.scaled_dot_product_attention(*map(self.split, (query, key, value)), is_causal=self.causal)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Pre-norm: x + f(norm(x)) for attention, attention to an encoder, feed-forward."""

    def __init__(self, width, heads, hidden, activation, causal=False, cross=False):
        super().__init__()
        self.attention_norm, self.attention = nn.LayerNorm(width), Attention(width, heads, causal)
        self.cross_norm = nn.LayerNorm(width) if cross else None
        self.cross = Attention(width, heads, cross=True) if cross else None
        self.ffn_norm = nn.LayerNorm(width)
        self.ffn = nn.Sequential(nn.Linear(width, hidden), activation, nn.Linear(hidden, width))

    def forward(self, x, memory=None):
        x = x + self.attention(self.attention_norm(x))
        if self.cross is not None:
            x = x + self.cross(self.cross_norm(x), memory)
        return x + self.ffn(self.ffn_norm(x))


class Gpt(nn.Module):
    def __init__(self, vocab, context, layers, width, heads):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocab, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(
            Block(width, heads, 4 * width, nn.GELU("tanh"), causal=True) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, ids, labels):
        x = self.tokens(ids) + self.positions.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.norm(x), self.tokens.weight)
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten())


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, layers, width, heads, hidden):
        super().__init__()
        self.scale = width**0.5
        self.tokens = nn.Embedding(vocab, width)
        self.register_buffer("positions", torch.randn(512, width))
        stack = lambda **kinds: nn.ModuleList(Block(width, heads, hidden, nn.ReLU(), **kinds) for _ in range(layers))
        self.encoder, self.decoder = stack(), stack(causal=True, cross=True)
        self.encoder_norm, self.decoder_norm = nn.LayerNorm(width), nn.LayerNorm(width)

    def embed(self, ids):
        return self.tokens(ids) * self.scale + self.positions[: ids.shape[1]]

    def forward(self, source, target, labels):
        memory = self.embed(source)
        for block in self.encoder:
            memory = block(memory)
        memory, x = self.encoder_norm(memory), self.embed(target)
        for block in self.decoder:
            x = block(x, memory)
        logits = F.linear(self.decoder_norm(x), self.tokens.weight)
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), label_smoothing=0.1)


class Bert(nn.Module):
    def __init__(self):
        from transformers import BertConfig, BertForSequenceClassification

        super().__init__()
        self.bert = BertForSequenceClassification(BertConfig(attn_implementation="sdpa"))

    def forward(self, ids, labels):
        return self.bert(input_ids=ids, labels=labels).loss


def ids(vocab, *sizes):
    return torch.randint(0, vocab, sizes)


def model_and_batch(shape):
    if shape == "gpt2":
        return Gpt(50257, 1024, 12, 768, 12), (ids(50257, 4, 256), ids(50257, 4, 256))
    if shape == "gpt":
        return Gpt(8192, 256, 6, 384, 6), (ids(8192, 16, 256), ids(8192, 16, 256))
    if shape == "encoder-decoder":
        return EncoderDecoder(16000, 4, 256, 4, 1024), tuple(ids(16000, 32, 64) for _ in range(3))
    if shape == "bert":
        return Bert(), (ids(30522, 16, 128), ids(2, 16))
    sys.exit(f"no shape {shape}")


def main():
    shape, mode, dtype, steps = *sys.argv[1:4], int(sys.argv[4])
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.manual_seed(0)
    model, batch = model_and_batch(shape)
    model.train()
    if hasattr(model, "tokens"):
        nn.init.normal_(model.tokens.weight, std=0.02)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    run = torch.compile(model) if mode == "compile" else model

    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bf16"):
            loss = run(*batch)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    def timed(_):
        reset_peak_memory()
        start = time.perf_counter()
        for _ in range(steps):
            step()
        return [(time.perf_counter() - start) / steps, peak_memory_mb()]

    for _ in range(2):
        step()
    serve(timed)


if __name__ == "__main__":
    main()
