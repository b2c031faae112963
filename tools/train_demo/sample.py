"""Writes what the model answers to fixed requests with fixed seeds, as the README shows it; nothing is chosen.

    python sample.py octavo octavo-demo.gguf > samples.md
"""

import json
import subprocess
import sys

REQUESTS = [
    "Tell me a story.",
    "Tell me a story about a cat and a bird.",
    "Tell me a story about a princess.",
    "Tell me a story about a boy named Tom.",
    "Can you tell me a story about a dragon?",
    "Please tell me a short story about a boat.",
    "Write a story about a bear.",
    "I want to hear a story about a tree.",
    "Tell me a story about a rabbit and a fox.",
    "Tell me a story about the moon.",
    "Hello",
    "Who are you?",
    "What can you do?",
    "I want to book a table for two.",
    "Find me a hotel in Paris, please.",
    "I would like a coffee with milk.",
    "What is a volcano?",
    "Tell me about Canada.",
]
BEGINNINGS = ["Once upon a time, there was a little rabbit", "One day, Lily and Ben went to the park."]


def main(octavo, model):
    lines = [{"messages": [{"role": "user", "content": text}]} for text in REQUESTS]
    lines += [{"prompt": text} for text in BEGINNINGS]
    prompts = "\n".join(json.dumps(line | {"seed": seed}) for seed, line in enumerate(lines, start=1))
    flags = ["--prompts", "-", "--temperature", "0.7", "--top-p", "0.95", "--max-tokens", "400"]
    done = subprocess.run([octavo, "generate", model, *flags], input=prompts, text=True, capture_output=True, check=True)
    for request, line in zip(REQUESTS + BEGINNINGS, done.stdout.splitlines()):
        text = json.loads(line)["outputs"][0]["text"].strip()
        print(f"**{request}**\n\n" + "\n".join(f"> {part}".rstrip() for part in text.split("\n")) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
