"""Level, noise, band and room for speech, seeded and fast enough for the inside of a training loop.

    augmenter = Augmenter(seed=7, babble=[int16 array, ...])
    samples = augmenter.augment(samples, 5.0, np.random.default_rng(step))

No step moves a sound in time, so word times stay true: filters are symmetric, and the room only
adds echoes after the direct sound. Noise is cut from banks that are made once, because a random
generator or a Fourier transform per utterance would cost more than all other steps.
"""

from collections.abc import Sequence

import numpy as np

SAMPLE_RATE_HZ = 16_000
# Longer than any training utterance, so that two cuts are seldom the same.
N_BANK_SAMPLES = 40 * SAMPLE_RATE_HZ
BABBLE_TALKERS = 6
N_TAPS = 41

PROBABILITY = {"noise": 0.75, "band": 0.15, "room": 0.15}
MOST_SNR_DB = 35.0
PEAK_DB = (-30.0, -1.0)


class Augmenter:
    """Noise banks made from a seed; `augment` draws from the generator that its caller passes."""

    def __init__(self, seed: int, babble: Sequence[np.ndarray] = ()) -> None:
        """`babble` are utterances, int16 or float; without utterances there is no babble noise."""
        rng = np.random.default_rng([seed, 0])
        self.banks = {
            "white": make_coloured_noise(rng, 0.0),
            "pink": make_coloured_noise(rng, 0.5),
            "brown": make_coloured_noise(rng, 1.0),
            "hum": make_hum(rng),
        }
        if babble:
            self.banks["babble"] = make_babble(rng, babble)
        self.filters = [make_band_filter(*band) for band in ((0, 3400), (300, 3400), (0, 5000))]

    def augment(
        self, samples: np.ndarray, least_snr_db: float, rng: np.random.Generator
    ) -> np.ndarray:
        """Returns float32 in [-1, 1], as long as `samples` (int16, or float of any scale).

        Noise lies at least `least_snr_db` below the speech.

        `samples` must last 10 ms or more: numpy's convolution lengthens a signal that is shorter
        than the filter.
        """
        changed = samples.astype(np.float32)
        if rng.random() < PROBABILITY["room"]:
            changed = add_room(changed, rng)
        if rng.random() < PROBABILITY["noise"]:
            name = list(self.banks)[rng.integers(len(self.banks))]
            most_snr_db = max(MOST_SNR_DB, least_snr_db + 10.0)
            changed = self.add_noise(changed, name, rng.uniform(least_snr_db, most_snr_db), rng)
        if rng.random() < PROBABILITY["band"]:
            kernel = self.filters[rng.integers(len(self.filters))]
            changed = np.convolve(changed, kernel, mode="same")
        return set_peak(changed, rng.uniform(*PEAK_DB))

    def add_noise(
        self, samples: np.ndarray, name: str, snr_db: float, rng: np.random.Generator
    ) -> np.ndarray:
        """Adds a cut of the bank; the speech is `snr_db` above the noise."""
        bank = self.banks[name]
        if len(samples) > len(bank):
            bank = np.resize(bank, len(samples))
        first = int(rng.integers(len(bank) - len(samples) + 1))
        noise = bank[first : first + len(samples)]
        noise_power = max(float(np.dot(noise, noise)) / len(noise), 1e-12)
        scale = np.sqrt(measure_speech_power(samples) / noise_power * 10 ** (-snr_db / 10))
        return samples + np.float32(scale) * noise


def measure_speech_power(samples: np.ndarray) -> float:
    """Returns the mean power of the 10 ms blocks that are within 30 dB of the loudest block.

    A mean over all blocks would count pauses, and set weaker noise in a sentence with long pauses.
    """
    block = SAMPLE_RATE_HZ // 100
    blocks = samples[: len(samples) // block * block].reshape(-1, block)
    power = np.einsum("ij,ij->i", blocks, blocks) / block
    loud = power[power > power.max(initial=0.0) * 1e-3]
    return float(loud.mean()) if len(loud) else 0.0


def set_peak(samples: np.ndarray, peak_db: float) -> np.ndarray:
    """Scales to a peak in dB relative to full scale; silence stays silence."""
    peak = max(float(samples.max(initial=0.0)), -float(samples.min(initial=0.0)))
    if peak == 0.0:
        return samples.astype(np.float32)
    return (samples * np.float32(10 ** (peak_db / 20) / peak)).astype(np.float32)


def make_coloured_noise(rng: np.random.Generator, slope: float) -> np.ndarray:
    """Returns noise whose amplitude falls as 1 / f^slope: 0 white, 0.5 pink, 1 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(N_BANK_SAMPLES))
    frequency = np.fft.rfftfreq(N_BANK_SAMPLES, 1 / SAMPLE_RATE_HZ)
    # Without this floor nearly all power of brown noise would lie at inaudible frequencies.
    spectrum *= np.maximum(frequency, 40.0) ** -slope
    spectrum[0] = 0.0
    return scale_to_unit_power(np.fft.irfft(spectrum, N_BANK_SAMPLES))


def make_hum(rng: np.random.Generator) -> np.ndarray:
    """Returns mains hum, half of the bank at 50 Hz and half at 60 Hz, with weaker harmonics."""
    time = np.arange(N_BANK_SAMPLES // 2) / SAMPLE_RATE_HZ
    halves = [
        sum(
            rng.uniform(0.2, 1.0) / k * np.sin(2 * np.pi * (mains * k * time + rng.random()))
            for k in range(1, 9)
        )
        for mains in (50, 60)
    ]
    return scale_to_unit_power(np.concatenate(halves))


def make_babble(rng: np.random.Generator, utterances: Sequence[np.ndarray]) -> np.ndarray:
    """Returns several talkers at once, each a chain of random utterances at equal power."""
    total = np.zeros(N_BANK_SAMPLES)
    for _ in range(BABBLE_TALKERS):
        position = 0
        while position < N_BANK_SAMPLES:
            speech = utterances[rng.integers(len(utterances))].astype(np.float64)
            speech /= np.sqrt(max(measure_speech_power(speech), 1e-12))
            n = min(len(speech), N_BANK_SAMPLES - position)
            total[position : position + n] += speech[:n]
            position += n
    return scale_to_unit_power(total)


def make_band_filter(low_hz: int, high_hz: int) -> np.ndarray:
    """Returns a windowed-sinc band filter; a symmetric filter delays nothing."""
    n = np.arange(N_TAPS) - N_TAPS // 2
    low, high = 2 * low_hz / SAMPLE_RATE_HZ, 2 * high_hz / SAMPLE_RATE_HZ
    kernel = (high * np.sinc(high * n) - low * np.sinc(low * n)) * np.hamming(N_TAPS)
    return kernel.astype(np.float32)


def add_room(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Adds a few echoes within 60 ms, each weaker the later it comes: a small room."""
    echoed = samples.copy()
    for delay in np.sort(rng.integers(32, SAMPLE_RATE_HZ * 60 // 1000, size=6)):
        if delay < len(samples):
            gain = np.float32(rng.uniform(-0.5, 0.5) * 0.001 ** (delay / (0.2 * SAMPLE_RATE_HZ)))
            echoed[delay:] += gain * samples[:-delay]
    return echoed


def scale_to_unit_power(noise: np.ndarray) -> np.ndarray:
    """Scales noise to a mean square of 1."""
    return (noise / np.sqrt((noise**2).mean())).astype(np.float32)
