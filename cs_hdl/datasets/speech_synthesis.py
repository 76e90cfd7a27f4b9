"""A data set with the layout of Google Speech Commands, spoken by a synthesiser and disturbed on purpose.

It stands in where the real recordings cannot be had; every accuracy on it is one on synthetic speech. A speaker is
a timbre of its own, drawn at random, with an accent, a pitch, a pace and a length of the throat. The hash of its name
says in which split a speaker is, as in the real set, so that the test split holds voices that training never heard.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.io import wavfile

from cs_hdl.datasets.acoustics import NOISES, coloured_noise, in_room, mixed, resampled, through_microphone, trimmed
from cs_hdl.datasets.espeak import Espeak
from cs_hdl.datasets.speech_commands import BACKGROUND, SAMPLE_RATE, WORDS
from cs_hdl.datasets.timbres import make_timbre
from cs_hdl.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["OTHER_WORDS", "Recipe", "Speaker", "make_speakers", "synthesise"]

#: The words of the data set that are not to be told apart.
OTHER_WORDS = (
    "backward", "bed", "bird", "cat", "dog", "eight", "five", "follow", "forward", "four", "happy", "house", "learn",
    "marvin", "nine", "one", "seven", "sheila", "six", "three", "tree", "two", "visual", "wow", "zero",
)  # fmt: skip
_ACCENTS = ("en", "en-029", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-gb-x-rp", "en-us", "en-us-nyc")
#: Names of the record and of what describes the folder.
RECORD = "synthesis.json"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How much is made and how it is disturbed; ratios in decibels, times in seconds."""

    seed: int = 2112
    speakers: int = 2400
    clips_per_word: int = 2400
    clips_per_other_word: int = 160
    lowest_ratio_db: float = 15.0
    highest_ratio_db: float = 40.0
    longest_echo: float = 0.25
    background_seconds: int = 60


@dataclass(frozen=True, kw_only=True)
class Speaker:
    """``name``: what the files begin with; ``timbre``: lines of a voice variant; ``throat``: factor on the length of
    every sound, and so on all its frequencies' inverse; the rest as :meth:`cs_hdl.datasets.espeak.Espeak.say` takes it.
    """

    name: str
    accent: str
    timbre: tuple[str, ...]
    pitch: int
    words_per_minute: int
    throat: float


def make_speakers(*, count: int, seed: int) -> tuple[Speaker, ...]:
    """``count`` speakers, each with a name of its own (eight hexadecimal digits, as the real set's have)."""
    generator = np.random.default_rng([seed, 0])
    speakers: dict[str, Speaker] = {}
    while len(speakers) < count:
        name = hashlib.sha1(f"{seed} {len(speakers)} {generator.integers(1 << 32)}".encode()).hexdigest()[:8]
        speakers[name] = Speaker(
            name=name,
            accent=str(generator.choice(_ACCENTS)),
            timbre=make_timbre(generator),
            pitch=int(generator.integers(30, 71)),
            words_per_minute=int(generator.integers(120, 221)),
            throat=float(generator.uniform(0.86, 1.16)),
        )
    return tuple(speakers.values())


