"""A grammar of simple children's stories, written for this model: plots, phrases and words are in grammar/.

A story keeps its state by construction: who it is about, what they own and where things are is decided first, and the
sentences only name it. Prints some, to be read:

    python stories.py 20 [SEED]
"""

import random
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

GRAMMAR = Path(__file__).parent / "grammar"
ADULTS_CALLED = {"girl": "she", "boy": "he", "hen": "she", "cow": "she", "rooster": "he"}
SHARE_OF_NAMES = 0.88  # else a person is called "the rabbit"
FAMILY = {"mother": "she", "father": "he", "grandmother": "she", "grandfather": "he", "aunt": "she", "uncle": "he"}
WITHOUT_FAMILY = {"robot", "ghost", "snowman", "yeti"}
FORMS = {"he": ("he", "him", "his", "himself"), "she": ("she", "her", "her", "herself")}


def with_article(noun):
    return f"{'an' if noun[0] in 'aeiou' and not noun.startswith('uni') else 'a'} {noun}"


def towards(spot):
    """Where one goes to be at the spot."""
    return re.sub(r"^(in|on|by|near|next to|beside) ", "to ", spot)


def strangers(value):
    return {part.removeprefix("the ") for part in value.split(" ; ")}


def capital(text):
    return text[:1].upper() + text[1:]


def choose(text, rng):
    """The text with one of the alternatives of each [a|b], inner ones first."""
    while "[" in text:
        text = re.sub(r"\[([^\[\]]*)\]", lambda match: rng.choice(match.group(1).split("|")), text)
    return text


def sections(name, mark):
    """The texts under each heading of a file of the grammar; lines that begin with # are comments."""
    text = re.sub(r"^#.*\n", "", (GRAMMAR / name).read_text(), flags=re.M)
    parts = re.split(mark, text, flags=re.M)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2])))


@cache
def words(name):
    return [re.sub(r"\s+", " ", word).strip() for word in sections("words.txt", r"^\[(.+)\]$")[name].split(",")]


@cache
def rules():
    return {name: text.split("\n") for name, text in sections("phrases.txt", r"^(\w+):$").items()}


@dataclass(frozen=True)
class Plot:
    name: str
    headers: dict  # each header's values
    paragraphs: list  # of lists of lines


@cache
def plots():
    result = []
    for name, text in sections("plots.txt", r"^=== (\w+)$").items():
        headers, lines = {}, text.split("\n")
        while match := re.match(r"(\w+): (.*)", lines[0]):
            headers.setdefault(match.group(1), []).append(match.group(2))
            lines = lines[1:]
        paragraphs = [paragraph.split("\n") for paragraph in "\n".join(lines).strip().split("\n\n")]
        result.append(Plot(name, headers, paragraphs))
    return result


@dataclass(frozen=True)
class Person:
    kind: str
    name: str
    pronoun: str

    def introduced(self, rng):
        look = rng.choice(words("looks"))
        noun = rng.choice((self.kind, self.kind if self.kind.startswith(look) else f"{look} {self.kind}"))
        ways = (f"{with_article(noun)} named {self.name}",) * 2 + (f"{with_article(noun)} called {self.name}",)
        return rng.choice(ways)

    def met(self, rng):
        return rng.choice((self.introduced(rng), self.introduced(rng), f"{self.name} the {self.kind}"))

    def mentioned(self, rng):
        return self.name if rng.random() < SHARE_OF_NAMES else f"the {self.kind}"


@dataclass
class Story:
    plot: str
    hero: Person
    friend: Person
    thing: str  # "" where the plot has none
    home: str
    about: list  # what follows "a story about a rabbit"
    summary: str
    lesson: str
    questions: list  # of (question, answer)
    is_of_things: bool  # the hero is a boat, a tree, a star
    text: str

    @property
    def key(self):
        """What a request can name; stories whose key is held out are never trained on."""
        return f"{self.plot}/{self.hero.kind}/{self.thing or self.friend.kind}"


