#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = ["gguf==0.19.0", "numpy==2.4.6"]
# ///
"""Makes the vectors that the quantised block types are tested against, with the PyPI package gguf.

Run by hand, in an environment with the packages named above, from anywhere:

    python3 tools/make_gguf_vectors.py

It writes, byte for byte the same each time,

    tests/data/dequantize/TYPE.bin  u32 number of blocks, the blocks, the floats they stand for
    tests/data/quantize/TYPE.bin    u32 number of blocks, the floats, the blocks made of them

where a block of F32, F16 and BF16 is one value. All numbers are little-endian.
"""

import pathlib
import struct

import gguf
import numpy as np

DATA = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data"
BLOCK_BYTES_WANTED = 1024  # of random blocks per type, about

# Where the half-precision scales lie in a block: their bytes must not be random, since an infinity
# or NaN there would make every value one.
SCALE_OFFSETS = {
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q8_0": [0],
    "Q2_K": [80, 82],
    "Q3_K": [108],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
    "IQ4_NL": [0],
    "IQ4_XS": [0],
    "MXFP4": [],
}
QUANTIZED = ["F16", "BF16", "Q4_0", "Q4_1", "Q8_0"]


def finite_halves(rng: np.random.Generator, count: int) -> np.ndarray:
    """Random bit patterns of finite half-precision numbers: subnormals and both zeros too."""
    magnitude = rng.integers(0, 0x7C00, count, dtype=np.uint16)
    magnitude[: min(count, 3)] = [0, 1, 0x7BFF][:count]
    sign = rng.integers(0, 2, count, dtype=np.uint16) << 15
    return magnitude | sign


def random_blocks(rng: np.random.Generator, name: str, block_bytes: int) -> np.ndarray:
    """Random blocks, of which the first two have all other bits clear and set."""
    count = BLOCK_BYTES_WANTED // block_bytes + 2
    blocks = rng.integers(0, 256, (count, block_bytes), dtype=np.uint8)
    blocks[0, :] = 0x00
    blocks[1, :] = 0xFF
    for offset in SCALE_OFFSETS[name]:
        scales = finite_halves(rng, count)
        rng.shuffle(scales)
        blocks[:, offset : offset + 2] = scales.view(np.uint8).reshape((count, 2))
    if name == "MXFP4":
        blocks[2:6, 0] = [0, 1, 2, 254]
    return blocks


def plain_values(rng: np.random.Generator, name: str) -> np.ndarray:
    """Values of the plain float types, as bytes; no NaN, whose bits conversions may change."""
    if name == "F32":
        return rng.standard_normal(64, dtype=np.float32).view(np.uint8)
    if name == "F16":
        return np.append(finite_halves(rng, 510), np.uint16([0x7C00, 0xFC00])).view(np.uint8)
    magnitude = rng.integers(0, 0x7F81, 512, dtype=np.uint16)  # 0x7F80 is infinity
    return (magnitude | rng.integers(0, 2, 512, dtype=np.uint16) << 15).view(np.uint8)


def floats_to_quantize(rng: np.random.Generator) -> np.ndarray:
    """Rows of 32 with a wide range of magnitudes, a row of zeros, constants, and exact ties."""
    rows = rng.standard_normal((30, 32), dtype=np.float32)
    rows *= np.float32(10.0) ** rng.integers(-6, 4, (30, 1)).astype(np.float32)
    rows[0] = 0.0
    rows[1] = 0.5
    rows[2] = -3.0
    rows[3] = np.arange(32, dtype=np.float32) - 16
    rows[4] = np.arange(32, dtype=np.float32) * np.float32(0.5) - 8
    rows[4, 31] = 127.0
    return rows


def write(folder: str, name: str, count: int, *parts: np.ndarray) -> None:
    path = DATA / folder / f"{name.lower()}.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<I", count) + b"".join(part.tobytes() for part in parts))
    print(f"{path.relative_to(DATA)}: {count} blocks")


def main() -> None:
    for name in ["F32", "F16", "BF16", *SCALE_OFFSETS]:
        rng = np.random.default_rng(sum(name.encode()))
        qtype = gguf.GGMLQuantizationType[name]
        block_elements, block_bytes = gguf.GGML_QUANT_SIZES[qtype]
        if name in SCALE_OFFSETS:
            blocks = random_blocks(rng, name, block_bytes)
        else:
            blocks = plain_values(rng, name).reshape((-1, block_bytes))
        with np.errstate(over="ignore"):
            floats = gguf.dequantize(blocks, qtype).astype(np.float32)
        assert floats.size == len(blocks) * block_elements
        assert not np.isnan(floats).any()
        write("dequantize", name, len(blocks), blocks, floats)

    for name in QUANTIZED:
        qtype = gguf.GGMLQuantizationType[name]
        rows = floats_to_quantize(np.random.default_rng(7))
        with np.errstate(over="ignore"):
            blocks = gguf.quantize(rows, qtype)
        count = rows.size // gguf.GGML_QUANT_SIZES[qtype][0]
        write("quantize", name, count, rows, blocks)


if __name__ == "__main__":
    main()
