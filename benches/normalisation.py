"""Compares log-mel normalised chunk by chunk with log-mel normalised over the whole file.

    cargo run -p e2e-tests --bin long_recording -- pauses 600 /tmp/pauses.wav
    .venv/bin/python benches/normalisation.py /tmp/pauses.wav...

Prints the number of wrong words of each recording. The tiny model transcribes the recording in the
chunks of the default rules. A word belongs to the chunk in whose searched frames it starts, as in the
worker. At a hard cut, which is rare, the middle of the overlap divides the two chunks.
"""

import json
import pathlib
import sys
import tempfile
import wave

import torch

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "xtask/python"))

from exporter.checkpoint import read_checkpoint  # noqa: E402
from exporter.parakeet import build  # noqa: E402

TINY = ROOT / "models/parakeet-rnnt-tiny/parakeet-rnnt-tiny.nemo"
STRIDE = 1280
HOP = 160
MAX_SYMBOLS = 10


class Features(torch.nn.Module):
    """Log-mel, normalised over the row or by given statistics."""

    def __init__(self, log_mel: torch.nn.Module) -> None:
        super().__init__()
        self.log_mel = log_mel
        self.statistics: tuple[torch.Tensor, torch.Tensor] | None = None

    def raw(self, audio: torch.Tensor) -> torch.Tensor:
        """Returns log-mel (n_mels, T) before normalisation, by a patch of `torch.log`."""
        captured = []
        log = torch.log
        torch.log = lambda power: captured.append(log(power)) or captured[0]
        try:
            self.log_mel(audio[None], torch.tensor([len(audio)]))
        finally:
            torch.log = log
        return captured[0][0]

    def forward(self, audio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the features (1, n_mels, T) of one chunk and their number."""
        n_samples = torch.tensor([len(audio)])
        features, n_frames = self.log_mel(audio[None], n_samples)
        if self.statistics is not None:
            mean, deviation = self.statistics
            features = ((self.raw(audio) - mean) / (deviation + 1e-5))[None]
            features[:, :, int(n_frames) :] = 0.0
        return features, n_frames


def search(model: torch.nn.Module, encoded: torch.Tensor, first: int, last: int) -> list[int]:
    """Returns the greedy tokens of the frames `first` to `last` of (1, T', J)."""
    state = model.initial_state(1)
    tokens: list[int] = []
    frame, n_symbols = first, 0
    while frame < last:
        lanes = torch.tensor([[0, frame]])
        token, duration, _ = model.score(encoded, state[0], lanes, 1)[0, 0].tolist()
        if duration == 1:  # An RNNT's blank.
            frame, n_symbols = frame + 1, 0
            continue
        tokens.append(int(token))
        state = model.advance(*state, torch.tensor([[0, int(token)]]))
        n_symbols += 1
        if n_symbols == MAX_SYMBOLS:
            frame, n_symbols = frame + 1, 0
    return tokens


def n_errors(spoken: list[str], recognised: list[str]) -> int:
    """Returns the Levenshtein distance of two lists of words."""
    row = list(range(len(recognised) + 1))
    for s, word in enumerate(spoken, 1):
        above, row[0] = row[0], s
        for h, other in enumerate(recognised, 1):
            above, row[h] = row[h], min(above + (word != other), row[h] + 1, row[h - 1] + 1)
    return row[-1]


def main() -> None:
    """Prints a line per recording."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        checkpoint = read_checkpoint(TINY, pathlib.Path(scratch))
        model = build(checkpoint.sizes, 750, checkpoint.weights).eval()
        features = Features(model.log_mel)
        for name in sys.argv[1:]:
            path = pathlib.Path(name)
            with wave.open(name) as recording:
                content = bytearray(recording.readframes(recording.getnframes()))
            audio = torch.frombuffer(content, dtype=torch.int16).float() / 32768
            truth = json.loads(path.with_suffix(".json").read_text())
            raw = torch.cat([features.raw(part) for part in audio.split(HOP * 6000)], dim=1)
            statistics = raw.mean(1, keepdim=True), raw.std(1, keepdim=True)
            wrong = []
            for by in (None, statistics):
                features.statistics = by
                text, end = "", 0
                for encoded_from, encoded_to, searched_from, searched_to in truth["chunks"]:
                    searched_from += max(end - searched_from, 0) // 2
                    encoded, _ = model.encoder(*features(audio[encoded_from:encoded_to]))
                    first = (searched_from - encoded_from) // STRIDE
                    last = min(-(-(searched_to - encoded_from) // STRIDE), encoded.size(1))
                    tokens = search(model, model.head.project(encoded), first, last)
                    text += "".join(checkpoint.pieces[token] for token in tokens)
                    end = searched_to
                recognised = text.replace("\u2581", " ").split()
                wrong.append(n_errors([word for word, _ in truth["words"]], recognised))
            n_words = len(truth["words"])
            print(f"{path.stem}: of {n_words} words wrong by chunk {wrong[0]}, by file {wrong[1]}")


if __name__ == "__main__":
    main()
