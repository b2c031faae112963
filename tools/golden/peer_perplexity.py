#!/usr/bin/env python3
"""Perplexity by llama.cpp, computed as its perplexity tool computes it.

    head -c 65536 wiki.test.raw > text
    python3 tools/golden/peer_perplexity.py MODEL.gguf text tests/data/golden/NAME_perplexity.json

Run by hand with the versions in requirements.txt. The whole text is tokenized once, special tokens not parsed, BOS
first where the model's metadata says so; a single newline at the end of the text is dropped. The tokens are cut into
chunks of n_ctx, the rest is left out. Each chunk is one prompt at positions from 0; where the model wants BOS, it
replaces the chunk's first token. The logits at positions n_ctx / 2 to n_ctx - 2 are scored, each against the token
that follows; the perplexity is exp(mean of -log p) over all chunks. K and V are F16.
"""

import argparse
import hashlib
import importlib.metadata
import json
import math
import pathlib

import llama_cpp
import numpy as np


def negative_log_likelihoods(llm, chunk):
    """-log p(chunk[i + 1] | chunk[: i + 1]) for the scored positions i."""
    first = len(chunk) // 2
    llm.reset()
    llm.eval(chunk)
    logits = np.array(llm.scores[first : len(chunk) - 1], dtype=np.float64)
    top = logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
    return log_sum - logits[np.arange(len(logits)), chunk[first + 1 :]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("text", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--n-ctx", type=int, default=512)
    options = parser.parse_args()
    llm = llama_cpp.Llama(
        str(options.model), n_ctx=options.n_ctx, n_batch=options.n_ctx, n_ubatch=options.n_ctx, n_threads=2,
        n_threads_batch=2, logits_all=True, flash_attn=False, verbose=False,
    )  # fmt: skip
    text = options.text.read_bytes()
    tokens = llm.tokenize(text.removesuffix(b"\n"), add_bos=True, special=False)
    bos_first = llm.metadata.get("tokenizer.ggml.add_bos_token", "true") == "true"
    chunks = len(tokens) // options.n_ctx
    scores = []
    for index in range(chunks):
        chunk = tokens[index * options.n_ctx : (index + 1) * options.n_ctx]
        if bos_first:
            chunk[0] = llm.token_bos()
        scores.append(negative_log_likelihoods(llm, chunk))
        print(f"[{index + 1}/{chunks}] {math.exp(np.concatenate(scores).mean()):.4f}", flush=True)
    everything = np.concatenate(scores)
    perplexity = math.exp(everything.mean())
    record = {
        "model": options.model.name,
        "model_sha256": hashlib.sha256(options.model.read_bytes()).hexdigest(),
        "text_bytes": len(text),
        "text_sha256": hashlib.sha256(text).hexdigest(),
        "made_by": "llama-cpp-python " + importlib.metadata.version("llama-cpp-python"),
        "command": f"peer_perplexity.py {options.model.name} {options.text.name} OUTPUT --n-ctx {options.n_ctx}",
        "cache_type": "F16",
        "n_ctx": options.n_ctx,
        "bos_replaces_first_token": bos_first,
        "tokens": len(tokens),
        "first_tokens": tokens[:16],
        "last_tokens": tokens[-16:],
        "chunks": chunks,
        "scored_tokens": len(everything),
        "perplexity": round(perplexity, 4),
        "standard_error": round(perplexity * everything.std(ddof=1) / math.sqrt(len(everything)), 4),
        "perplexity_of_each_chunk": [round(math.exp(score.mean()), 4) for score in scores],
    }
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in record.items())
    options.output.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    print(f"perplexity {perplexity:.4f} over {len(everything)} tokens of {chunks} chunks")


if __name__ == "__main__":
    main()
