#!/usr/bin/env python3
"""Octavo and llama.cpp (llama-cpp-python) on the same model, in turn, in one run.

    python3 -m venv build/peer && build/peer/bin/pip install llama-cpp-python==0.3.36
    cmake -B build/bench -G Ninja -DCMAKE_BUILD_TYPE=Release -DOCTAVO_BENCH=ON
    cmake --build build/bench --target engine_bench
    build/peer/bin/python bench/compare_peer.py build/bench/bench/engine_bench MODEL.gguf

Each round runs Octavo's engine_bench and then the same shapes in llama.cpp; the table gives the
median of the rounds and their range, in tokens per second. llama.cpp decodes without sampling, eight
sequences in one batch of its own; Octavo's figures include sampling and delivery.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

SHAPES = ("prompt_512", "decode_1", "decode_8")


def octavo(bench, model, threads):
    output = subprocess.run([bench, model, str(threads)], check=True, capture_output=True, text=True)
    return json.loads(output.stdout)


def prompt_tokens(vocabulary, sequence, length):
    return [(1000 + 37 * i + 11 * sequence) % vocabulary for i in range(length)]


class Peer:
    """llama.cpp through its C interface, so that eight sequences can share a batch."""

    def __init__(self, path, threads):
        import llama_cpp

        self.api = llama_cpp
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(
            path.encode(), llama_cpp.llama_model_default_params())
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = 4096
        params.n_batch = params.n_ubatch = 512
        params.n_seq_max = 8
        params.kv_unified = True
        params.n_threads = params.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        vocabulary = llama_cpp.llama_model_get_vocab(self.model)
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(vocabulary)
        self.batch = llama_cpp.llama_batch_init(512, 0, 8)

    def decode(self, rows):
        """rows: (token, position, sequence, wants logits)."""
        batch = self.batch
        batch.n_tokens = len(rows)
        for i, (token, position, sequence, logits) in enumerate(rows):
            batch.token[i] = token
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = logits
        if self.api.llama_decode(self.context, batch) != 0:
            sys.exit("llama_decode failed")
        self.api.llama_synchronize(self.context)

    def run(self, sequences, length, generate):
        """Seconds for the prompts, and for the tokens after the first of each sequence."""
        self.api.llama_memory_clear(self.api.llama_get_memory(self.context), True)
        start = time.perf_counter()
        for s in range(sequences):
            prompt = prompt_tokens(self.vocabulary, s, length)
            self.decode([(t, i, s, i == length - 1) for i, t in enumerate(prompt)])
        prompts = time.perf_counter()
        for step in range(generate - 1):
            self.decode([(1000 + step, length + step, s, True) for s in range(sequences)])
        return prompts - start, time.perf_counter() - prompts

    def measure(self):
        self.run(1, 8, 16)  # touches every weight once
        return {
            "prompt_512": 512 / self.run(1, 512, 1)[0],
            "decode_1": 127 / self.run(1, 8, 128)[1],
            "decode_8": 8 * 127 / self.run(8, 8, 128)[1],
        }


def summary(rounds, shape):
    values = [r[shape] for r in rounds]
    return f"{statistics.median(values):8.1f} ({min(values):.1f} to {max(values):.1f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench", help="the engine_bench program")
    parser.add_argument("model", help="a GGUF file that both can load")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    peer = Peer(arguments.model, arguments.threads)
    print(peer.api.llama_print_system_info().decode())
    ours, theirs = [], []
    for _ in range(arguments.rounds):
        ours.append(octavo(arguments.bench, arguments.model, arguments.threads))
        theirs.append(peer.measure())
    print(f"tokens/s, median of {arguments.rounds} rounds (range), {arguments.threads} threads")
    for shape in SHAPES:
        ratio = statistics.median(a[shape] / b[shape] for a, b in zip(ours, theirs))
        print(f"{shape:12} octavo {summary(ours, shape):32} llama.cpp {summary(theirs, shape):32}"
              f" ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
