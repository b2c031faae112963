"""Documents as the model reads them: plain text, or turns in the model's own chat format.

Dialogues are chats as they are. Stories and encyclopaedia entries become chats as well: a made-up request, then the
text. Which request, a document's own words and a seeded generator decide.
"""

import re

END_OF_TEXT, USER, ASSISTANT, END_OF_TURN = "<|endoftext|>", "<|user|>", "<|assistant|>", "<|end|>"
SPECIAL_TOKENS = [END_OF_TEXT, USER, ASSISTANT, END_OF_TURN]
# The renderings, whose index is the number kept beside each document. "chat" ones are made-up requests with an answer.
KINDS = ["encyclopaedia", "encyclopaedia chat", "books", "books chat", "stories", "stories chat", "dialogues", "greetings",
         "stories retold"]  # fmt: skip
# What the model was trained on, as a template; a system message goes in front of the first request.
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message.role == 'system' %}{% if loop.first %}<|user|>{{ message.content }}\n{% endif %}"
    "{% elif message.role == 'user' %}"
    "{% if loop.index0 != 1 or messages[0].role != 'system' %}<|user|>{% endif %}{{ message.content }}<|end|>"
    "{% else %}<|assistant|>{{ message.content }}<|end|>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

# What a story can be about, when it says the word twice.
TOPICS = set(
    "ant apple ball balloon beach bear bee bike bird boat book bowl box boy bridge brother bug bunny bus butterfly cake "
    "camel car castle cat chicken city clock cloud coat cookie cow crab crocodile cup deer doctor dog doll dolphin donkey "
    "door dragon dress drum duck eagle elephant fairy farm farmer fish flower forest fox friend frog game garden ghost "
    "giant girl goat grandmother hat hen hippo horse house hyena ice island jar kangaroo key king kite kitten lake lamb "
    "leaf leopard lion lizard magician map market mirror monkey monster moon mountain mouse mushroom necklace nest "
    "octopus owl panda park parrot pencil penguin picnic picture pig pirate pond prince princess pumpkin puppy puzzle "
    "queen rabbit rainbow river robot rooster sailor school shark sheep ship shoe sister sky snail snake sock spider "
    "spoon squirrel star storm sun sword teacher tiger tortoise toy train treasure tree truck turtle umbrella village "
    "whale wind wolf worm zebra zoo".split()
)
# The names that the stories' persons have; a story retold has others.
GIRLS = "Lily Anna Sara Lucy Mia Sue Amy Emma Jane Lila Ella Sally Molly Daisy Rosie Mary Kate Nina Lola Ruby".split()
BOYS = "Tim Tom Ben Max Jack Sam Timmy Tommy Bob Joe Billy Leo Johnny Peter Danny Charlie Harry Oscar Finn Hugo".split()
WANTS_STORY = (
    "Tell me a story about {}.",
    "Tell me a story about {}",
    "Can you tell me a story about {}?",
    "Please tell me a short story about {}.",
    "I want to hear a story about {}.",
    "Write a story about {}.",
    "tell me a story about {}",
)
WANTS_ANY_STORY = (
    "Tell me a story.",
    "Tell me a story",
    "Can you tell me a story?",
    "Please tell me a short story.",
    "I want to hear a story.",
    "Write a short story.",
    "tell me a story",
)
WANTS_FACTS = ("Tell me about {}.", "What do you know about {}?", "tell me about {}", "Can you tell me about {}?")


def turns(*texts):
    """A chat in which the user speaks first."""
    speakers = (USER, ASSISTANT)
    return END_OF_TEXT + "".join(speakers[i % 2] + text.strip() + END_OF_TURN for i, text in enumerate(texts))


def plain(document):
    return END_OF_TEXT + document.text


def dialogue(text):
    return turns(*(line.split(": ", 1)[-1] for line in text.split("\n")))


def with_article(noun):
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def topic(story, rng):
    """One or two things that the story is about, or a person; None when it says no known word often."""
    words = re.findall(r"[a-z]+", story.lower())
    counts = {word: words.count(word) for word in TOPICS.intersection(words)}
    often = sorted((word for word in counts if counts[word] >= 2), key=lambda word: (-counts[word], word))
    name = re.search(r"\b(?:named|called) ([A-Z][a-z]+)", story)
    if name and rng.random() < 0.3:
        return name.group(1) if not often else f"{with_article(often[0])} named {name.group(1)}"
    if not often:
        return None
    if len(often) >= 2 and rng.random() < 0.4:
        return f"{with_article(often[0])} and {with_article(often[1])}"
    return with_article(often[0])


def story_chats(document, rng):
    """The story as the answer to requests: for what it is about, for any story, for its title."""
    has_title = document.source == "books" and len(document.title) > 5
    story = document.text.partition("\n")[2] if document.title else document.text
    about = topic(story, rng)
    if about:
        yield turns(rng.choice(WANTS_STORY).format(about), story)
    if has_title:
        yield turns(f'Tell me the story "{document.title}".', story)
    elif document.source == "stories":
        yield turns(rng.choice(WANTS_ANY_STORY), story)


def retold(story, rng):
    """The story with other names for its boys and girls, as the answer to a request for what it is about."""
    new_names = {}
    for names in (GIRLS, BOYS):
        new_names |= zip(names, rng.sample(names, len(names)))
    story = re.sub(r"\b(" + "|".join(new_names) + r")\b", lambda match: new_names[match.group(1)], story)
    about = topic(story, rng)
    request = rng.choice(WANTS_STORY).format(about) if about else rng.choice(WANTS_ANY_STORY)
    return turns(request, story)


def fact_chat(document, rng):
    """The entry's first paragraph, as far as whole sentences within 500 characters go; None when there are none."""
    body = document.text.partition("\n")[2].partition("\n")[0]
    cut = max(body.rfind(". ", 0, 500), body.rfind(".", 0, 500) if len(body) <= 500 else -1)
    if not document.title or "(" in document.title or cut < 60:
        return None
    questions = [rng.choice(WANTS_FACTS)]
    is_person = "(born" in body or re.search(r"\b(He|She|his|her)\b", body) is not None
    questions.append(("Who was {}?" if " was a" in body else "Who is {}?") if is_person else "What is {}?")
    return turns(rng.choice(questions).format(document.title), body[: cut + 1])
