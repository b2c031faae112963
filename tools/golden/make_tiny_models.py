#!/usr/bin/env python3
"""Makes the tiny random models of the golden tests and their reference logits.

    python3 -m pip install -r tools/golden/requirements.txt
    python3 tools/golden/make_tiny_models.py tests/data/golden

Run by hand. Everything follows from the seeds below. For each case it writes CASE.gguf, CASE.logits.bin (float32,
little endian, [tokens, vocabulary]) and CASE.json. The logits are Hugging Face transformers' in float64. Then
llama-cpp-python loads the file and its distance from the reference is recorded: that checks the conversion.
"""

import argparse
import ctypes
import json
import pathlib

import gguf
import llama_cpp
import numpy as np
import torch
import transformers
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

import float64_reference
import gguf_export

PROMPT_TOKENS = 48
BLOCK_32_TYPES = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "IQ4_NL", "MXFP4"]
BLOCK_256_TYPES = ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_XS"]


def llama(rope=None, **sizes):
    shape = dict(
        vocab_size=288, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=32, max_position_embeddings=2048, rms_norm_eps=1e-5, tie_word_embeddings=False,
    )  # fmt: skip
    rope = {"rope_theta": 10_000.0, "rope_type": "default"} | (rope or {})
    return LlamaForCausalLM, LlamaConfig(**(shape | sizes), rope_parameters=rope, attn_implementation="eager")


def qwen2():
    return Qwen2ForCausalLM, Qwen2Config(
        vocab_size=286, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=2048, rms_norm_eps=1e-6, tie_word_embeddings=True,
        rope_parameters={"rope_theta": 1_000_000.0, "rope_type": "default"}, attn_implementation="eager",
    )  # fmt: skip


def qwen3():
    return Qwen3ForCausalLM, Qwen3Config(
        vocab_size=286, hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=32, max_position_embeddings=2048, rms_norm_eps=1e-6, tie_word_embeddings=False,
        rope_parameters={"rope_theta": 1_000_000.0, "rope_type": "default"}, attn_implementation="eager",
    )  # fmt: skip


def gemma3(full=None, sliding_theta=5_000.0, **overrides):
    shape = dict(
        vocab_size=288, hidden_size=32, intermediate_size=64, num_hidden_layers=7, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, query_pre_attn_scalar=16, sliding_window=16, max_position_embeddings=2048,
        rms_norm_eps=1e-6, tie_word_embeddings=True,
    )  # fmt: skip
    rope = {
        "full_attention": {"rope_theta": 1_000_000.0, "rope_type": "default"} | (full or {}),
        "sliding_attention": {"rope_theta": sliding_theta, "rope_type": "default"},
    }
    return Gemma3ForCausalLM, Gemma3TextConfig(
        **(shape | overrides), rope_parameters=rope, attn_implementation="eager"
    )


PLAIN = {"rope_type": "default"}
LINEAR = {"rope_type": "linear", "factor": 4.0}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512}
LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 128,
}  # fmt: skip


def cases():
    """name -> (seed, the model, models with one feature taken away: the logits must notice)."""
    big = dict(hidden_size=64, intermediate_size=96, num_attention_heads=4, num_key_value_heads=2, head_dim=16)
    return {
        "llama": (1, llama(**big), {}),
        "llama_rope_linear": (2, llama(LINEAR), {"rope scaling": llama(PLAIN)}),
        "llama_rope_llama3": (3, llama(LLAMA3), {"rope scaling": llama(PLAIN)}),
        "llama_rope_yarn": (
            4,
            llama(YARN),
            {"rope scaling": llama(PLAIN), "yarn's attention factor": llama(YARN | {"attention_factor": 1.0})},
        ),
        "qwen2": (5, qwen2(), {}),
        "qwen3": (6, qwen3(), {}),
        "gemma3": (
            7,
            gemma3(),
            {
                "window": gemma3(sliding_window=1024),
                "window of 16, not 17": gemma3(sliding_window=17),
                "base of the windowed layers": gemma3(sliding_theta=10_000.0),
            },
        ),
        "gemma3_rope_linear": (
            8,
            gemma3({"rope_type": "linear", "factor": 8.0}, 10_000.0, num_hidden_layers=6),
            {
                "rope scaling": gemma3(None, 10_000.0, num_hidden_layers=6),
                "base of the windowed layers": gemma3(
                    {"rope_type": "linear", "factor": 8.0}, 1_000_000.0, num_hidden_layers=6
                ),
            },
        ),
        "gemma3_softcap": (
            9,
            gemma3(num_hidden_layers=2, final_logit_softcapping=3.0),
            {"final cap": gemma3(num_hidden_layers=2)},
        ),
    }


