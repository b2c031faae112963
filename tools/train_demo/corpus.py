"""The corpus as documents: where each of its parts begins, how its texts are cleaned, what is held out.

The corpus is one text of four parts, one after the other. Blank lines separate documents, except among the simple
stories, where a blank line is a paragraph of a story and a single line break begins the next story.
"""

import hashlib
import re
from dataclasses import dataclass

import zstandard

# The first words of each part.
PARTS = {
    "encyclopaedia": '"Hello, World!" program\nA "Hello, World!" Program generally is',
    "books": "I\nIn Which We Are Introduced to Winnie-the-Pooh",
    "stories": "One day, a little girl named Lily found a needle",
    "dialogues": "User: I want to make a restaurant reservation for 2 people at half past 11",
}
# This share of each source is kept out of training, more of the small ones, so that their losses mean something. A
# document's text decides, so that it is the same in every run.
HELD_OUT_PERCENT = {"encyclopaedia": 1, "books": 2, "stories": 5, "dialogues": 1}


@dataclass(frozen=True)
class Document:
    source: str
    title: str  # "" where there is none
    text: str  # with the title; a dialogue keeps its "User: " and "Assistant: "

    @property
    def is_held_out(self):
        digest = hashlib.sha256(self.text[:200].encode()).digest()
        return int.from_bytes(digest[:4], "big") % 100 < HELD_OUT_PERCENT[self.source]


def repair(text):
    """Undoes UTF-8 that was once read as Windows-1252, and writes quotation marks and dashes plainly."""
    text = text.replace("â€œ", '"').replace("â€™", "'").replace("â€˜", "'").replace("â€¦", "...")
    text = re.sub("â€[\x9d”]?", '"', text).replace("â€“", "-").replace("\\r", "").replace("\r", "")
    text = text.translate(str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "…": "...", "\u00a0": " "}))
    return re.sub(r"[ \t]+", " ", re.sub(r" +\n", "\n", text))


def read_parts(path):
    with open(path, "rb") as file:
        whole = zstandard.ZstdDecompressor().stream_reader(file).read().decode()
    starts = [whole.index(first_words) for first_words in PARTS.values()]
    assert starts[0] == 0 and starts == sorted(starts), starts
    ends = starts[1:] + [len(whole)]
    return {name: repair(whole[start:end]) for name, start, end in zip(PARTS, starts, ends)}


def titled(source, text):
    """The title is the first line. The encyclopaedia's texts begin with it again, in capitals that are often wrong."""
    title, line_break, body = text.partition("\n")
    title = title.strip()
    if not line_break or len(title) >= 80:
        return Document(source, "", text)
    if body.lower().startswith(title.lower()):
        body = title + body[len(title) :]
    return Document(source, title, f"{title}\n{body}")


def is_prose(text):
    """Not a list of names and numbers, nor a stub: most characters are small letters."""
    small = sum(character.islower() for character in text)
    return len(text) >= 120 and small > 0.65 * len(text) and "Category:" not in text


def is_dialogue(text):
    lines = text.split("\n")
    speakers = [line.split(": ", 1)[0] for line in lines]
    return len(lines) >= 2 and all(s == ("User", "Assistant")[i % 2] for i, s in enumerate(speakers))


def read_documents(path):
    """All documents, in the order of the corpus; exact repetitions are left out."""
    parts = read_parts(path)
    documents = [titled("encyclopaedia", text) for text in parts["encyclopaedia"].split("\n\n") if is_prose(text)]
    documents += [titled("books", text) for text in parts["books"].split("\n\n") if len(text) >= 120]
    stories = re.split(r"(?<!\n)\n(?!\n)", parts["stories"])
    documents += [Document("stories", "", text.strip()) for text in stories if len(text) >= 120]
    documents += [Document("dialogues", "", text) for text in parts["dialogues"].split("\n\n") if is_dialogue(text)]
    return list({document.text: document for document in documents}.values())
