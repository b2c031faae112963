#!/usr/bin/env python3
"""Beam searches of Hugging Face transformers on the tiny models of make_tiny_models.py, in float64.

    python3 tools/golden/make_beam_texts.py tests/data/golden/beams.json

Run by hand with the versions in requirements.txt. Each search has several end tokens, so that beams end at different
lengths, and the models' own end tokens are suppressed (Octavo: ignore_eos). All its texts are kept, the best first, with
their scores and the smallest distance between the scores of two of them. A search with a near tie is left out: it
would be decided by rounding, and a tie by each program's own rule.
"""

import argparse
import json
import pathlib

import numpy as np
import torch
import transformers

import float64_reference
import make_tiny_models

END_OF_TEXT = {"llama": [2], "qwen3": [284, 285], "gemma3": [2]}
SMALLEST_GAP = 1e-4  # of two scores, in relation to them: far above what float32 arithmetic changes
SEARCHES = [
    dict(num_beams=1, length_penalty=1.0, early_stopping=False, max_new_tokens=12, ends=8),
    dict(num_beams=2, length_penalty=1.0, early_stopping=False, max_new_tokens=24, ends=8),
    dict(num_beams=4, length_penalty=1.0, early_stopping=True, max_new_tokens=24, ends=24),
    dict(num_beams=4, length_penalty=0.0, early_stopping=False, max_new_tokens=24, ends=24),
    dict(num_beams=6, length_penalty=2.0, early_stopping="never", max_new_tokens=20, ends=24),
    dict(num_beams=6, length_penalty=-1.0, early_stopping="never", max_new_tokens=20, ends=12),
    dict(num_beams=16, length_penalty=0.7, early_stopping=False, max_new_tokens=20, ends=12),
]


def search(model, name, seed, ends, **options):
    random = np.random.default_rng(seed)
    last = 283  # no special token of the three models is from 3 to here
    prompt = random.integers(3, last + 1, int(random.integers(3, 40))).tolist()
    end_tokens = sorted(random.choice(np.arange(3, last + 1), ends, replace=False).tolist())
    width = options["num_beams"]
    config = transformers.GenerationConfig(
        **options, do_sample=False, num_return_sequences=width, eos_token_id=end_tokens, pad_token_id=0,
        suppress_tokens=END_OF_TEXT[name], return_dict_in_generate=True, output_scores=True,
    )  # fmt: skip
    found = model.generate(torch.tensor([prompt]), generation_config=config)
    texts = []
    for row in found.sequences[:, len(prompt) :].tolist():
        end = next((i + 1 for i, token in enumerate(row) if token in end_tokens), options["max_new_tokens"])
        texts.append(row[:end])
    scores = found.sequences_scores.tolist() if width > 1 else [None]
    gaps = [float((a - b) / abs(a)) for a, b in zip(scores, scores[1:])] if width > 1 else []
    return {
        "model": name, "prompt": prompt, "end_tokens": end_tokens, **options, "texts": texts,
        "scores": [None if score is None else round(score, 9) for score in scores],
        "smallest_gap": float(f"{min(gaps):.3g}") if gaps else None,
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=pathlib.Path)
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    searches = []
    for name in END_OF_TEXT:
        seed, (model_class, config), _ = make_tiny_models.cases()[name]
        state = make_tiny_models.random_state(model_class, config, seed)
        with float64_reference.float64_everywhere(), torch.no_grad():
            model = float64_reference.build(model_class, config, state)
            for number, shape in enumerate(SEARCHES):
                entry = None
                for attempt in range(20):
                    entry = search(model, name, 1000 * attempt + 100 * seed + number, **shape)
                    if shape["num_beams"] == 1 or entry["smallest_gap"] > SMALLEST_GAP:
                        break
                searches.append(entry)
    lines = ",\n".join(json.dumps(entry) for entry in searches)
    options.output.write_text(f'{{"transformers": "{transformers.__version__}", "searches": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
