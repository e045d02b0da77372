"""Writes nemo_words.jsonl: tokens with their frames, and the words and times NeMo makes of them.

Runs in the NeMo environment (NeMo 2.7.3, sentencepiece 0.2.3). Some tokens are those of sentences,
the others are random. Frames are random, too, as each head could give them. For CTC they are a path
of symbols, so that NeMo finds its own offsets:

    python write_nemo_words.py
"""

import io
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sentencepiece
from nemo.collections.asr.parts.submodules.ctc_decoding import CTCBPEDecoding
from nemo.collections.asr.parts.submodules.rnnt_decoding import RNNTBPEDecoding
from nemo.collections.asr.parts.utils.rnnt_utils import Hypothesis
from nemo.collections.asr.parts.utils.tokenizer_utils import extract_punctuation_from_vocab

SENTENCES = [
    "Yes. No? Well, I don't know!",
    "Dr. Smith paid 3.5 euros, or 1,000 yen; who can tell?",
    "The dogs' tails: long, short, and none at all...",
    "It's ten past twelve, isn't it? Come on! Let's go, quick.",
    "Very, very good. Very good indeed!",
    "He said that the well-known street (the old one) was closed.",
    "Wait. Wait... What? That's all there is, and there isn't more.",
]
N_EXAMPLES = 40


def main() -> None:
    """Writes examples of every head, in the order RNNT, TDT, CTC."""
    generator = random.Random(1)
    tokenizers = [Tokenizer(SENTENCES), Tokenizer([text.lower() for text in SENTENCES])]
    with Path(__file__).with_name("nemo_words.jsonl").open("w", encoding="utf-8") as file:
        for head, words_of in (("rnnt", rnnt_words), ("tdt", tdt_words), ("ctc", ctc_words)):
            for tokenizer in tokenizers:
                for tokens in examples(tokenizer, generator):
                    frames, durations = times(head, tokens, generator)
                    row = {
                        "head": head,
                        "pieces": tokenizer.ids_to_tokens(tokens),
                        "frames": frames,
                        "durations": durations,
                        "words": words_of(tokenizer, tokens, frames, durations),
                    }
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")


class Tokenizer:
    """A byte-pair tokenizer of some lines, with the methods that NeMo's decoding calls."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            model_type="bpe",
            vocab_size=180,
            hard_vocab_limit=False,
            bos_id=-1,
            eos_id=-1,
            minloglevel=2,
            num_threads=1,
        )
        self.tokenizer = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        self.vocab_size = self.tokenizer.get_piece_size()
        self.vocab = self.ids_to_tokens(range(self.vocab_size))
        self.supported_punctuation = extract_punctuation_from_vocab(self.vocab)

    def ids_to_tokens(self, ids: list[int]) -> list[str]:
        """The pieces of tokens."""
        return [self.tokenizer.id_to_piece(token) for token in ids]

    def tokens_to_text(self, pieces: list[str]) -> str:
        """What SentencePiece writes for pieces."""
        return self.tokenizer.decode_pieces(pieces)


def examples(tokenizer: Tokenizer, generator: random.Random) -> Iterator[list[int]]:
    """Tokens of the sentences that the tokenizer was made of, and any tokens in a row.

    Two kinds of tokens are left out, because NeMo makes other words of them than this project. NeMo
    joins a word that begins with a mark which closes nothing (a bracket, an apostrophe) to the word
    before it. NeMo also makes a word without text of a bare space mark.
    """
    for sentence in tokenizer.lines:
        tokens = tokenizer.tokenizer.encode(sentence)
        if not any(map(left_out, tokenizer.ids_to_tokens(tokens))):
            yield tokens
    plain = [token for token, piece in enumerate(tokenizer.vocab) if not left_out(piece)]
    marks = [token for token in plain if tokenizer.vocab[token] in tokenizer.supported_punctuation]
    for _ in range(N_EXAMPLES):
        first = generator.choice([token for token in plain if token not in marks])
        rest = range(generator.randint(0, 14))
        yield [first] + [
            generator.choice(marks if generator.random() < 0.3 else plain) for _ in rest
        ]


def left_out(piece: str) -> bool:
    """Whether NeMo makes other words of a piece."""
    return piece in ("<unk>", "▁") or (piece[0] == "▁" and piece[1] in "('-")


def times(head: str, tokens: list[int], generator: random.Random) -> tuple[list[int], list[int]]:
    """Frames and durations as a search of this head could find them."""
    frames, durations = [], []
    frame = generator.randint(0, 3)
    for place, token in enumerate(tokens):
        frames.append(frame)
        durations.append(1 if head == "rnnt" else generator.randint(head == "ctc", 4))
        pause = generator.choice([0, 0, 0, 1, 3, 30])
        if head == "rnnt":
            frame += generator.choice([0, 1, 2]) + pause
        else:
            frame += durations[-1] + pause
        if head == "ctc" and tokens[place + 1 : place + 2] == [token]:
            frame += 1
    return frames, durations


def rnnt_words(
    tokenizer: Tokenizer, tokens: list[int], frames: list[int], durations: list[int]
) -> list[tuple[str, int, int]]:
    """NeMo's words of an RNNT."""
    decoding = without_network(RNNTBPEDecoding, tokenizer)
    return transducer_words(decoding, tokens, frames, durations)


