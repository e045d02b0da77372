"""Closed vocabulary and seeded sampler of sentences for the synthetic speech.

Half of the sentences are words in free order. The other half comes from many templates with random
words in their slots. A full-context encoder that sees only a few fixed phrases learns to emit a
whole phrase on its first frames, and its word times then mean nothing.

Free word order gives no context that could tell similar words apart. So the sound alone must
identify every word of the vocabulary, which holds
- no homophones: "two" and "four" are in, "to", "too", "for" are out; so are their/there, no/know,
  here/hear, by/buy, read/red, write/right, week/weak, hour/our, its/it's, you're/your;
- no word that differs from another only by a sound which the next word can swallow: "it's",
  "what's", "that's", "let's", "we'll", "i'm" are in and "it", "what", "that", "let", "we", "i" are
  out; "eighth" is out beside "eight"; "can't" is in and "can" is out;
- no "a" or "an", which melt into a final schwa ("canada", "maria"), and no "or", "are", "will";
- no heteronyms (live, wind, close, minute): synthesisers choose one reading by guesswork.
"""

import random
from collections.abc import Iterator

MAX_WORDS = 20

SLOTS: dict[str, list[str]] = {
    "number": (
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen twenty"
    ).split(),
    "tens": "thirty forty fifty sixty seventy eighty ninety".split(),
    "scale": "hundred thousand".split(),
    "ordinal": "first second third fourth fifth sixth seventh ninth tenth".split(),
    "month": (
        "january february march april may june july august september october november december"
    ).split(),
    "weekday": "monday tuesday wednesday thursday friday saturday sunday".split(),
    "name": (
        "maria peter david susan daniel george oliver victor laura robert michael patrick "
        "sophia thomas rebecca jessica kevin alice edward barbara simon amanda hannah"
    ).split(),
    "place": (
        "london paris berlin madrid boston chicago texas canada mexico brazil egypt india china "
        "japan norway sweden poland dublin toronto moscow sydney florida africa vienna"
    ).split(),
    "food": "apple banana orange bread butter cheese coffee water sugar chocolate".split(),
    "meal": "breakfast lunch dinner".split(),
    "room": (
        "kitchen garden window table door house bridge station airport hotel market school "
        "office library forest river mountain island"
    ).split(),
    "thing": (
        "ticket letter paper pencil picture guitar piano computer telephone camera blanket "
        "bottle umbrella jacket book bicycle hammer newspaper"
    ).split(),
    "person": "teacher student doctor lawyer neighbor brother sister mother father".split(),
    "animal": "horse dog elephant rabbit tiger chicken monkey".split(),
    "colour": "green yellow purple black white red blue brown".split(),
    "adjective": (
        "big small little young happy hungry tired beautiful dangerous expensive quiet empty "
        "heavy warm fresh gentle nervous"
    ).split(),
    "verb": (
        "bought found lost carried visited painted watched sold wanted forgot noticed finished"
    ).split(),
    "command": "bring open follow answer remember check show describe cancel".split(),
    "adverb": "always never often maybe slowly suddenly probably together again".split(),
    "day": "today tomorrow yesterday tonight".split(),
    "daytime": "morning afternoon evening midnight".split(),
    "season": "winter summer autumn spring".split(),
    "weather": "rain snow sunshine cloud storm".split(),
    "preposition": "under behind before after near between without through".split(),
    "determiner": "the my your her this every some another".split(),
    "pronoun": "she he you everybody nobody".split(),
    "contraction": "don't doesn't isn't can't couldn't didn't".split(),
    "opener": "it's i'm we'll that's let's".split(),
    "question": "what's who where when why how".split(),
    "greeting": "hello goodbye please thank yes".split(),
    "glue": "and in of with is was from at o'clock than because".split(),
    "matter": (
        "music question problem language country city story idea week month year birthday "
        "holiday money moment"
    ).split(),
}

VOCABULARY: list[str] = sorted({word for words in SLOTS.values() for word in words})

