#!/usr/bin/env python3
"""Greedy texts of a real model by llama.cpp, for teacher-forced comparison.

    python3 tools/golden/make_peer_texts.py MODEL.gguf tests/data/golden/NAME_peer.json

Run by hand with the versions in requirements.txt. Each prompt is continued by up to 64 tokens at temperature 0 (the
end token, where the model writes it, is the last output). At every step the two largest logits are kept: their
difference is the margin by which the choice was made. K and V are F16, attention is not the fused kind.
"""

import argparse
import hashlib
import importlib.metadata
import json
import pathlib

import llama_cpp
import llama_cpp.llama_chat_format
import numpy as np

MAX_OUTPUT_TOKENS = 64
CONTEXT_TOKENS = 2048

CHATS = {
    "greeting": [("user", "Hello! Who are you, and what can you help me with?")],
    "system": [("system", "You answer in one short sentence."), ("user", "Why does bread rise in the oven?")],
    "turns": [
        ("user", "I have three apples and buy four more."),
        ("assistant", "Then you have seven apples."),
        ("user", "I eat two of them. How many are left?"),
    ],
    "code": [("user", "Write a Python function that returns the largest of three numbers.")],
    "other_language": [("user", "Écris une phrase sur la mer, puis traduis-la en anglais.")],
    "symbols": [("user", "What does this mean? `x ≥ 0 && y != \"ß\"` 🙂\n\n\tIndented\tline, 12345 + 67890 = ?")],
}  # fmt: skip
PLAIN = {
    "story": "The lighthouse keeper climbed the stairs every evening, but on the last night of the year",
    "count": "one two three four five six seven eight nine ten eleven",
    "list": "Shopping list:\n- bread\n- milk\n- a dozen eggs\n-",
    "c_code": "#include <stdio.h>\n\nint main(void) {\n    for (int i = 0; i < 10; i++) {\n",
    "one_word": "Water",
    "long": "A diary of the harbour.\n"
    + "".join(
        f"Day {day}: the tide stood at {(day * 37) % 90 + 10} inches, {(day * 11) % 13 + 2} boats went out and "
        f"{(day * 7) % 11 + 1} came back before dark.\n"
        for day in range(1, 26)
    )
    + "Day 26: the tide stood at",
}
# For a model without a chat template: the same number of prompts, more of the plain kind.
MORE_PLAIN = {
    "history": "In the year 1492, the ships left the harbour of Palos and sailed",
    "french": "Le petit chat noir dormait près de la fenêtre quand soudain",
    "chinese": "春天来了,公园里的花",
    "json": '{"name": "Ada", "born": 1815, "fields": ["mathematics", "',
    "symbols": "Note: x ≥ 0, ß ≠ ss, 🙂 = smile;\n\n\tindented\t12345 + 67890 =",
    "question": "Question: What is the capital of Norway?\nAnswer:",
}


def render_chat(llm, messages):
    template = llm.metadata["tokenizer.chat_template"]
    formatter = llama_cpp.llama_chat_format.Jinja2ChatFormatter(
        template=template, eos_token="", bos_token="", add_generation_prompt=True
    )
    return formatter(messages=messages).prompt


def last_logits(llm):
    pointer = llama_cpp.llama_get_logits_ith(llm._ctx.ctx, -1)
    return np.ctypeslib.as_array(pointer, shape=(llm.n_vocab(),))


def continue_greedily(llm, prompt_ids):
    """The output ids, and for each the two best [id, logit, id, logit]."""
    llm.reset()
    llm.eval(prompt_ids)
    outputs, top_two = [], []
    while len(outputs) < MAX_OUTPUT_TOKENS:
        logits = last_logits(llm)
        first = int(np.argmax(logits))
        rest = logits.copy()
        rest[first] = -np.inf
        second = int(np.argmax(rest))
        outputs.append(first)
        top_two.append([first, round(float(logits[first]), 4), second, round(float(logits[second]), 4)])
        if first == llm.token_eos():
            break
        llm.eval([first])
    return outputs, top_two


def entry(llm, name, text, parse_special, messages=None):
    prompt_ids = llm.tokenize(text.encode(), add_bos=True, special=parse_special)
    outputs, top_two = continue_greedily(llm, prompt_ids)
    result = {"name": name, "kind": "chat" if messages else "plain"}
    if messages:
        result["messages"] = messages
    return result | {
        "text": text,
        "parse_special": parse_special,
        "prompt_ids": prompt_ids,
        "output_ids": outputs,
        "output_text": llm.detokenize(outputs).decode("utf-8", errors="replace"),
        "top_two": top_two,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    options = parser.parse_args()
    llm = llama_cpp.Llama(
        str(options.model), n_ctx=CONTEXT_TOKENS, n_batch=512, n_threads=2, flash_attn=False, verbose=False
    )
    entries = []
    if "tokenizer.chat_template" in llm.metadata:
        for name, turns in CHATS.items():
            messages = [{"role": role, "content": content} for role, content in turns]
            entries.append(entry(llm, name, render_chat(llm, messages), True, messages))
        plain = PLAIN
    else:
        plain = MORE_PLAIN | PLAIN
    entries += [entry(llm, name, text, False) for name, text in plain.items()]
    record = {
        "model": options.model.name,
        "sha256": hashlib.sha256(options.model.read_bytes()).hexdigest(),
        "made_by": "llama-cpp-python " + importlib.metadata.version("llama-cpp-python"),
        "cache_type": "F16",
        "entries": entries,
    }
    # One entry a line keeps the file small and its differences readable.
    lines = ",\n".join(json.dumps(item, ensure_ascii=False) for item in record.pop("entries"))
    head = json.dumps(record, indent=0, ensure_ascii=False).removesuffix("\n}")
    options.output.write_text(f'{head},\n"entries": [\n{lines}\n]\n}}\n', encoding="utf-8")
    for item in entries:
        least = min(row[1] - row[3] for row in item["top_two"])
        counts = f"{len(item['prompt_ids'])} + {len(item['output_ids'])} tokens"
        print(f"{item['name']}: {counts}, least margin {least:.3f}, {item['output_text']!r}")


if __name__ == "__main__":
    main()
