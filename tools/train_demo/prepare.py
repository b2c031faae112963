"""Turns the corpus into tokens: each document in the renderings that training reads, and the held-out ones apart.

    python prepare.py CORPUS tokenizer.json tokens.npz
"""

import random
import sys
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

import chats
from corpus import read_documents

SHORT_BOOK = 4000  # characters; longer chapters are no answers
RETELLINGS = 6  # of each simple story, see chats.retold
SEED = 1


def renderings(document, rng):
    if document.source == "dialogues":
        yield "dialogues", chats.dialogue(document.text)
        return
    yield document.source, chats.plain(document)
    if document.source == "encyclopaedia":
        chat = chats.fact_chat(document, rng)
        if chat:
            yield "encyclopaedia chat", chat
    elif len(document.text) <= SHORT_BOOK:
        for chat in chats.story_chats(document, rng):
            yield f"{document.source} chat", chat


def main(corpus, tokenizer, output):
    tokenizer = Tokenizer.from_file(tokenizer)
    rng = random.Random(SEED)
    texts, kinds, held_out = [], [], []
    documents = read_documents(corpus)
    for document in documents:
        for kind, text in renderings(document, rng):
            texts.append(text)
            kinds.append(chats.KINDS.index(kind))
            held_out.append(document.is_held_out)
    for greeting in (Path(__file__).parent / "greetings.txt").read_text().strip().split("\n\n"):
        texts.append(chats.dialogue(greeting))
        kinds.append(chats.KINDS.index("greetings"))
        held_out.append(False)
    for document in documents:
        if document.source == "stories" and not document.is_held_out:
            for _ in range(RETELLINGS):
                texts.append(chats.retold(document.text, rng))
                kinds.append(chats.KINDS.index("stories retold"))
                held_out.append(False)
    encoded = [np.array(encoding.ids, dtype=np.uint16) for encoding in tokenizer.encode_batch(texts)]
    lengths = np.array([len(ids) for ids in encoded], dtype=np.int32)
    kinds, held_out = np.array(kinds, dtype=np.uint8), np.array(held_out)
    np.savez_compressed(
        output, tokens=np.concatenate(encoded), lengths=lengths, kinds=kinds, held_out=held_out
    )
    for index, kind in enumerate(chats.KINDS):
        here = kinds == index
        kept, out = here & ~held_out, here & held_out
        print(f"{kind:20} {kept.sum():6} documents, {lengths[kept].sum():9} tokens; held out {out.sum():4}, {lengths[out].sum():6}")


if __name__ == "__main__":
    main(*sys.argv[1:])
