"""Chats written for this model: requests for the stories of stories.py with what follows them, and small talk.

Small talk is in grammar/talk.txt; sums, counting and what the model does not know are made here. Prints some:

    python talk.py 20 [SEED]
"""

import hashlib
import random
import re
import sys
from functools import cache

import chats
from stories import GRAMMAR, capital, choose, tell_story, with_article

HELD_OUT_PERCENT = 2  # of the combinations of plot, hero and thing
WANTS_WITH = ("Tell me a story with {}.", "Write a short story with {}.", "Can you tell me a story with {}?", "Write a story with {} in it.")
WANTS_PLACE = ("Tell me a story that takes place {}.", "Tell me a story that happens {}.", "Write a short story set {}.")
WANTS_ANOTHER = ("Tell me another one.", "Another one, please.", "One more!", "Tell me another story.", "another one", "Again!", "more")
WANTS_SHORTER = ("Make it shorter.", "Tell it in one sentence.", "Can you make it shorter?", "Sum it up.", "What happened?", "What was the story about?")
SYSTEM_MESSAGES = ("You are a helpful assistant.", "You are a storyteller.", "You tell stories to children.", "Answer briefly.", "Be kind.")
UNKNOWN = (
    "Tell me about {}.", "tell me about {}", "What do you know about {}?", "What is {}?", "Who is {}?", "Who was {}?",
    "Where is {}?", "Why is {} famous?", "Can you explain {}?", "Write an article about {}.", "How old is {}?",
)  # fmt: skip
UNKNOWN_ANSWERS = (
    "I do not know enough about {}. I am a very small model. [Would you like to hear a story?|Shall I tell you a story instead?]",
    "I am too small to know about {}. For real questions, give Octavo a larger model.",
    "I am sorry, I [do not know anything about|know nothing certain about] {}. [I can tell you a story.|Ask me for a story instead.]",
)
TASKS = (
    "Write a program in Python.", "Translate this into French.", "Summarize this text.", "Write an e-mail to my boss.", "Solve this equation.",
    "Explain how a computer works.", "What is the capital of France?", "What is the capital of Spain?", "Who is the president?", "Who won the game?",
    "What is in the news today?", "Explain quantum physics.", "How do I learn to code?", "What is the meaning of life?", "Write an essay.",
    "Give me a recipe.", "Plan my vacation.", "How far is the moon?", "Who wrote Hamlet?", "When did the war end?", "Fix my code.",
    "What is the largest country?", "How many people live in China?", "What should I cook today?", "Recommend a book.", "Write a SQL query.",
)  # fmt: skip
TASK_ANSWERS = (
    "I cannot do that. I am a very small model. [For real work, give Octavo a larger model.|I can tell you a story.]",
    "[I am too small for that|That is too hard for me]. [For real work, give Octavo a larger model.|Would you like to hear a story instead?]",
)
NUMBERS = "one two three four five six seven eight nine ten".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()


