"""Speaks with festival in batch mode; word times come from the Token, Word and Segment relations.

One Scheme script speaks many sentences, so that festival loads a voice once per script.
"""

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import soundfile
from scipy.signal import resample_poly

from speech import SAMPLE_RATE_HZ, Request, Speech, SpeechError, write_text

# Both diphone voices speak with this mean pitch in their own settings (int_lr_params).
DIPHONE_PITCH_HZ = 105

# Prints `TOKEN start end` in seconds for every word of a request. A festival token is a text
# between spaces, and its words are the token's daughters. Punctuation is a word without phones.
SCRIPT_HEAD = """
(define (token_phones token)
  (apply append
    (mapcar
      (lambda (word)
        (let ((node (item.relation word 'SylStructure)))
          (if node (apply append (mapcar item.daughters (item.daughters node))) nil)))
      (item.daughters token))))
(define (print_tokens utt)
  (let ((token (utt.relation.first utt 'Token)))
    (while token
      (let ((phones (token_phones token)))
        (if phones
          (format t "TOKEN %f %f\\n"
            (item.feat (car phones) "R:Segment.segment_start")
            (item.feat (car (last phones)) "R:Segment.segment_end"))))
      (set! token (item.next token)))))
(define (say text path)
  (let ((utt (eval (list 'Utterance 'Text text))))
    (utt.synth utt)
    (format t "UTTERANCE\\n")
    (print_tokens utt)
    (utt.save.wave utt path 'riff)))
"""


def speak_all(handle: str, requests: Sequence[Request]) -> Iterator[Speech]:
    """Speaks the requests in order with one voice; raises SpeechError if word counts differ."""
    with tempfile.TemporaryDirectory() as folder:
        script = write_script(handle, requests, Path(folder))
        path = Path(folder) / "speak.scm"
        path.write_text(script)
        command = ["festival", "--batch", str(path)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        for i, (request, times) in enumerate(zip(requests, read_times(answer), strict=True)):
            if len(times) != len(request.words):
                raise SpeechError(f"festival spoke {len(times)} words, expected {request.words}")
            samples, rate_hz = soundfile.read(wave_path(Path(folder), i), dtype="float32")
            if rate_hz != SAMPLE_RATE_HZ:
                samples = resample_poly(samples, SAMPLE_RATE_HZ, rate_hz)
            spans = [tuple(round(x * SAMPLE_RATE_HZ) for x in span) for span in times]
            yield Speech(samples, spans)


def write_script(handle: str, requests: Sequence[Request], folder: Path) -> str:
    """Returns the Scheme script that speaks the requests into WAV files of the folder."""
    lines = [SCRIPT_HEAD, f"(voice_{handle})"]
    if handle.endswith("_hts"):
        lines.append("(set! voice_params hts_engine_params)")
    for i, request in enumerate(requests):
        lines += write_settings(handle, request)
        lines.append(f'(say "{write_text(request)}" "{wave_path(folder, i)}")')
    return "\n".join(lines)


def write_settings(handle: str, request: Request) -> list[str]:
    """Returns the commands that set speed and pitch.

    HMM voices have their own speed option and no pitch: festival ignores their engine's `-fm`.
    """
    if handle.endswith("_hts"):
        speed = f'(list (list "-r" {request.rate:.3f}))'
        return [f"(set! hts_engine_params (append voice_params {speed}))"]
    pitch_hz = DIPHONE_PITCH_HZ * request.pitch
    return [
        f"(Parameter.set 'Duration_Stretch {1 / request.rate:.4f})",
        f"(set! int_lr_params '((target_f0_mean {pitch_hz:.1f}) (target_f0_std 14)"
        " (model_f0_mean 170) (model_f0_std 34)))",
    ]


def read_times(answer: str) -> list[list[tuple[float, float]]]:
    """Parses the script's output: start and end in seconds of every word, per utterance."""
    times: list[list[tuple[float, float]]] = []
    for line in answer.splitlines():
        if line == "UTTERANCE":
            times.append([])
        elif line.startswith("TOKEN "):
            _, start, end = line.split()
            times[-1].append((float(start), float(end)))
    return times


def wave_path(folder: Path, i: int) -> str:
    """Returns the path of the i-th WAV file."""
    return str(folder / f"{i}.wav")
