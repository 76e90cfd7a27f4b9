"""Log-mel features of one second of sound: the 32x32 input of the paper's speech network, in NumPy.

32 bands between 0 Hz and 8 kHz on Slaney's mel scale, each of unit area; power spectra of 2,048 samples under a
Hann window, 512 apart, the signal padded with zeros so that the first frame is centred on its first sample: what
librosa computes by default, which the published training code used. Decibels relative to the clip's largest value.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from cs_hdl.datasets.speech_commands import SAMPLE_RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BANDS", "FRAMES", "log_mel", "mel_filters"]

BANDS = 32
FRAMES = 32
_WINDOW, _HOP = 2048, 512
#: What lies further below the clip's largest value counts as this far.
_FLOOR_DB = 80.0
_SILENT = 1e-10


def log_mel(samples: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Features uint8 ``[n, 32 bands, 32 frames, 1]`` of ``samples`` int16 ``[n, 16000]``.

    0 stands for 80 dB or more below the clip's loudest value, 255 for that value; band 0 is the lowest.
    Raises ValueError for clips of another length.
    """
    if samples.ndim != 2 or samples.shape[1] != SAMPLE_RATE:
        raise ValueError(f"samples must be [n, {SAMPLE_RATE}], not {list(samples.shape)}")
    padded = np.pad(samples.astype(np.float32) / 32768, ((0, 0), (_WINDOW // 2, _WINDOW // 2)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW, axis=1)[:, ::_HOP]
    window = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)  # periodic, as for spectra
    power = np.abs(np.fft.rfft(frames * window, axis=2)) ** 2
    mel = power @ mel_filters().T
    decibel = 10 * np.log10(np.maximum(mel, _SILENT))
    relative = decibel - decibel.max(axis=(1, 2), keepdims=True)
    scaled = np.rint((relative + _FLOOR_DB) * (255 / _FLOOR_DB)).clip(0, 255)
    return np.ascontiguousarray(scaled.astype(np.uint8).transpose(0, 2, 1)[..., np.newaxis])


@cache
def mel_filters() -> NDArray[np.float64]:
    """Triangles ``[32, 1025]`` over the bins of a spectrum, each of unit area in hertz."""
    edges = _to_hertz(np.linspace(0.0, _to_mel(SAMPLE_RATE / 2), BANDS + 2))
    bins = np.linspace(0.0, SAMPLE_RATE / 2, _WINDOW // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return np.asarray(triangles * (2 / (edges[2:] - edges[:-2]))[:, None])


# Slaney's scale: linear to 1 kHz (15 mel), then 27 steps for each factor of 6.4.
_LINEAR, _BREAK, _STEP = 200 / 3, 15.0, np.log(6.4) / 27


def _to_mel(hertz: float) -> float:
    """For frequencies above 1 kHz."""
    return float(_BREAK + np.log(hertz / 1000) / _STEP)


def _to_hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < _BREAK, mel * _LINEAR, 1000 * np.exp(_STEP * (mel - _BREAK)))