# A name in capitals is a slot; all other words are spoken as written.
TEMPLATES: list[str] = [
    "PRONOUN VERB the ADJECTIVE THING",
    "PRONOUN VERB DETERMINER THING PREPOSITION DETERMINER ROOM",
    "NAME and NAME VERB NUMBER COLOUR THING",
    "NAME VERB DETERMINER COLOUR ANIMAL in PLACE",
    "the ADJECTIVE PERSON VERB DETERMINER THING",
    "DETERMINER PERSON CONTRACTION COMMAND the ROOM",
    "it's NUMBER o'clock in PLACE",
    "it's NUMBER TENS in the DAYTIME",
    "MONTH the ORDINAL",
    "WEEKDAY MONTH ORDINAL",
    "the ORDINAL of MONTH was ADJECTIVE",
    "NAME is from PLACE",
    "what's in the COLOUR THING",
    "where is DETERMINER ADJECTIVE ANIMAL",
    "who VERB DETERMINER THING DAY",
    "why CONTRACTION PRONOUN COMMAND the MATTER",
    "when is DETERMINER MEAL with NAME",
    "how ADJECTIVE is PLACE in SEASON",
    "please COMMAND DETERMINER COLOUR THING",
    "please COMMAND the ORDINAL MATTER again",
    "COMMAND FOOD and FOOD before MEAL",
    "let's COMMAND the ROOM DAY",
    "i'm ADJECTIVE and ADJECTIVE",
    "i'm in PLACE with NAME",
    "we'll COMMAND NUMBER THING DAY DAYTIME",
    "we'll COMMAND DETERMINER PERSON at the ROOM",
    "that's DETERMINER ORDINAL MATTER of the week",
    "that's NUMBER SCALE NUMBER",
    "NUMBER SCALE and TENS NUMBER",
    "TENS NUMBER thousand NUMBER SCALE TENS",
    "NUMBER NUMBER NUMBER NUMBER NUMBER",
    "NUMBER NUMBER TENS NUMBER NUMBER TENS NUMBER",
    "hello NAME it's NAME from PLACE",
    "goodbye NAME and thank you",
    "yes PRONOUN VERB some FOOD",
    "PRONOUN CONTRACTION COMMAND FOOD with FOOD",
    "NAME ADVERB VERB DETERMINER MATTER",
    "ADVERB DETERMINER ANIMAL VERB the FOOD",
    "WEATHER in the DAYTIME and WEATHER in the DAYTIME",
    "SEASON in PLACE is ADJECTIVE because of the WEATHER",
    "DETERMINER PERSON from PLACE VERB TENS THING",
    "NAME VERB DETERMINER MATTER because PRONOUN CONTRACTION COMMAND the THING",
    "WEEKDAY DAYTIME NAME VERB the ROOM PREPOSITION the ROOM",
    "PLACE is ADJECTIVE and PLACE is ADJECTIVE",
    "DETERMINER ADJECTIVE COLOUR ANIMAL was PREPOSITION the THING",
    "COLOUR and COLOUR and COLOUR",
    "NAME NAME and NAME VERB FOOD FOOD and FOOD in MONTH",
    "from WEEKDAY DAYTIME PRONOUN VERB NUMBER ADJECTIVE ANIMAL",
    "NUMBER THING TENS FOOD and NUMBER ANIMAL",
    "the ROOM in PLACE is ADVERB ADJECTIVE in SEASON",
    "DAY NAME VERB NUMBER SCALE THING in PLACE because the PERSON VERB DETERMINER MATTER",
    "PRONOUN VERB the THING without DETERMINER PERSON and PRONOUN ADVERB VERB the ANIMAL near the "
    "ROOM",
    "NAME from PLACE VERB TENS NUMBER COLOUR THING and NAME from PLACE VERB NUMBER ADJECTIVE "
    "ANIMAL",
    "is DETERMINER PERSON ADJECTIVE than NAME",
    "isn't DETERMINER MATTER ADJECTIVE in MONTH",
    "another ADJECTIVE MATTER",
    "nobody VERB DETERMINER COLOUR THING in MONTH",
    "the WEATHER was PREPOSITION the ROOM",
    "MEAL at NUMBER o'clock with DETERMINER PERSON",
    "DAY is WEEKDAY",
    "GREETING NAME",
]


def sample_free(rng: random.Random) -> str:
    """Returns 1 to 20 words, each drawn uniformly from the vocabulary."""
    n_words = min(MAX_WORDS, 1 + int(rng.gammavariate(1.9, 3.4)))
    return " ".join(rng.choice(VOCABULARY) for _ in range(n_words))


def sample_template(rng: random.Random) -> str:
    """Returns one template, or two in a row, with every slot filled independently."""
    n_templates = 2 if rng.random() < 0.3 else 1
    words: list[str] = []
    for _ in range(n_templates):
        for part in rng.choice(TEMPLATES).split():
            words.append(rng.choice(SLOTS[part.lower()]) if part.isupper() else part)
    return " ".join(words[:MAX_WORDS])


def is_held_out(text: str) -> bool:
    """Whether a text is reserved for the test set.

    One-word texts are few, and the training set would use all of them. So every sixth word of the
    vocabulary is never a training sentence of its own.
    """
    return text in VOCABULARY and VOCABULARY.index(text) % 6 == 0


def sample_sentences(seed: int, excluded: set[str]) -> Iterator[tuple[str, str]]:
    """Yields (kind, text) without end; kinds alternate. No text repeats or is in `excluded`."""
    rng = random.Random(f"text-{seed}")
    seen = set(excluded)
    samplers = (("free", sample_free), ("template", sample_template))
    while True:
        for kind, sample in samplers:
            text = sample(rng)
            while text in seen:
                text = sample(rng)
            seen.add(text)
            yield kind, text
