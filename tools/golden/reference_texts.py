#!/usr/bin/env python3
"""The exact logits along the texts of make_peer_texts.py: Hugging Face transformers in float64 on the same weights.

    python3 tools/golden/reference_texts.py MODEL.gguf NAME_peer.json NAME_reference.json

Run by hand with the versions in requirements.txt; transformers reads the GGUF file itself. For each prompt the model is
shown the peer's output, and at every step the two largest logits are kept, as [id, logit, id, logit], together with how
far the peer's logits of its own two ids lie from the exact ones.
"""

import argparse
import hashlib
import importlib.metadata
import json
import pathlib

import numpy as np
import torch
import transformers

import float64_reference


def exact_logits(model, entry):
    """Logits [output tokens, vocabulary] that chose each output token."""
    outputs = entry["output_ids"]
    tokens = torch.tensor([entry["prompt_ids"] + outputs[:-1]])
    return model(tokens, use_cache=False, logits_to_keep=len(outputs)).logits[0].numpy()


def compare(entry, logits):
    assert logits.dtype == np.float64
    rows = np.arange(len(logits))
    best = np.argsort(-logits, axis=1, kind="stable")[:, :2]
    peer = np.array(entry["top_two"]).reshape(-1, 2)  # one row for each [id, logit]
    peer_error = peer[:, 1] - logits[np.repeat(rows, 2), peer[:, 0].astype(int)]
    return {
        "name": entry["name"],
        "logits_rms": round(float(np.sqrt(np.mean(np.square(logits)))), 4),
        "peer_error": {
            "max": round(float(np.abs(peer_error).max()), 4),
            "rms": round(float(np.sqrt(np.mean(np.square(peer_error)))), 4),
        },
        "steps_where_peer_differs": np.flatnonzero(best[:, 0] != entry["output_ids"]).tolist(),
        "top_two": [
            [int(a), round(float(row[a]), 5), int(b), round(float(row[b]), 5)] for row, (a, b) in zip(logits, best)
        ],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("peer", type=pathlib.Path, help="the output of make_peer_texts.py")
    parser.add_argument("output", type=pathlib.Path)
    options = parser.parse_args()
    torch.set_num_threads(2)
    peer = json.loads(options.peer.read_text(encoding="utf-8"))
    assert peer["sha256"] == hashlib.sha256(options.model.read_bytes()).hexdigest(), "not the peer's model"
    results = []
    # The weights come as float32, which holds every dequantised value, and are widened when the model is rebuilt.
    loaded = transformers.AutoModelForCausalLM.from_pretrained(
        options.model.parent, gguf_file=options.model.name, dtype=torch.float32, attn_implementation="eager",
        quantization_config=transformers.GgufConfig(dequantize=True),
    )  # fmt: skip
    print(loaded.config)
    state = {name: tensor.numpy() for name, tensor in loaded.state_dict().items()}
    with float64_reference.float64_everywhere(), torch.no_grad():
        model = float64_reference.build(type(loaded), loaded.config, state)
        narrow = [name for name, buffer in model.named_buffers() if buffer.dtype == torch.float32]
        assert not narrow, narrow
        for entry in peer["entries"]:
            results.append(compare(entry, exact_logits(model, entry)))
            shown = {key: value for key, value in results[-1].items() if key != "top_two"}
            print(json.dumps(shown), flush=True)
    lines = ",\n".join(json.dumps(item) for item in results)
    head = json.dumps(
        {
            "model": options.model.name,
            "sha256": peer["sha256"],
            "made_by": "transformers " + importlib.metadata.version("transformers") + ", float64",
        },
        indent=0,
    )
    options.output.write_text(head.removesuffix("\n}") + f',\n"entries": [\n{lines}\n]\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
