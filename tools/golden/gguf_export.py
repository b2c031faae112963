"""Writes a Hugging Face model as GGUF, following the conventions that published GGUF files follow.

The facts kept here: tensor names come from the gguf package's own map; the llama architecture stores the rows of Q and
K so that each rotary pair is adjacent; gemma3 stores its norms with the 1 already added; llama3's rope scaling is a
tensor of divisors, the other scalings are metadata; one-dimensional tensors stay F32 whatever the type of the others.
"""

import math

import gguf
import numpy as np

ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "gemma3_text": gguf.MODEL_ARCH.GEMMA3,
}
FILE_TYPES = {
    "F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K": 12, "Q4_K": 15,
    "Q5_K": 17, "Q6_K": 18, "IQ4_NL": 25, "IQ4_XS": 30, "BF16": 32, "MXFP4": 38,
}  # fmt: skip


def pair_rows(weight, heads):
    """Reorders the rows of each head from halves (i, i + d/2) to adjacent pairs (2i, 2i + 1)."""
    rows = weight.shape[0]
    return weight.reshape(heads, 2, rows // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def halve_rows(weight, heads):
    """The inverse of pair_rows."""
    rows = weight.shape[0]
    return weight.reshape(heads, rows // heads // 2, 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def to_gguf_array(config, name, array):
    if config.model_type == "llama" and name.endswith("q_proj.weight"):
        return pair_rows(array, config.num_attention_heads)
    if config.model_type == "llama" and name.endswith("k_proj.weight"):
        return pair_rows(array, config.num_key_value_heads)
    if config.model_type == "gemma3_text" and name.endswith("norm.weight"):
        return array + np.float32(1)
    return array


def from_gguf_array(config, name, array):
    if config.model_type == "llama" and name.endswith("q_proj.weight"):
        return halve_rows(array, config.num_attention_heads)
    if config.model_type == "llama" and name.endswith("k_proj.weight"):
        return halve_rows(array, config.num_key_value_heads)
    if config.model_type == "gemma3_text" and name.endswith("norm.weight"):
        return array - np.float32(1)
    return array


def llama3_divisors(config, rope):
    """What each rotary frequency is divided by; the middle band is blended between 1 and the factor."""
    frequencies = rope["rope_theta"] ** -(np.arange(0, config.head_dim, 2) / config.head_dim)
    old_context = rope["original_max_position_embeddings"]
    low, high, factor = rope["low_freq_factor"], rope["high_freq_factor"], rope["factor"]
    divisors = []
    for frequency in frequencies:
        turns = old_context * frequency / (2 * math.pi)
        smooth = min(max((turns - low) / (high - low), 0.0), 1.0)
        divisors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(divisors, dtype=np.float32)


def write_rope(writer, config):
    rope = config.rope_parameters
    if config.model_type == "gemma3_text":
        # The base of the windowed layers is written only where it is not the format's default.
        if rope["sliding_attention"]["rope_theta"] != 10_000.0:
            writer.add_rope_freq_base_swa(rope["sliding_attention"]["rope_theta"])
        rope = rope["full_attention"]
    writer.add_rope_freq_base(rope["rope_theta"])
    if config.model_type == "llama":
        writer.add_rope_dimension_count(config.head_dim)
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    elif rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    elif rope["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_divisors(config, rope))
    else:
        assert rope["rope_type"] == "default", rope


def write_hyperparameters(writer, config, type_name):
    writer.add_file_type(FILE_TYPES[type_name])
    writer.add_quantization_version(2)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if config.model_type != "qwen2":
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    if config.model_type == "llama":
        writer.add_vocab_size(config.vocab_size)
    if config.model_type == "gemma3_text":
        writer.add_sliding_window(config.sliding_window)
        if config.final_logit_softcapping:
            writer.add_final_logit_softcapping(config.final_logit_softcapping)


def byte_to_letter():
    """The printable stand-in for each byte that byte-level BPE vocabularies use."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}


def write_sentencepiece_vocabulary(writer, size, bos_first, add_space):
    """Three special tokens, then the 256 bytes where they fit, then letters, commonest first."""
    specials = ["<unk>", "<s>", "</s>"]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    pieces = [f"<0x{byte:02X}>" for byte in range(256)] if size >= 259 else []
    kinds += [gguf.TokenType.BYTE] * len(pieces)
    letters = list("▁etaoinshrdlucmfwypvbgkjqxzETAOINSHRDLUCMFWYPVBGKJQXZ.,:;!?-'0123456789")
    letters = letters[: size - len(specials) - len(pieces)]
    kinds += [gguf.TokenType.NORMAL] * len(letters)
    tokens = specials + pieces + letters
    assert len(tokens) == size, (len(tokens), size)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * (len(tokens) - len(letters)) + [-1.0 - i for i in range(len(letters))])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(bos_first)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(add_space)


def write_byte_level_vocabulary(writer, size, pre):
    """The 256 bytes, then merges, then two special tokens."""
    letters = list(byte_to_letter().values())
    pairs = "Ġ t|h e|i n|Ġt he|a n|e r|Ġ a|o n|r e|Ġ s|a t|e n|n d|Ġ w|o r|Ġ o|i s|i t|e s|Ġ c|o u|in g|Ġ in|e d|a l"
    merges = (pairs + "|a r|Ġa nd|Ġ b").split("|")
    merges = merges[: size - len(letters) - 2]
    tokens = letters + [pair.replace(" ", "") for pair in merges] + ["<|endoftext|>", "<|im_end|>"]
    assert len(set(tokens)) == size, (len(set(tokens)), size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * (size - 2) + [gguf.TokenType.CONTROL] * 2)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(size - 1)
    writer.add_pad_token_id(size - 2)
    writer.add_add_bos_token(False)


def write_vocabulary(writer, config):
    if config.model_type in ("qwen2", "qwen3"):
        write_byte_level_vocabulary(writer, config.vocab_size, "qwen2")
    else:
        write_sentencepiece_vocabulary(
            writer, config.vocab_size, bos_first=True, add_space=config.model_type == "llama"
        )


def write_model(path, title, config, state, type_name="F32", quantise=None):
    """Writes the model; returns the float32 state as a reader of the file gets it back.

    quantise(array, type) gives the bytes of a two-dimensional tensor in a type other than F32.
    """
    architecture = ARCHITECTURES[config.model_type]
    names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[architecture])
    writer.add_name(title)
    writer.add_license("apache-2.0")
    write_hyperparameters(writer, config, type_name)
    write_rope(writer, config)
    write_vocabulary(writer, config)
    read_back = {}
    for name, array in state.items():
        target = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert target is not None, name
        array = np.ascontiguousarray(to_gguf_array(config, name, array), dtype=np.float32)
        if type_name == "F32" or array.ndim == 1:
            writer.add_tensor(target, array)
            read_back[name] = from_gguf_array(config, name, array)
        else:
            kind = gguf.GGMLQuantizationType[type_name]
            data = quantise(array, kind)
            writer.add_tensor(target, data, raw_dtype=kind)
            restored = gguf.quants.dequantize(data, kind).reshape(array.shape).astype(np.float32)
            read_back[name] = np.ascontiguousarray(from_gguf_array(config, name, restored))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return read_back
