"""Trains the tokenizer: byte-level BPE of 4,096 pieces, with the pre-tokenizer that GGUF calls "smollm".

    python train_tokenizer.py CORPUS tokenizer.json
"""

import re
import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from chats import SPECIAL_TOKENS
from corpus import read_documents
from talk import made_documents

PIECES = 4096
# The encyclopaedia is half of the corpus and full of names; a part of it is enough to learn its words from.
ENCYCLOPAEDIA_SHARE = 4
# Some of our own stories and small talk, of another seed than the training's.
TALES, TALKS = 12_000, 6_000


def training_texts(path):
    for index, document in enumerate(read_documents(path)):
        if not document.is_held_out and (document.source != "encyclopaedia" or index % ENCYCLOPAEDIA_SHARE == 0):
            yield document.text
    for _, text, _ in made_documents(["Canada"], TALES, TALKS, "tokenizer"):
        yield from re.split("|".join(map(re.escape, SPECIAL_TOKENS)), text)


def main(corpus, output):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=PIECES,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(training_texts(corpus), trainer)
    assert tokenizer.get_vocab_size() == PIECES
    tokenizer.save(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