def tdt_words(
    tokenizer: Tokenizer, tokens: list[int], frames: list[int], durations: list[int]
) -> list[tuple[str, int, int]]:
    """NeMo's words of a TDT, for which NeMo replaces two methods."""
    decoding = without_network(RNNTBPEDecoding, tokenizer)
    decoding._compute_offsets = RNNTBPEDecoding._compute_offsets_tdt
    decoding._refine_timestamps = RNNTBPEDecoding._refine_timestamps_tdt
    return transducer_words(decoding, tokens, frames, durations)


def transducer_words(
    decoding: RNNTBPEDecoding, tokens: list[int], frames: list[int], durations: list[int]
) -> list[tuple[str, int, int]]:
    """NeMo's words of tokens on frames."""
    hypothesis = Hypothesis(
        score=0.0, y_sequence=tokens, timestamp=list(frames), token_duration=durations
    )
    return listed(decoding.compute_rnnt_timestamps(hypothesis).timestamp["word"])


def ctc_words(
    tokenizer: Tokenizer, tokens: list[int], frames: list[int], durations: list[int]
) -> list[tuple[str, int, int]]:
    """NeMo's words of a CTC path that holds the tokens on their frames and is blank elsewhere."""
    path = [tokenizer.vocab_size] * (frames[-1] + durations[-1] + 5)
    for token, frame, duration in zip(tokens, frames, durations):
        path[frame : frame + duration] = [token] * duration
    said = [frame for frame, token in enumerate(path) if token != tokenizer.vocab_size]
    hypothesis = Hypothesis(score=0.0, y_sequence=path, timestamp=said)
    decoding = without_network(CTCBPEDecoding, tokenizer)
    decoding.decode_hypothesis([hypothesis], fold_consecutive=True)
    # NeMo's function for confidence, which runs in between, removes the third of three lists.
    hypothesis.text = hypothesis.text[:2]
    return listed(decoding.compute_ctc_timestamps(hypothesis).timestamp["word"])


def without_network(kind: type, tokenizer: Tokenizer) -> Any:
    """NeMo's decoding with its defaults: it makes words, and has no network to search."""
    decoding = object.__new__(kind)
    decoding.__dict__.update(
        tokenizer=tokenizer,
        blank_id=tokenizer.vocab_size,
        supported_punctuation=tokenizer.supported_punctuation,
        space_before_punct_pattern=re.compile(r"(\s)([.,])"),
        _compute_timestamps=True,
        word_seperator=" ",
        segment_seperators=[".", "?", "!"],
        segment_gap_threshold=None,
    )
    return decoding


def listed(words: list[dict]) -> list[tuple[str, int, int]]:
    """Text, first frame and end."""
    return [(word["word"], int(word["start_offset"]), int(word["end_offset"])) for word in words]


if __name__ == "__main__":
    main()
