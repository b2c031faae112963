"""Draws the losses of both stages as an SVG.

    python plot.py losses_mix.jsonl losses_stories.jsonl > losses.svg
"""

import json
import sys

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 720, 360, 50, 20, 40
LOW, HIGH = 0.0, 5.0  # nats per token
CURVES = {
    "train": "#888888", "encyclopaedia": "#1f77b4", "books": "#d62728", "stories": "#2ca02c", "dialogues": "#9467bd",
    "tales chat": "#ff7f0e",
}  # fmt: skip


def read_points(paths):
    """(million tokens so far, losses by curve), of one stage after the other."""
    points, before = [], 0.0
    for path in paths:
        with open(path) as log:
            entries = [json.loads(line) for line in log]
        points += [(before + e["tokens"] / 1e6, e["held_out"] | {"train": e["train"]}) for e in entries]
        before += entries[-1]["tokens"] / 1e6
    return points


def main(*paths):
    points = read_points(paths)
    last = points[-1][0]

    def x(tokens):
        return round(LEFT + (WIDTH - LEFT - 120) * tokens / last, 1)

    def y(loss):
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (HIGH - min(loss, HIGH)) / (HIGH - LOW), 1)

    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">')
    print(f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>')
    for loss in range(1, 6):
        print(f'<path d="M{LEFT} {y(loss)}H{x(last)}" stroke="#dddddd"/><text x="{LEFT - 16}" y="{y(loss) + 4}">{loss}</text>')
    for tokens in range(0, int(last) + 1, 50):
        print(f'<text x="{x(tokens)}" y="{HEIGHT - 22}" text-anchor="middle">{tokens}</text>')
    print(f'<text x="{x(last / 2)}" y="{HEIGHT - 6}" text-anchor="middle">million tokens; loss in nats per token</text>')
    for name, colour in CURVES.items():
        path = " ".join(f"{x(tokens)},{y(losses[name])}" for tokens, losses in points)
        label = "training" if name == "train" else f"held out: {name}"
        print(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        print(f'<text x="{x(last) + 6}" y="{y(points[-1][1][name]) + 4}" font-size="10" fill="{colour}">{label}</text>')
    print("</svg>")


if __name__ == "__main__":
    main(*sys.argv[1:])
