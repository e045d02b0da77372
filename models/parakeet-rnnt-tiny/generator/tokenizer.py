"""Trains the tiny model's SentencePiece BPE tokenizer, in the files and with the options of NeMo.

Usage: python tokenizer.py --data DIR --out DIR
Reads DIR/train.jsonl, writes tokenizer.model, tokenizer.vocab and vocab.txt.
"""

import argparse
import json
import pathlib

import sentencepiece

VOCABULARY_SIZE = 128


def train_tokenizer(texts: list[str], out: pathlib.Path) -> None:
    """Writes the three tokenizer files that a `.nemo` archive carries."""
    out.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_prefix=str(out / "tokenizer"),
        model_type="bpe",
        vocab_size=VOCABULARY_SIZE,
        # A transducer starts from blank and ends with the audio: it needs neither piece.
        bos_id=-1,
        eos_id=-1,
        unk_id=0,
        # Merges of equal count apply in the order of discovery: only one thread is reproducible.
        num_threads=1,
        minloglevel=1,
    )
    processor = sentencepiece.SentencePieceProcessor(model_file=str(out / "tokenizer.model"))
    # NeMo's vocab.txt spells pieces as word pieces ("##" joins to the left), without the unknown.
    pieces = [processor.id_to_piece(i) for i in range(1, processor.get_piece_size())]
    lines = [piece[1:] if piece.startswith("\u2581") else f"##{piece}" for piece in pieces]
    (out / "vocab.txt").write_text("\n".join(line or "##\u2581" for line in lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder of synthesize.py")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    with open(arguments.data / "train.jsonl") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    train_tokenizer(texts, arguments.out)


if __name__ == "__main__":
    main()
