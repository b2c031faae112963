"""Writes the trained model as GGUF: matrices as Q8_0, norms as F32, the tokenizer, the chat template.

    python export.py checkpoint.pt tokenizer.json octavo-demo.gguf
"""

import json
import sys

import gguf
import torch

import chats
from model import Shape

NAME = "Octavo demo 10M"
Q8_0_FILE = 7  # general.file_type


def write_hyperparameters(writer, shape):
    writer.add_name(NAME)
    writer.add_license("cc-by-sa-4.0")
    writer.add_description(
        "A small model trained by the Octavo project. Tells short children's stories; knows nothing for certain. "
        "Sources and attribution: models/README.md of the project."
    )
    writer.add_languages(["en"])
    writer.add_file_type(Q8_0_FILE)
    writer.add_quantization_version(2)
    writer.add_block_count(shape.layers)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_width)
    writer.add_value_length(shape.head_width)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_rope_freq_base(shape.rope_base)


def write_vocabulary(writer, path):
    with open(path) as file:
        model = json.load(file)["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    kinds = [gguf.TokenType.CONTROL if token in chats.SPECIAL_TOKENS else gguf.TokenType.NORMAL for token in tokens]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(merge) for merge in model["merges"]])
    writer.add_bos_token_id(tokens.index(chats.END_OF_TEXT))
    writer.add_eos_token_id(tokens.index(chats.END_OF_TEXT))
    writer.add_eot_token_id(tokens.index(chats.END_OF_TURN))
    writer.add_add_bos_token(True)
    writer.add_chat_template(chats.CHAT_TEMPLATE)


def write_tensors(writer, weights, layers):
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3, layers)
    for name, value in weights.items():
        target = names.get_name("model." + name, try_suffixes=(".weight",))
        assert target is not None, name
        array = value.float().numpy()
        if array.ndim == 1:
            writer.add_tensor(target, array)
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(target, gguf.quants.quantize(array, kind), raw_dtype=kind)


def main(checkpoint, tokenizer, output):
    saved = torch.load(checkpoint, map_location="cpu")
    shape = Shape(**saved["shape"])
    writer = gguf.GGUFWriter(output, "qwen3")
    write_hyperparameters(writer, shape)
    write_vocabulary(writer, tokenizer)
    write_tensors(writer, saved["weights"], shape.layers)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
