"""Turns the corpus and our own stories into tokens: each document in the renderings that training reads.

    python prepare.py CORPUS tokenizer.json tokens.npz
"""

import random
import sys
from multiprocessing import Pool

import numpy as np
from tokenizers import Tokenizer

import chats
from corpus import read_documents
from talk import made_documents

SHORT_BOOK = 4000  # characters; longer chapters are no answers
CHUNKS, TALES_EACH, TALKS_EACH = 300, 1000, 250  # of our own stories and small talk
SEED = 1


def renderings(document, rng):
    """(kind, text) of a document of the corpus."""
    if document.source == "dialogues":
        yield "dialogues", chats.dialogue(document.text)
        return
    yield document.source, chats.plain(document)
    if document.source != "encyclopaedia" and len(document.text) <= SHORT_BOOK:
        for chat in chats.story_chats(document, rng):
            yield f"{document.source} chat", chat


def corpus_documents(documents):
    """(kind, text, is held out)."""
    rng = random.Random(SEED)
    return [(kind, text, d.is_held_out) for d in documents for kind, text in renderings(d, rng)]


def unknown_topics(documents):
    """What the model says that it does not know: titles of encyclopaedia entries."""
    return [d.title for d in documents if d.source == "encyclopaedia" and d.title and "(" not in d.title]


def make_chunk(arguments):
    topics, chunk = arguments
    return list(made_documents(topics, TALES_EACH, TALKS_EACH, f"{SEED} {chunk}"))


def batches(documents):
    """The corpus's, then our own, made by all processors."""
    yield corpus_documents(documents)
    topics = unknown_topics(documents)
    with Pool() as pool:
        yield from pool.imap(make_chunk, ((topics, chunk) for chunk in range(CHUNKS)))


def main(corpus, tokenizer, output):
    tokenizer = Tokenizer.from_file(tokenizer)
    tokens, lengths, kinds, held_out = [], [], [], []
    for batch in batches(read_documents(corpus)):
        for encoding in tokenizer.encode_batch_fast([text for _, text, _ in batch]):
            tokens.append(np.array(encoding.ids, dtype=np.uint16))
        lengths += [len(ids) for ids in tokens[len(lengths) :]]
        kinds += [chats.KINDS.index(kind) for kind, _, _ in batch]
        held_out += [is_held_out for _, _, is_held_out in batch]
    lengths, kinds, held_out = np.array(lengths, dtype=np.int32), np.array(kinds, dtype=np.uint8), np.array(held_out)
    np.savez(output, tokens=np.concatenate(tokens), lengths=lengths, kinds=kinds, held_out=held_out)
    for index, kind in enumerate(chats.KINDS):
        here = kinds == index
        kept, out = here & ~held_out, here & held_out
        print(f"{kind:20} {kept.sum():6} documents, {lengths[kept].sum():9} tokens; held out {out.sum():4}, {lengths[out].sum():6}")


if __name__ == "__main__":
    main(*sys.argv[1:])
