#!/usr/bin/env python3
"""Draws a terminal's screen as an SVG picture for the documents.

    tmux capture-pane -e -p -t SESSION | python3 tools/terminal_picture.py "octavo run" docs/images/run.svg

Understands the attributes that octavo uses: bold, dim, the 16 colours. Trailing empty lines are cut.
"""

import html
import re
import sys

COLOURS = ["#1e2127", "#e06c75", "#98c379", "#d19a66", "#61afef", "#c678dd", "#56b6c2", "#abb2bf",
           "#5c6370", "#e06c75", "#98c379", "#d19a66", "#61afef", "#c678dd", "#56b6c2", "#ffffff"]
CELL_WIDTH, LINE_HEIGHT, MARGIN, TITLE_HEIGHT = 8.4, 19, 16, 34


def spans(line):
    """Pairs of (style, text) of one line with escape sequences."""
    bold = dim = False
    colour = None
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        escape = re.fullmatch(r"\x1b\[([0-9;]*)m", part)
        if not escape:
            if part:
                weight = ' font-weight="bold"' if bold else ""
                fill = f' fill="{colour}"' if colour else ' fill="#7f848e"' if dim else ""
                yield weight + fill, part
            continue
        for code in (int(c or 0) for c in escape.group(1).split(";")):
            if code == 0:
                bold = dim = False
                colour = None
            elif code == 1:
                bold = True
            elif code == 2:
                dim = True
            elif code == 22:
                bold = dim = False
            elif 30 <= code <= 37:
                colour = COLOURS[code - 30]
            elif code == 39:
                colour = None
            elif 90 <= code <= 97:
                colour = COLOURS[code - 82]


def picture(title, lines):
    columns = max([80] + [len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in lines])
    width = round(columns * CELL_WIDTH + 2 * MARGIN)
    height = TITLE_HEIGHT + len(lines) * LINE_HEIGHT + MARGIN
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
           f'viewBox="0 0 {width} {height}" font-family="monospace" font-size="14">',
           f'<rect width="{width}" height="{height}" rx="8" fill="#282c34"/>']
    for i, fill in enumerate(("#e06c75", "#d19a66", "#98c379")):
        out.append(f'<circle cx="{20 + 20 * i}" cy="17" r="6" fill="{fill}"/>')
    out.append(f'<text x="{width / 2}" y="22" fill="#7f848e" text-anchor="middle">'
               f"{html.escape(title)}</text>")
    for row, line in enumerate(lines):
        y = TITLE_HEIGHT + (row + 0.75) * LINE_HEIGHT
        column = 0
        for style, text in spans(line):
            length = len(text) * CELL_WIDTH
            out.append(f'<text x="{MARGIN + column * CELL_WIDTH:.1f}" y="{y:.1f}" fill="#abb2bf" '
                       f'xml:space="preserve" textLength="{length:.1f}">'.replace(
                           ' fill="#abb2bf"', style if "fill=" in style else
                           style + ' fill="#abb2bf"') + f"{html.escape(text)}</text>")
            column += len(text)
    out.append("</svg>")
    return "\n".join(out) + "\n"


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: terminal_picture.py TITLE OUTPUT.svg < screen")
    lines = sys.stdin.read().split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(picture(sys.argv[1], lines))


if __name__ == "__main__":
    main()