def synthesise(out: Path, recipe: Recipe, *, progress: Callable[[int, int], None] | None = None) -> None:
    """Write the folder ``out``, which must not exist, in one piece: made aside and renamed.

    Equal recipes and versions of eSpeak NG give equal files, where nothing was said before in the process.
    ``progress`` is called with the clips done and their
    number. Raises InputError where ``out`` exists, ToolError where the synthesiser is missing.
    """
    if out.exists():
        raise InputError(f"{out}: exists already; name another folder, or remove it")
    speakers = make_speakers(count=recipe.speakers, seed=recipe.seed)
    espeak = Espeak()
    words = [*((w, recipe.clips_per_word) for w in WORDS), *((w, recipe.clips_per_other_word) for w in OTHER_WORDS)]
    total = sum(count for _, count in words)
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        done = 0
        for number, (word, count) in enumerate(words):
            (aside / word).mkdir()
            generator = np.random.default_rng([recipe.seed, 1, number])
            # Speakers in turn, each word from another one on, so that all say about equally much.
            order = generator.permutation(len(speakers))
            for index in range(count):
                speaker = speakers[order[index % len(speakers)]]
                clip = _clip(espeak, speaker, word, recipe, generator)
                repeat = index // len(speakers)
                wavfile.write(aside / word / f"{speaker.name}_nohash_{repeat}.wav", SAMPLE_RATE, clip)
                done += 1
                if progress is not None:
                    progress(done, total)
        _background(aside / BACKGROUND, recipe)
        command = f"scripts/make-speech {out.name} --seed {recipe.seed} --speakers {recipe.speakers}"
        command += f" --clips {recipe.clips_per_word} --other-clips {recipe.clips_per_other_word}"
        record = {
            "data": "synthetic speech, not recordings",
            "command": command,
            "recipe": asdict(recipe),
            "words": dict(words),
            "speakers": [asdict(speaker) for speaker in speakers],
        }
        (aside / RECORD).write_text(json.dumps(record, indent=1) + "\n")
        aside.chmod(0o755)
        aside.rename(out)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _clip(
    espeak: Espeak, speaker: Speaker, word: str, recipe: Recipe, generator: np.random.Generator
) -> NDArray[np.int16]:
    """One second: the word somewhere in it, in a room, with noise."""
    spoken = espeak.say(
        word,
        accent=speaker.accent,
        timbre=speaker.timbre,
        words_per_minute=int(np.clip(speaker.words_per_minute + generator.integers(-25, 26), 90, 260)),
        pitch=int(np.clip(speaker.pitch + generator.integers(-10, 11), 0, 99)),
        pitch_range=int(generator.integers(20, 90)),
    )
    ratio = SAMPLE_RATE / espeak.rate * speaker.throat * generator.uniform(0.97, 1.03)
    voice = resampled(trimmed(spoken.astype(np.float64)), ratio)[:SAMPLE_RATE]
    second = np.zeros(SAMPLE_RATE)
    # Mostly about the middle, and now and then cut off at an end, as people are who press a key too early.
    room = SAMPLE_RATE - len(voice)
    begin = int(room / 2 + generator.normal(0, 0.12) * SAMPLE_RATE)
    begin = int(np.clip(begin, -0.15 * len(voice), room + 0.15 * len(voice)))
    part = voice[max(0, -begin) : SAMPLE_RATE - begin]
    second[max(0, begin) : max(0, begin) + len(part)] = part
    if generator.random() < 0.7:
        echo = generator.uniform(0.05, recipe.longest_echo)
        wet = generator.uniform(0.05, 1.0)
        second = in_room(second, seconds=echo, wet=wet, rate=SAMPLE_RATE, generator=generator)[:SAMPLE_RATE]
    noise = coloured_noise(str(generator.choice(NOISES)), SAMPLE_RATE, rate=SAMPLE_RATE, generator=generator)
    ratio_db = generator.uniform(recipe.lowest_ratio_db, recipe.highest_ratio_db)
    heard = through_microphone(mixed(second, noise, ratio_db=ratio_db), generator=generator)
    return _as_int16(heard, generator.uniform(0.1, 0.95))


def _background(folder: Path, recipe: Recipe) -> None:
    """Minutes of noise, one file a kind; the real set's are of the same length."""
    folder.mkdir()
    for number, kind in enumerate(NOISES):
        generator = np.random.default_rng([recipe.seed, 2, number])
        count = recipe.background_seconds * SAMPLE_RATE
        noise = coloured_noise(kind, count, rate=SAMPLE_RATE, generator=generator)
        heard = through_microphone(noise, generator=generator)
        wavfile.write(folder / f"{kind}.wav", SAMPLE_RATE, _as_int16(heard, 0.5))


def _as_int16(samples: NDArray[np.float64], peak: float) -> NDArray[np.int16]:
    scaled: NDArray[np.int16] = np.rint(samples / np.abs(samples).max() * peak * 32767).astype(np.int16)
    return scaled
