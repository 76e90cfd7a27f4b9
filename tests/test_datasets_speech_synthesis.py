"""The synthetic speech set: its layout, its speakers' splits, and that it is made alike again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cs_hdl.datasets.acoustics import NOISES, coloured_noise, mixed, resampled, trimmed
from cs_hdl.datasets.espeak import Espeak
from cs_hdl.datasets.make_speech import main
from cs_hdl.datasets.speech_commands import BACKGROUND, CLASSES, WORDS, list_clips, which_split
from cs_hdl.datasets.speech_synthesis import OTHER_WORDS, Recipe, make_speakers, synthesise
from cs_hdl.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALL = Recipe(speakers=60, clips_per_word=12, clips_per_other_word=1)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.wav"))}


def test_a_small_set(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader", reason="eSpeak NG is not installed (extra: speech)")
    # A process for each: the synthesiser's noise goes on where it was.
    for name in ("a", "b"):
        options = ["--speakers", "60", "--clips", "12", "--other-clips", "1"]
        subprocess.run(
            [sys.executable, "-m", "cs_hdl.datasets.make_speech", str(tmp_path / name), *options], check=True
        )
    files = contents(tmp_path / "a")
    assert {name.split("/")[0] for name in files} == {*WORDS, *OTHER_WORDS, BACKGROUND}
    assert sum(not name.startswith("_") for name in files) == 10 * 12 + len(OTHER_WORDS)
    assert {clip.label for clip in list_clips(tmp_path / "a", "train")} == set(range(len(CLASSES)))
    record = json.loads((tmp_path / "a" / "synthesis.json").read_text())
    assert record["data"] == "synthetic speech, not recordings"
    timbres = {speaker["name"]: tuple(speaker["timbre"]) for speaker in record["speakers"]}
    assert len(set(timbres.values())) == 60
    by_split = defaultdict(set)
    for name in files:
        if not name.startswith("_"):
            by_split[which_split(name)].add(timbres[Path(name).name[:8]])
    assert not by_split["train"] & by_split["test"] and not by_split["train"] & by_split["validation"]
    assert contents(tmp_path / "b") == files, "equal recipes give equal files"
    with pytest.raises(InputError, match="exists already"):
        synthesise(tmp_path / "a", SMALL)


def test_each_speaker_has_a_timbre_of_its_own_and_most_are_for_training() -> None:
    speakers = make_speakers(count=2400, seed=3)
    assert len({speaker.name for speaker in speakers}) == len({speaker.timbre for speaker in speakers}) == 2400
    assert speakers == make_speakers(count=2400, seed=3) != make_speakers(count=2400, seed=4)
    counts = Counter(which_split(f"{speaker.name}_nohash_0.wav") for speaker in speakers)
    assert abs(counts["train"] / 2400 - 0.8) < 0.03 and abs(counts["test"] / 2400 - 0.1) < 0.02, counts


def test_a_timbre_is_heard() -> None:
    pytest.importorskip("espeakng_loader", reason="eSpeak NG is not installed (extra: speech)")
    espeak = Espeak()
    said = {"words_per_minute": 160, "pitch": 50, "pitch_range": 50}
    plain, low, high = (
        espeak.say("yes", accent="en-us", timbre=["language variant", *lines], **said)
        for lines in ([], ["pitch 80 90"], ["pitch 200 220"])
    )
    assert _base_hertz(low, espeak.rate) < 100 < 180 < _base_hertz(high, espeak.rate)
    assert not np.array_equal(plain, low)
    with pytest.raises(InputError, match="no voice 'xx-nowhere'"):
        espeak.say("yes", accent="xx-nowhere", timbre=["language variant"], **said)


def _base_hertz(samples: NDArray[np.int16], rate: int) -> float:
    """Of a sound's strongest period between 60 and 300 hertz."""
    content = samples.astype(np.float64)
    alike = np.correlate(content, content, "full")[len(content) - 1 :]
    shortest, longest = rate // 300, rate // 60
    return rate / (shortest + int(np.argmax(alike[shortest:longest])))


@pytest.mark.parametrize("kind", NOISES)
def test_noise_has_power_one_and_mixes_at_its_ratio(kind: str) -> None:
    rng = np.random.default_rng(1)
    noise = coloured_noise(kind, 16000, rate=16000, generator=rng)
    assert np.mean(noise**2) == pytest.approx(1.0)
    voice = np.sign(np.sin(np.arange(16000.0))) * 3
    added = mixed(voice, noise, ratio_db=10.0) - voice
    assert 10 * np.log10(9 / np.mean(added**2)) == pytest.approx(10.0, abs=0.01)


def test_throats_and_silence() -> None:
    assert len(resampled(np.ones(1600), 0.9)) == 1440
    assert trimmed(np.array([0.0, 0.001, 1.0, -0.5, 0.0])).tolist() == [1.0, -0.5]


def test_wrong_options_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "x"), "--clips", "0"]) == 2
    assert main([str(tmp_path)]) == 2
    errors = capsys.readouterr().err
    assert "must be at least 1" in errors and "exists already" in errors and "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []
