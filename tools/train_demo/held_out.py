"""Prints the held-out documents of a source, for octavo perplexity.

    python held_out.py CORPUS stories > stories.txt
"""

import sys

from corpus import read_documents


def main(corpus, source):
    texts = [document.text for document in read_documents(corpus) if document.source == source and document.is_held_out]
    print("\n\n".join(texts))


if __name__ == "__main__":
    main(*sys.argv[1:])
