"""Speaks with espeak-ng through its C library; word times come from its events.

espeak-ng reports the sample at which each word and each phoneme begins. The names of pause phonemes
start with `_`. espeak-ng reports no ends, so a rule defines them: a word ends where the next word
begins, or where the first pause phoneme after the word's last sound begins.
"""

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.signal import resample_poly

from speech import SAMPLE_RATE_HZ, Request, Speech, SpeechError, write_text

# Values of speak_lib.h.
AUDIO_OUTPUT_SYNCHRONOUS, PHONEME_EVENTS, CHARS_UTF8, POSITION_CHARACTER = 2, 1, 1, 1
PARAMETER_RATE, PARAMETER_PITCH = 1, 3
EVENT_WORD, EVENT_PHONEME = 1, 7
NATIVE_RATE_HZ, WORDS_PER_MINUTE, NORMAL_PITCH = 22_050, 165, 50
# 16000 / 22050 in lowest terms.
RESAMPLE_UP, RESAMPLE_DOWN = 320, 441


class _Identity(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_void_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    """espeak_EVENT."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Identity),
    ]


@dataclass(frozen=True)
class Mark:
    """A word (phoneme is None) or a phoneme that begins at a sample of the native rate."""

    sample: int
    text_position: int
    phoneme: str | None


@cache
def load_synthesiser() -> "Synthesiser":
    """Returns the process's only synthesiser: the library loses events if initialised twice."""
    return Synthesiser()


class Synthesiser:
    """Holds the library's callback, which must outlive every call into the library."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL("libespeak-ng.so.1")
        rate_hz = self.library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, None, PHONEME_EVENTS)
        if rate_hz != NATIVE_RATE_HZ:
            raise SpeechError(f"espeak-ng speaks at {rate_hz} Hz, expected {NATIVE_RATE_HZ}")
        self.blocks: list[np.ndarray] = []
        self.marks: list[Mark] = []
        prototype = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
        )
        self.callback = prototype(self._collect)
        self.library.espeak_SetSynthCallback(self.callback)

    def _collect(self, wave, n_samples: int, events) -> int:
        """Stores the samples and events of one callback. The 0 tells the library to go on."""
        if wave and n_samples:
            self.blocks.append(np.ctypeslib.as_array(wave, (n_samples,)).copy())
        i = 0
        while events[i].type:
            event = events[i]
            if event.type == EVENT_WORD:
                self.marks.append(Mark(event.sample, event.text_position, None))
            elif event.type == EVENT_PHONEME:
                name = event.id.string.decode()
                self.marks.append(Mark(event.sample, event.text_position, name))
            i += 1
        return 0

    def speak(self, handle: str, request: Request) -> Speech:
        """Speaks one sentence; raises SpeechError if a word has no times."""
        self.blocks, self.marks = [], []
        self.library.espeak_SetVoiceByName(handle.encode())
        rate = round(WORDS_PER_MINUTE * request.rate)
        self.library.espeak_SetParameter(PARAMETER_RATE, rate, 0)
        # A pitch step of 10 is about a tenth of the voice's range.
        pitch = round(NORMAL_PITCH + 100 * (request.pitch - 1.0))
        self.library.espeak_SetParameter(PARAMETER_PITCH, pitch, 0)
        text = write_text(request).encode()
        self.library.espeak_Synth(
            text, len(text) + 1, 0, POSITION_CHARACTER, 0, CHARS_UTF8, None, None
        )
        native = np.concatenate(self.blocks).astype(np.float32) / 32768
        samples = resample_poly(native, RESAMPLE_UP, RESAMPLE_DOWN).astype(np.float32)
        spans = [
            tuple(round(x * SAMPLE_RATE_HZ / NATIVE_RATE_HZ) for x in span)
            for span in find_spans(self.marks, request, len(native))
        ]
        return Speech(samples, spans)


def speak_all(handle: str, requests: Sequence[Request]) -> Iterator[Speech]:
    """Speaks the requests in order with one voice."""
    synthesiser = load_synthesiser()
    for request in requests:
        yield synthesiser.speak(handle, request)


def find_spans(marks: list[Mark], request: Request, n_samples: int) -> list[tuple[int, int]]:
    """Returns (start, end) of every word, in samples of the native rate."""
    starts = find_word_starts(marks, request)
    spans = []
    for word, start in enumerate(starts):
        next_start = starts[word + 1] if word + 1 < len(starts) else n_samples
        inside = [m for m in marks if start <= m.sample < next_start and m.phoneme]
        last_sound = max((i for i, m in enumerate(inside) if m.phoneme[0] != "_"), default=None)
        if last_sound is None:
            raise SpeechError(f"espeak-ng did not sound word {word} of {request.words}")
        pauses = inside[last_sound + 1 :]
        spans.append((start, pauses[0].sample if pauses else next_start))
    return spans


def find_word_starts(marks: list[Mark], request: Request) -> list[int]:
    """Returns the sample at which each word begins.

    espeak-ng speaks pairs such as "in the" as one word with one event. The second word then begins
    at its first phoneme, which for "the" is the last `D` of the pair.
    """
    events = {m.text_position - 1: m.sample for m in marks if m.phoneme is None}
    starts: list[int] = []
    position = 0
    for i, word in enumerate(request.words):
        start = events.get(position)
        if start is None and word == "the":
            group = position - len(request.words[i - 1]) - 1
            start = max(
                (m.sample for m in marks if m.phoneme == "D" and m.text_position - 1 == group),
                default=None,
            )
        if start is None:
            raise SpeechError(f"espeak-ng gave no start for word {i} of {request.words}")
        starts.append(start)
        position += len(word) + (2 if i in request.commas else 1)
    return starts