def quantised_cases():
    """name -> (seed, model, type). Inner dimensions span several blocks of 32 and two superblocks of 256."""
    small = dict(vocab_size=64, hidden_size=128, intermediate_size=160, num_hidden_layers=1, num_attention_heads=4)
    large = dict(vocab_size=64, hidden_size=256, intermediate_size=512, num_hidden_layers=1, num_attention_heads=4)
    result = {}
    for type_name in BLOCK_32_TYPES:
        result[f"llama_{type_name.lower()}"] = (20, llama(**small, num_key_value_heads=2, head_dim=32), type_name)
    for type_name in BLOCK_256_TYPES:
        result[f"llama_{type_name.lower()}"] = (21, llama(**large, num_key_value_heads=1, head_dim=64), type_name)
    return result


def random_state(model_class, config, seed):
    """Random float32 weights for which every part matters: peaked attention, biases and norms not trivial."""
    random = np.random.default_rng(seed)
    gemma = config.model_type == "gemma3_text"
    state = {}
    for name, tensor in model_class(config).state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        noise = random.standard_normal(tuple(tensor.shape))
        if "norm" in name:
            array = noise * 0.2 + (0 if gemma else 1)
        elif name.endswith(".bias"):
            array = noise * 0.5
        elif name in ("model.embed_tokens.weight", "lm_head.weight"):
            output = name == "lm_head.weight" or config.tie_word_embeddings
            array = noise * (2 / np.sqrt(config.hidden_size) if output else 1)
        else:
            peaked = name.endswith(("q_proj.weight", "k_proj.weight"))
            array = noise * (1.5 if peaked else 1) / np.sqrt(tensor.shape[1])
        state[name] = array.astype(np.float32)
    return state


def quantiser():
    """quantise(array, type) by ggml, whose library llama-cpp-python carries."""
    folder = pathlib.Path(llama_cpp.__file__).parent / "lib"
    ggml = ctypes.CDLL(str(next(folder.glob("libggml-base.so"))))
    ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
    ggml.ggml_quantize_chunk.argtypes = [
        ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p,
    ]  # fmt: skip

    def quantise(array, kind):
        if kind in (gguf.GGMLQuantizationType.F16, gguf.GGMLQuantizationType.BF16):
            return gguf.quants.quantize(array, kind)
        rows, columns = array.shape
        block, bytes_each = gguf.GGML_QUANT_SIZES[kind]
        data = np.empty((rows, columns // block * bytes_each), dtype=np.uint8)
        written = ggml.ggml_quantize_chunk(kind, array.ctypes.data, data.ctypes.data, 0, rows, columns, None)
        assert written == data.size, (kind, written, data.size)
        return data

    return quantise


def peer_logits(path, token_ids):
    """llama-cpp-python's logits with an F32 cache."""
    peer = llama_cpp.Llama(
        str(path), n_ctx=64, n_batch=64, logits_all=True, n_threads=1, type_k=llama_cpp.GGML_TYPE_F32,
        type_v=llama_cpp.GGML_TYPE_F32, flash_attn=False, verbose=False,
    )  # fmt: skip
    peer.eval(token_ids)
    return np.array(peer.scores[: len(token_ids)], dtype=np.float64)


def rms(values):
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def distance(left, right):
    return {"max": float(np.abs(left - right).max()), "rms": rms(left - right)}


def round_figures(value):
    if isinstance(value, dict):
        return {key: round_figures(item) for key, item in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def write_case(folder, name, seed, model, type_name="F32", quantise=None, without=None):
    model_class, config = model
    path = folder / f"{name}.gguf"
    state = random_state(model_class, config, seed)
    title = f"Octavo golden {name}, random weights"
    read_back = gguf_export.write_model(str(path), title, config, state, type_name, quantise)
    token_ids = np.random.default_rng(1000 + seed).integers(0, config.vocab_size, PROMPT_TOKENS).tolist()
    logits = float64_reference.logits_float64(model_class, config, read_back, token_ids)
    single = float64_reference.logits_float32(model_class, config, read_back, token_ids)
    logits.astype("<f4").tofile(folder / f"{name}.logits.bin")
    record = {
        "model": path.name,
        "logits": f"{name}.logits.bin",
        "shape": list(logits.shape),
        "weight_type": type_name,
        "token_ids": token_ids,
        "logits_rms": rms(logits),
        "logits_max_abs": float(np.abs(logits).max()),
        "error_of_transformers_float32": distance(single, logits),
        "error_of_llama_cpp": distance(peer_logits(path, token_ids), logits),
        "change_without": {
            feature: distance(float64_reference.logits_float64(*other, read_back, token_ids), logits)
            for feature, other in (without or {}).items()
        },
    }
    (folder / f"{name}.json").write_text(json.dumps(round_figures(record)) + "\n")
    figures = {key: round_figures(record[key]) for key in record if key not in ("token_ids", "model", "logits")}
    print(f"{name}: {path.stat().st_size} bytes, {json.dumps(figures)}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="where the files go: tests/data/golden")
    parser.add_argument("--only", help="make only the cases whose name contains this")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    for name, (seed, model, without) in cases().items():
        if not options.only or options.only in name:
            write_case(options.folder, name, seed, model, without=without)
    quantise = quantiser()
    for name, (seed, model, type_name) in quantised_cases().items():
        if not options.only or options.only in name:
            write_case(options.folder, name, seed, model, type_name, quantise)


if __name__ == "__main__":
    main()
