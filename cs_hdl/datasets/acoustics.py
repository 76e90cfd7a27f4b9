"""What happens to a voice on its way to the microphone: another throat, a room, noise, a cheap microphone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import fftconvolve, lfilter, resample_poly

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["NOISES", "coloured_noise", "in_room", "mixed", "resampled", "through_microphone", "trimmed"]

#: Kinds of noise: exponents of the spectrum's power over frequency, hum of the mains, and rattling.
NOISES = ("white", "pink", "brown", "hum", "clatter")
_SLOPES = {"white": 0.0, "pink": 1.0, "brown": 2.0}


def trimmed(samples: NDArray[np.float64], *, threshold: float = 0.02) -> NDArray[np.float64]:
    """``samples`` from the first to the last that is at least ``threshold`` of the largest."""
    loud = np.flatnonzero(np.abs(samples) >= threshold * np.abs(samples).max())
    return samples[loud[0] : loud[-1] + 1]


def resampled(samples: NDArray[np.float64], ratio: float) -> NDArray[np.float64]:
    """``ratio`` times as many samples (to the nearest of the fractions n / 160)."""
    up = max(1, round(160 * ratio))
    common = math.gcd(up, 160)
    return np.asarray(resample_poly(samples, up // common, 160 // common))


def in_room(
    samples: NDArray[np.float64], *, seconds: float, wet: float, rate: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """With the echoes of a room in which sound falls by 60 dB in ``seconds``.

    ``wet`` is the energy of the echoes over that of the direct sound.
    """
    length = max(2, int(seconds * rate))
    decay = np.exp(-6.91 * np.arange(length) / length)
    echoes = generator.standard_normal(length) * decay
    response = echoes * math.sqrt(wet / np.sum(echoes**2))
    response[0] += 1.0
    return np.asarray(fftconvolve(samples, response))


def coloured_noise(kind: str, count: int, *, rate: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """``count`` samples of noise of mean power 1."""
    if kind == "hum":
        time = np.arange(count) / rate
        base = generator.uniform(45, 130)
        tones = [np.sin(2 * np.pi * (base * n * time + generator.random())) / n for n in range(1, 9)]
        noise = np.sum(tones, axis=0) + 0.1 * generator.standard_normal(count)
    elif kind == "clatter":
        hits = (generator.random(count) < 6 / rate) * generator.standard_normal(count)
        length = int(0.05 * rate)
        knock = generator.standard_normal(length) * np.exp(-8 * np.arange(length) / length)
        noise = fftconvolve(hits, knock)[:count] + 0.01 * generator.standard_normal(count)
    else:
        spectrum = np.fft.rfft(generator.standard_normal(count))
        shape = np.maximum(np.fft.rfftfreq(count, 1 / rate), 20.0) ** (-_SLOPES[kind] / 2)
        noise = np.fft.irfft(spectrum * shape, count)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)))


def mixed(voice: NDArray[np.float64], noise: NDArray[np.float64], *, ratio_db: float) -> NDArray[np.float64]:
    """``voice`` with ``noise`` (of the same length) whose power lies ``ratio_db`` below that of the voice's sounds."""
    sounding = voice[np.abs(voice) > 0.02 * np.abs(voice).max()]
    power, disturbance = np.mean(sounding**2), np.mean(noise**2)
    return voice + noise * math.sqrt(power / disturbance / 10 ** (ratio_db / 10))


def through_microphone(samples: NDArray[np.float64], *, generator: np.random.Generator) -> NDArray[np.float64]:
    """A random tilt of the spectrum and a high-pass: what a cheap microphone does."""
    tilt, pole = generator.uniform(-0.5, 0.5), generator.uniform(0.9, 0.99)
    return np.asarray(lfilter([1.0, -1.0], [1.0, -pole], lfilter([1.0, tilt], [1.0], samples)))
