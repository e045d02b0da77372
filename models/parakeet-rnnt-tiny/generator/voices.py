"""The synthetic voices, and one call that speaks sentences and gives the times of their words.

The backends are `voice_festival`, `voice_flite` and `voice_espeak`. Each reports the times that its
synthesiser used to make the sound. So the times are true by construction; no aligner estimates
them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from speech import Request, Speech


@dataclass(frozen=True)
class Voice:
    """One voice: `engine` selects the backend; `handle` names the voice inside the engine."""

    name: str
    engine: str
    handle: str
    package: str
    licence: str


# From /usr/share/doc/<package>/copyright of Debian 12. All licences allow use and redistribution of
# the synthesised sound. The GPL covers the program espeak-ng and not its output.
EDINBURGH = "Edinburgh/CMU permissive (MIT-like)"
EDINBURGH_AND_BSD = "CMU permissive (EST-2000, EST-2003) and BSD-3-Clause"
CMU = "CMU permissive (MIT-like)"
GPL = "GPL-3.0-or-later (the program)"

VOICES: tuple[Voice, ...] = (
    Voice("festival-kal", "festival", "kal_diphone", "festvox-kallpc16k", EDINBURGH),
    Voice("festival-ked", "festival", "ked_diphone", "festvox-kdlpc16k", EDINBURGH),
    Voice(
        "festival-slt", "festival", "cmu_us_slt_arctic_hts", "festvox-us-slt-hts", EDINBURGH_AND_BSD
    ),
    Voice("flite-awb", "flite", "awb", "libflite1", CMU),
    Voice("flite-rms", "flite", "rms", "libflite1", CMU),
    Voice("flite-slt", "flite", "slt", "libflite1", CMU),
    Voice("espeak-us", "espeak", "en-us", "libespeak-ng1", GPL),
    Voice("espeak-gb-f2", "espeak", "en-gb+f2", "libespeak-ng1", GPL),
)


def speak(voice: Voice, requests: Sequence[Request]) -> Iterator[Speech]:
    """Speaks the requests in order with one voice.

    The backends are imported here and not at the top: each loads its own shared library, and a
    process needs one backend.

    Raises SpeechError when a sentence was not spoken word by word.
    """
    if voice.engine == "festival":
        from voice_festival import speak_all
    elif voice.engine == "flite":
        from voice_flite import speak_all
    else:
        from voice_espeak import speak_all
    return speak_all(voice.handle, requests)
