"""Writes the logits test vector: the exported file's own weights, in float64, in PyTorch.

    python golden.py octavo-demo.gguf tokenizer.json ../../tests/data/golden
"""

import json
import sys
from pathlib import Path

import gguf
import torch
from tokenizers import Tokenizer

from model import Decoder
from train import SHAPE

TEXT = "<|endoftext|><|user|>Tell me a story about a cat.<|end|><|assistant|>Once upon a time, there was a cat"


def read_weights(path):
    """The file's tensors under the model's names, restored to floats."""
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3, SHAPE.layers)
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    weights = {}
    for name, parameter in Decoder(SHAPE).state_dict().items():
        tensor = tensors.pop(names.get_name("model." + name, try_suffixes=(".weight",)))
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        weights[name] = torch.from_numpy(values.copy()).reshape(parameter.shape)
    assert not tensors, tensors.keys()
    return weights


def main(model_path, tokenizer, folder):
    torch.set_default_dtype(torch.float64)  # for the rotary angles
    model = Decoder(SHAPE).double()
    model.load_state_dict(read_weights(model_path))
    tokens = Tokenizer.from_file(tokenizer).encode(TEXT).ids
    with torch.no_grad():
        logits = model(torch.tensor([tokens]))[0]
    logits.float().numpy().tofile(Path(folder) / "octavo_demo.logits.bin")
    description = {
        "model": "../../../models/octavo-demo.gguf",
        "logits": "octavo_demo.logits.bin",
        "shape": list(logits.shape),
        "weight_type": "Q8_0",
        "token_ids": tokens,
        "logits_rms": round(logits.square().mean().sqrt().item(), 4),
        "change_without": {},
    }
    (Path(folder) / "octavo_demo.json").write_text(json.dumps(description) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