def make_person(rng, kind, pronoun, taken):
    kind, _, fixed = kind.partition("/")
    pronoun = fixed or ADULTS_CALLED.get(kind) or pronoun
    human = {"she": "girls", "he": "boys"}[pronoun]
    from_pets = kind not in words("adult kinds") and kind not in ("girl", "boy", "prince", "princess", "page")
    names = words("pets") if from_pets and rng.random() < 0.7 else words(human)
    return Person(kind, rng.choice([name for name in names if name not in taken]), pronoun)


class Teller:
    """Tells one story of a plot: chooses who and what, then expands the plot's lines."""

    def __init__(self, plot, rng):
        self.plot, self.rng, self.told = plot, rng, set()
        self.choose_persons()
        self.slots = self.choose_words()
        self.choose_elder()
        for header in plot.headers.get("let", ()):
            names, _, values = header.partition(" = ")
            # Hero and friend ask no stranger of their own kind.
            taken = {self.hero.kind, self.friend.kind}
            chosen = rng.choice([value for value in values.split(" || ") if not strangers(value) & taken])
            self.slots.update(zip((n.strip() for n in names.split(";")), (v.strip() for v in chosen.split(" ; "))))

    def choose_persons(self):
        rng, headers = self.rng, self.plot.headers
        who = headers.get("who", [""])[0]
        regions = [name.removeprefix("region ") for name in sections("words.txt", r"^\[(.+)\]$") if name.startswith("region ")]
        if "regions" in headers:
            regions = headers["regions"][0].split(", ")
        elif who != "swimmers too":
            regions.remove("sea")
        self.region = rng.choice(regions)
        kinds = words("kinds " + self.region)
        if who == "child":
            kinds = [kind for kind in kinds if kind.partition("/")[0] not in words("adult kinds")]
        pronoun = rng.choice(("he", "she"))
        other = pronoun if rng.random() < 0.15 else {"he": "she", "she": "he"}[pronoun]
        special = headers["kinds"][0].split(", ") if "kinds" in headers else None
        self.hero = make_person(rng, rng.choice(special or kinds), pronoun, ())
        other = {"he": "she", "she": "he"}[self.hero.pronoun] if other != pronoun else self.hero.pronoun
        others = [kind for kind in kinds if kind.partition("/")[0] != self.hero.kind]
        self.friend = make_person(rng, rng.choice(others), other, (self.hero.name,))

    def choose_words(self):
        rng, headers = self.rng, self.plot.headers
        at_sea = self.region == "sea"
        home, *spots = words("region " + self.region)
        spot = rng.sample(spots, 3)
        thing = ""
        if "thing" in headers:
            thing = rng.choice(words("sea things" if at_sea else rng.choice(headers["thing"][0].split())))
        food, color = rng.choice(words("foods")), rng.choice(words("colors"))
        return {
            "go1": towards(spot[0]), "go2": towards(spot[1]), "go3": towards(spot[2]),
            "home": home, "s1": spot[0], "s2": spot[1], "s3": spot[2], "hk": self.hero.kind, "fk": self.friend.kind,
            "t": thing, "tt": f"{color} {thing}", "at": with_article(f"{color} {thing}"),
            "color": color,
            "food": food, "snacks": rng.choice(words("sea snacks" if at_sea else "snacks")),
            "plants": rng.choice(words("plants")), "hobby": rng.choice(words("sea hobbies" if at_sea else "hobbies")),
            "learn": rng.choice(headers["learn"][0].split(" | ")),
            "sib": {"he": "brother", "she": "sister"}[self.hero.pronoun],
            "h_voc": self.hero.name, "f_voc": self.friend.name,
        }  # fmt: skip

    def choose_elder(self):
        grown = "kinds" in self.plot.headers or self.hero.kind in words("adult kinds") or self.hero.kind in WITHOUT_FAMILY
        taken = (self.hero.kind, self.friend.kind)
        if grown or self.rng.random() < 0.15:
            elder = "the old " + self.rng.choice([kind for kind in words("elders") if kind not in taken])
            pronoun = self.rng.choice(("he", "she"))
        else:
            member, pronoun = self.rng.choice(list(FAMILY.items()))
            elder = f"{FORMS[self.hero.pronoun][2]} {member}"
        self.slots["e"] = elder
        for letter, forms in (("h", self.hero.pronoun), ("f", self.friend.pronoun), ("e", pronoun)):
            self.slots.update(zip((letter + "e", letter + "im", letter + "is", letter + "self"), FORMS[forms]))

    def slot(self, name):
        if name.endswith("!"):
            return capital(self.expand("{" + name[:-1] + "}"))
        if name in self.slots:
            return self.slots[name]
        if name[0].isupper():
            return capital(self.slot(name[0].lower() + name[1:]))
        if name.endswith("_pos"):
            return self.slot(name[:-4]) + "'s"
        if name.startswith("a_") and name[2:] in self.slots:
            return with_article(self.slots[name[2:]])
        person = {"h": self.hero, "f": self.friend}[name[-1]]
        if name.startswith("a_"):
            return person.introduced(self.rng) if person is self.hero else person.met(self.rng)
        return person.name if "kinds" in self.plot.headers else person.mentioned(self.rng)

    def phrase(self, rule, role):
        """One of a rule's alternatives, if possible one that this story has not had."""
        fresh = [line for line in rules()[rule] if line not in self.told]
        line = self.rng.choice(fresh or rules()[rule])
        self.told.add(line)
        return re.sub(r"\{([xX])", lambda match: "{" + (role.upper() if match.group(1) == "X" else role), line)

    def expand(self, text):
        while match := re.search(r"<(\w+)(?::(\w))?>", text):
            text = text[: match.start()] + self.phrase(match.group(1), match.group(2) or "h") + text[match.end() :]
        text = choose(text, self.rng)
        while "{" in text:
            text = re.sub(r"\{(\w+!?)\}", lambda match: self.slot(match.group(1)), text)
        return re.sub(r" +", " ", text).strip()

    def paragraph(self, lines):
        told = []
        for line in lines:
            if line.startswith("~"):
                line = f"<{line[1:]}>" if self.rng.random() < 0.5 else ""
            elif line.startswith("? "):
                line = line[2:] if self.rng.random() < 0.5 else ""
            told.append(self.expand(line))
        return " ".join(part for part in told if part)

    def tell(self):
        headers = self.plot.headers
        text = "\n\n".join(filter(None, (self.paragraph(lines) for lines in self.plot.paragraphs)))
        questions = [tuple(self.expand(part) for part in line.split(" => ")) for line in headers.get("ask", ())]
        questions.append((f"What did {self.hero.name} learn?", f"{self.hero.name} learned that {self.slots['learn']}."))
        questions.append((f"What was the {self.hero.kind}'s name?", f"The {self.hero.kind}'s name was {self.hero.name}."))
        if "kinds" not in headers:
            questions.append((f"Where did {self.hero.name} live?", f"{self.hero.name} lived {self.slots['home']}."))
        if self.slots["t"]:
            questions.append((f"What color was the {self.slots['t']}?", f"The {self.slots['t']} was {self.slots['color']}."))
        about = [self.expand(way) for way in headers["about"][0].split(" | ")] if "about" in headers else []
        home = "" if "kinds" in headers else self.slots["home"]
        return Story(self.plot.name, self.hero, self.friend, self.slots["t"], home, about,
                     self.expand(headers["sum"][0]), self.slots["learn"], questions, "kinds" in headers, text)  # fmt: skip


def tell_story(rng):
    # The plots of boats and stars have fewer heroes than the others, so they come less often.
    weights = [0.6 if "kinds" in plot.headers else 1.0 for plot in plots()]
    return Teller(rng.choices(plots(), weights)[0], rng).tell()


if __name__ == "__main__":
    seed = sys.argv[2] if len(sys.argv) > 2 else "1"
    for index in range(int(sys.argv[1])):
        story = tell_story(random.Random(f"{seed} {index}"))
        print(f"--- {story.key}\n{story.text}\n[{story.summary}]\n")
