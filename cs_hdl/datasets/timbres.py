"""Voices that eSpeak NG does not come with: a timbre drawn at random, as a variant file of eSpeak NG describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["make_timbre"]

#: For each group of formants: how far (in per cent, a standard deviation) their frequencies lie from those of the
#: plain voice, the mean of their heights, and how far heights and widths lie apart. The first three tell vowels apart.
_FORMANTS = ((range(1), 4, 100, 15), (range(1, 4), 5, 95, 20), (range(4, 6), 8, 80, 25), (range(6, 9), 8, 80, 25))
#: The pitches of men and women, in hertz.
_PITCHES = (75.0, 220.0)
#: Frequencies of the equaliser's steps, in hertz; each lets through 0 to 255.
_TONES = (600, 1200, 2000, 3000)
#: eSpeak NG's Klatt synthesisers make the sound of the throat in another way.
_KLATT, _SHARE_OF_KLATT = (1, 2, 3, 4, 5), 0.2


def make_timbre(generator: np.random.Generator) -> tuple[str, ...]:
    """The lines of a voice variant; equal states of ``generator`` give equal lines.

    Formants (frequency, height, width in per cent of the plain voice's), pitch, an equaliser, strength of voiced sounds
    and consonants, roughness and flutter. Nothing breathes: eSpeak NG's breath differs from run to run.
    """
    lines = ["language variant"]
    low = _PITCHES[0] * (_PITCHES[1] / _PITCHES[0]) ** generator.random()
    lines.append(f"pitch {low:.0f} {low * generator.uniform(1.15, 1.5):.0f}")
    if generator.random() < _SHARE_OF_KLATT:
        lines.append(f"klatt {generator.choice(_KLATT)}")
    for numbers, spread, height, apart in _FORMANTS:
        for number in numbers:
            frequency = generator.normal(100, spread)
            sizes = [max(30.0, generator.normal(mean, apart)) for mean in (height, 100)]
            lines.append(f"formant {number} {frequency:.0f} {sizes[0]:.0f} {sizes[1]:.0f}")
    steps = " ".join(f"{hertz} {generator.integers(80, 256)}" for hertz in _TONES)
    lines.append(f"tone {steps}")
    lines.append(f"voicing {generator.integers(70, 141)}")
    lines.append(f"consonants {generator.integers(60, 141)} {generator.integers(60, 141)}")
    lines.append(f"flutter {generator.integers(0, 8)}")
    lines.append(f"roughness {generator.integers(0, 4)}")
    lines.append(f"intonation {generator.integers(1, 5)}")
    return tuple(lines)
