"""Documents as the model reads them: plain text, or turns in the model's own chat format.

Dialogues are chats as they are. The corpus's stories become chats as well: a made-up request, then the text. Which
request, a document's own words and a seeded generator decide.
"""

import re

END_OF_TEXT, USER, ASSISTANT, END_OF_TURN = "<|endoftext|>", "<|user|>", "<|assistant|>", "<|end|>"
SPECIAL_TOKENS = [END_OF_TEXT, USER, ASSISTANT, END_OF_TURN]
# The renderings, whose index is the number kept beside each document. "chat" ones are made-up requests with an answer;
# tales are the stories of our own grammar, talk is made in talk.py.
KINDS = ["encyclopaedia", "books", "books chat", "stories", "stories chat", "dialogues", "tales", "tales chat", "talk"]
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
WANTS_STORY = (
    "Tell me a story about {}.",
    "Tell me a story about {}",
    "tell me a story about {}",
    "Tell me a short story about {}.",
    "Tell me a bedtime story about {}.",
    "Can you tell me a story about {}?",
    "Could you tell me a story about {}?",
    "Please tell me a short story about {}.",
    "I want to hear a story about {}.",
    "I would like a story about {}.",
    "Write a story about {}.",
    "write a story about {}",
    "Write a short story about {}.",
    "Write me a story about {}.",
    "Please write a story about {}.",
    "Make up a story about {}.",
    "Do you know a story about {}?",
    "A story about {}, please.",
    "Story about {}",
)
WANTS_ANY_STORY = (
    "Tell me a story.",
    "Tell me a story",
    "Can you tell me a story?",
    "Please tell me a short story.",
    "I want to hear a story.",
    "Tell me a short story.",
    "Tell me a bedtime story.",
    "Write a short story.",
    "Write a story",
    "A story, please.",
    "story",
    "tell me a story",
)


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