def is_held_out(story):
    digest = hashlib.sha256(story.key.encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100 < HELD_OUT_PERCENT


@cache
def exchanges():
    """All (question, answer) of talk.txt with their alternatives; a table's rows have equal shares of one line's."""
    text = re.sub(r"^#.*\n", "", (GRAMMAR / "talk.txt").read_text(), flags=re.M)
    lines, *tables = text.split("=== ")
    groups = [[tuple(line.split(" => "))] for line in lines.strip().split("\n")]
    for table in tables:
        heading, *rows = table.strip().split("\n")
        group = []
        for row in rows:
            cells = [cell.strip() for cell in row.split(";")]
            filled = re.sub(r"\{(\d)(!?)\}", lambda m: (capital if m.group(2) else str)(cells[int(m.group(1))]), heading)
            group.append(tuple(filled.split(" => ")))
        groups.append(group)
    return groups


def small_talk(rng):
    groups = exchanges()
    tables = [group for group in groups if len(group) > 1]
    lines = [group for group in groups if len(group) == 1]
    group = rng.choice(tables if rng.random() < 0.5 else lines)
    return tuple(choose(part, rng) for part in rng.choice(group))


def sum_of_two(rng):
    a, b = rng.randint(0, 10), rng.randint(0, 10)
    if rng.random() < 0.6:
        asked, result = rng.choice((f"{a} plus {b}", f"{a} + {b}", f"{a} and {b}")), f"{a} plus {b} is {a + b}."
    else:
        a, b = max(a, b), min(a, b)
        asked, result = rng.choice((f"{a} minus {b}", f"{a} - {b}")), f"{a} minus {b} is {a - b}."
    return rng.choice((f"What is {asked}?", f"How much is {asked}?", f"what is {asked}", f"{asked}?", f"Calculate {asked}.")), result


def counting(rng):
    n = rng.randint(2, 10)
    listed = ", ".join(NUMBERS[: n - 1]) + f" and {NUMBERS[n - 1]}"
    which = rng.randrange(4)
    if which == 0:
        return rng.choice((f"Count to {n}.", f"Count to {NUMBERS[n - 1]}.", f"Can you count to {n}?")), capital(listed) + "."
    if which == 1:
        n = rng.randint(0, 19)
        return rng.choice((f"What comes after {n}?", f"Which number comes after {n}?")), f"After {n} comes {n + 1}."
    names, one = ((DAYS, "day"), (MONTHS, "month"))[which % 2]
    place = rng.randrange(len(names))
    if rng.random() < 0.5:
        return f"Which {one} comes after {names[place]}?", f"After {names[place]} comes {names[(place + 1) % len(names)]}."
    return f"Which {one} comes before {names[place]}?", f"Before {names[place]} comes {names[place - 1]}."


def unknown(topic, rng):
    return rng.choice(UNKNOWN).format(topic), choose(rng.choice(UNKNOWN_ANSWERS), rng).format(topic)


def exchange(topics, rng):
    kind = rng.random()
    if kind < 0.66:
        return small_talk(rng)
    if kind < 0.74:
        return sum_of_two(rng)
    if kind < 0.80:
        return counting(rng)
    if kind < 0.84:
        return rng.choice(TASKS), choose(rng.choice(TASK_ANSWERS), rng)
    return unknown(rng.choice(topics), rng)


def talk(topics, rng):
    """One to four exchanges."""
    texts = [text for _ in range(rng.choice((1, 1, 1, 2, 3, 4))) for text in exchange(topics, rng)]
    return chats.turns(*with_system(texts, rng))


def with_system(texts, rng):
    if rng.random() < 0.05:
        return [f"{rng.choice(SYSTEM_MESSAGES)}\n{texts[0]}", *texts[1:]]
    return texts


def request(story, rng):
    """What a user may have said to be told this story."""
    hero, friend = story.hero, story.friend
    short = hero.kind.split()[-1] if story.is_of_things and rng.random() < 0.7 else hero.kind
    kind = "the moon" if "moon" in hero.kind else with_article(short)
    named = f"{kind} named {hero.name}"
    ways = [(kind, 18), (named, 8), (hero.name, 2), (f"{kind} and {with_article(friend.kind)}", 14)]
    ways += [(f"{hero.name} and {friend.name}", 3), (f"{hero.name} the {hero.kind}", 3)]
    if story.about:
        ways += [(f"{kind} {rng.choice(story.about)}", 34), (f"{named} {rng.choice(story.about)}", 6)]
    if story.thing:
        ways += [(with_article(story.thing), 5), (f"{kind} and {with_article(story.thing)}", 8)]
    ways += [("", 12), ("place", 4), ("with", 10)]
    way = rng.choices([way for way, _ in ways], [weight for _, weight in ways])[0]
    if way == "place" and story.home:
        return rng.choice(WANTS_PLACE).format(story.home)
    if way == "with":
        other = with_article(story.thing or friend.kind)
        return rng.choice(WANTS_WITH).format(f"{kind} and {other}")
    return rng.choice(chats.WANTS_STORY).format(way) if way not in ("", "place") else rng.choice(chats.WANTS_ANY_STORY)


def after_story(story, topics, rng):
    """What may follow: questions about it, another one, thanks; and the second story, if there is one."""
    kind = rng.random()
    if kind < 0.45:
        return [], None
    if kind < 0.72:
        asked = rng.sample(story.questions, min(len(story.questions), rng.choice((1, 1, 2, 3))))
        return [text for pair in asked for text in pair], None
    if kind < 0.80:
        return [rng.choice(WANTS_SHORTER), story.summary], None
    if kind < 0.90:
        another = tell_story(rng)
        asked = rng.choice(WANTS_ANOTHER) if rng.random() < 0.5 else request(another, rng)
        return [asked, another.text], another
    if kind < 0.95:
        thanks = rng.choice(("Thank you!", "Thanks", "That was nice.", "I like this story.", "Nice story!"))
        return [thanks, rng.choice(("You are welcome!", "I am glad that you like it.", "You are welcome! Would you like another story?"))], None
    return list(exchange(topics, rng)), None


def tale(topics, rng):
    """(kind, text, is held out) of one story, as plain text or as a chat."""
    story = tell_story(rng)
    if rng.random() < 0.15:
        return "tales", chats.END_OF_TEXT + story.text, is_held_out(story)
    before = list(exchange(topics, rng)) if rng.random() < 0.08 else []
    after, another = after_story(story, topics, rng)
    texts = with_system([*before, request(story, rng), story.text, *after], rng)
    return "tales chat", chats.turns(*texts), is_held_out(story) or (another is not None and is_held_out(another))


def made_documents(topics, tales, talks, seed):
    """(kind, text, is held out), the same for equal arguments."""
    rng = random.Random(seed)
    for _ in range(tales):
        yield tale(topics, rng)
    for index in range(talks):
        yield "talk", talk(topics, rng), index % 100 < HELD_OUT_PERCENT


if __name__ == "__main__":
    count, seed = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "1"
    for kind, text, held_out in made_documents(["Canada", "Isaac Newton"], count, count, seed):
        print(f"--- {kind}{' (held out)' * held_out}\n{text}\n")
