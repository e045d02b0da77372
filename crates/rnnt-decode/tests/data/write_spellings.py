"""Writes spellings.jsonl: tokens of two tokenizers, and what SentencePiece writes for them.

Needs sentencepiece 0.2.3 and Babel 2.18.0. Babel holds the names that Unicode's CLDR (licence
Unicode-3.0) gives countries, languages and currencies in every language of parakeet-tdt-0.6b-v3.
This script makes sentences of these names. The same versions write the same file:

    python write_spellings.py
"""

import io
import json
import random
from collections.abc import Iterator
from pathlib import Path

import sentencepiece
from babel import Locale

LANGUAGES = "bg cs da de el en es et fi fr hr hu it lt lv mt nl pl pt ro ru sk sl sv uk"
ENDINGS = [".", ".", "?", "!", " ?", " !", "...", "…", '."', ""]
JOINTS = [
    " ",
    " ",
    " ",
    ", ",
    "; ",
    ": ",
    " - ",
    " \N{EN DASH} ",
    "-",
    "'",
    " 'n' ",
    "/",
    " (",
    ") ",
    " «",
    "» ",
]
# Texts with characters that the tokenizers below do not know.
STRANGE = [
    "😀",
    "naïve ☕ 日本語",
    "5 €",
    "①②",
    "\u00a0",
    "a\tb",
    "ﬁne",
    "x²",
    "🇪🇺 flag",
    "\N{MODIFIER LETTER TURNED COMMA}okina",
    "⁇",
]
ODDEST = ["▁", "<unk>", "<s>", "</s>", "<pad>", "<|en|>", "▁?", "▁!", "▁:", ".", "…", "<0x20>"]
N_EXAMPLES = 150


def main() -> None:
    """Trains both tokenizers and writes their examples."""
    generator = random.Random(1)
    lines = list(sentences(generator, 12000))
    tokenizers = [
        train(
            lines,
            vocab_size=8192,
            byte_fallback=True,
            bos_id=-1,
            eos_id=2,
            pad_id=1,
            user_defined_symbols=["<|en|>"],
            character_coverage=0.999,
        ),
        train(
            [line.lower() for line in lines],
            vocab_size=1024,
            bos_id=1,
            eos_id=2,
            pad_id=-1,
            character_coverage=0.98,
        ),
    ]
    out = Path(__file__).with_name("spellings.jsonl")
    with out.open("w", encoding="utf-8") as file:
        for tokenizer in tokenizers:
            for tokens in examples(tokenizer, generator):
                pieces = [tokenizer.id_to_piece(token) for token in tokens]
                row = {"pieces": pieces, "text": tokenizer.decode(tokens)}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def sentences(generator: random.Random, n: int) -> Iterator[str]:
    """Names of one language in a row, with marks between and after them."""
    names = {language: all_names(Locale(language)) for language in LANGUAGES.split()}
    for _ in range(n):
        words = generator.choices(names[generator.choice(list(names))], k=generator.randint(1, 6))
        text = "".join(word + generator.choice(JOINTS) for word in words)
        yield text.rstrip(" -\N{EN DASH}(«'/:;,") + generator.choice(ENDINGS)


def all_names(locale: Locale) -> list[str]:
    """The names that a language gives countries, languages and currencies."""
    tables = (locale.territories, locale.languages, locale.currencies)
    return sorted({name for table in tables for name in table.values()})


def train(lines: list[str], **options: object) -> sentencepiece.SentencePieceProcessor:
    """A byte-pair tokenizer of these lines."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type="bpe",
        num_threads=1,
        minloglevel=2,
        **options,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def examples(
    tokenizer: sentencepiece.SentencePieceProcessor, generator: random.Random
) -> Iterator[list[int]]:
    """Tokens of sentences, of texts with unknown characters, and random tokens."""
    for sentence in sentences(generator, N_EXAMPLES):
        yield tokenizer.encode(sentence)
    for text in STRANGE:
        yield tokenizer.encode(f"{text} x{text}. {text}")
    pieces = [tokenizer.id_to_piece(token) for token in range(tokenizer.get_piece_size())]
    odd = [token for token, piece in enumerate(pieces) if len(piece) == 1 or piece[0] == "<"]
    oddest = [tokenizer.piece_to_id(piece) for piece in ODDEST if piece in pieces]
    for _ in range(N_EXAMPLES):
        yield [
            generator.choice(generator.choice([range(len(pieces)), odd, oddest]))
            for _ in range(generator.randint(1, 12))
        ]


if __name__ == "__main__":
    main()
