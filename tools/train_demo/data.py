"""The order in which training reads the documents, and the held-out rows.

Everything here is decided by the seed, so that a resumed training goes on with the row it would have read.
"""

import numpy as np

from chats import KINDS

# How often each kind is read in a stage, and how late: documents come at (uniform random) ** skew of the way, so that
# below 1 a kind becomes more frequent towards the end and above 1 rarer.
READINGS = {
    "mix": {
        "encyclopaedia": (3, 1.3),
        "books": (6, 1.0),
        "books chat": (4, 0.8),
        "stories": (6, 1.0),
        "stories chat": (6, 0.8),
        "dialogues": (5, 0.9),
        "tales": (1, 0.8),
        "tales chat": (1, 0.8),
        "talk": (2, 0.8),
    },
    "stories": {
        "dialogues": (1, 1.0),
        "tales": (1, 1.0),
        "tales chat": (1, 1.0),
        "talk": (3, 1.0),
    },
}

MOST_HELD_OUT_ROWS = 160


def rows_of(stream, row_tokens):
    """[rows, row_tokens + 1], a view: each row's last token is the next row's first."""
    rows = (len(stream) - 1) // row_tokens
    return np.lib.stride_tricks.sliding_window_view(stream, row_tokens + 1)[: rows * row_tokens : row_tokens]


class Corpus:
    def __init__(self, path):
        arrays = np.load(path)
        self.tokens, self.kinds, self.held_out = arrays["tokens"], arrays["kinds"], arrays["held_out"]
        self.ends = np.cumsum(arrays["lengths"])
        self.starts = self.ends - arrays["lengths"]

    def gather(self, documents):
        return np.concatenate([self.tokens[self.starts[d] : self.ends[d]] for d in documents])

    def training_rows(self, stage, row_tokens, seed):
        """[rows, row_tokens + 1]: all readings of a stage's documents, one after the other."""
        random = np.random.default_rng(seed)
        documents, places = [], []
        for kind, (times, skew) in READINGS[stage].items():
            here = np.flatnonzero((self.kinds == KINDS.index(kind)) & ~self.held_out)
            # One reading after the other, each in its own random order.
            for reading in range(times):
                documents.append(here)
                places.append(((reading + random.random(len(here))) / times) ** skew)
        order = np.argsort(np.concatenate(places), kind="stable")
        stream = self.gather(np.concatenate(documents)[order])
        return rows_of(stream, row_tokens)

    def held_out_rows(self, kind, row_tokens):
        """[rows, row_tokens + 1] of the held-out documents of a kind, up to MOST_HELD_OUT_ROWS."""
        documents = np.flatnonzero((self.kinds == KINDS.index(kind)) & self.held_out)
        return rows_of(self.gather(documents), row_tokens)[:MOST_HELD_OUT_ROWS]
