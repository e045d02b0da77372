"""Speaks with flite through its C library; word times come from the Segment relation.

flite gives the end of every phone in seconds, and links the phone to its word and token. A word
lasts from the end of the phone before the word to the end of its own last phone. `pau` phones
belong to no word.
"""

import ctypes
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np

from speech import SAMPLE_RATE_HZ, Request, Speech, SpeechError, write_text

POINTER = ctypes.c_void_p


class _Wave(ctypes.Structure):
    """flite's `cst_wave`."""

    _fields_ = [
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    ]


class _Voice(ctypes.Structure):
    """The head of flite's `cst_voice`; the rest is not read."""

    _fields_ = [("name", ctypes.c_char_p), ("features", POINTER)]


# Result and argument types of every called function; without them ctypes truncates pointers to int.
SIGNATURES = {
    "flite_synth_text": (POINTER, [ctypes.c_char_p, ctypes.POINTER(_Voice)]),
    "utt_wave": (ctypes.POINTER(_Wave), [POINTER]),
    "utt_relation": (POINTER, [POINTER, ctypes.c_char_p]),
    "relation_head": (POINTER, [POINTER]),
    "item_next": (POINTER, [POINTER]),
    "item_as": (POINTER, [POINTER, ctypes.c_char_p]),
    "item_parent": (POINTER, [POINTER]),
    "item_feat_float": (ctypes.c_float, [POINTER, ctypes.c_char_p]),
    "feat_set_float": (None, [POINTER, ctypes.c_char_p, ctypes.c_float]),
    "delete_utterance": (None, [POINTER]),
}


@cache
def load_library() -> ctypes.CDLL:
    """Loads libflite with the English text front end."""
    flite = ctypes.CDLL("libflite.so.1", mode=ctypes.RTLD_GLOBAL)
    for name in ("cmulex", "usenglish"):
        ctypes.CDLL(f"libflite_{name}.so.1", mode=ctypes.RTLD_GLOBAL)
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(flite, name)
        function.restype, function.argtypes = result, arguments
    flite.flite_init()
    return flite


@cache
def load_voice(handle: str) -> "ctypes._Pointer[_Voice]":
    """Loads and registers a voice."""
    load_library()
    voice_library = ctypes.CDLL(f"libflite_cmu_us_{handle}.so.1", mode=ctypes.RTLD_GLOBAL)
    register = getattr(voice_library, f"register_cmu_us_{handle}")
    register.restype, register.argtypes = ctypes.POINTER(_Voice), [ctypes.c_char_p]
    return register(None)


def speak_all(handle: str, requests: Sequence[Request]) -> Iterator[Speech]:
    """Speaks the requests in order with one voice; raises SpeechError if word counts differ."""
    flite, voice = load_library(), load_voice(handle)
    for request in requests:
        features = voice.contents.features
        flite.feat_set_float(features, b"duration_stretch", 1.0 / request.rate)
        flite.feat_set_float(features, b"f0_shift", request.pitch)
        utterance = flite.flite_synth_text(write_text(request).encode(), voice)
        wave = flite.utt_wave(utterance).contents
        if wave.sample_rate != SAMPLE_RATE_HZ:
            raise SpeechError(f"flite spoke at {wave.sample_rate} Hz, expected {SAMPLE_RATE_HZ}")
        samples = np.ctypeslib.as_array(wave.samples, (wave.num_samples,)) / np.float32(32768)
        spans = read_spans(flite, utterance)
        flite.delete_utterance(utterance)
        if len(spans) != len(request.words):
            raise SpeechError(f"flite spoke {len(spans)} words, expected {request.words}")
        yield Speech(samples, spans)


def read_spans(flite: ctypes.CDLL, utterance: int) -> list[tuple[int, int]]:
    """Returns (start, end) in samples of every token that has phones, in order."""
    spans: list[tuple[int, int]] = []
    last_token, previous_end = None, 0
    segment = flite.relation_head(flite.utt_relation(utterance, b"Segment"))
    while segment:
        end = round(flite.item_feat_float(segment, b"end") * SAMPLE_RATE_HZ)
        token = find_token(flite, segment)
        if token and token == last_token:
            spans[-1] = (spans[-1][0], end)
        elif token:
            spans.append((previous_end, end))
        last_token, previous_end = token, end
        segment = flite.item_next(segment)
    return spans


def find_token(flite: ctypes.CDLL, segment: int) -> int | None:
    """Returns the token of a phone, or None for a pause.

    A contraction may be two flite words ("it" and "'s") but is one token: a token is a word of the
    request.
    """
    in_structure = flite.item_as(segment, b"SylStructure")
    syllable = in_structure and flite.item_parent(in_structure)
    word = syllable and flite.item_parent(syllable)
    return flite.item_parent(flite.item_as(word, b"Token")) if word else None
