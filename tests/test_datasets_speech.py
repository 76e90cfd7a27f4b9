"""Speech folders: the official split, the twelve classes, mel features, the cache, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from cs_hdl.datasets.mel import log_mel, mel_filters
from cs_hdl.datasets.speech import load_speech_split, read_clip
from cs_hdl.datasets.speech_commands import BACKGROUND, CLASSES, SAMPLE_RATE, WORDS, Clip, list_clips, which_split
from cs_hdl.errors import InputError


def speaker_of(split: str, number: int = 0) -> str:
    """A name whose hash belongs to ``split``."""
    names = (hashlib.sha1(str(i).encode()).hexdigest()[:8] for i in range(1000))
    return [name for name in names if which_split(f"{name}_nohash_0.wav") == split][number]


def write(path: Path, samples: np.ndarray, rate: int = SAMPLE_RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(path, rate, samples.astype(np.int16))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two training speakers and one test speaker, ten words, three other words, two files of noise."""
    rng = np.random.default_rng(0)
    root = tmp_path / "speech"
    people = [speaker_of("train", 0), speaker_of("train", 1), speaker_of("test")]
    for word in (*WORDS, "bed", "cat", "zero"):
        for person in people:
            for repeat in range(2):
                write(root / word / f"{person}_nohash_{repeat}.wav", rng.integers(-3000, 3000, 16000))
    for name in ("a", "b"):
        write(root / BACKGROUND / f"{name}.wav", rng.integers(-3000, 3000, 3 * SAMPLE_RATE))
    (root / "LICENSE").write_text("a file beside the folders\n")
    return root


def test_the_split_is_the_published_function() -> None:
    """Rewritten from the data set's description: hash modulo 2**27, as a share of 2**27 - 1, 10 % and 10 %."""
    found = set()
    for number in range(500):
        name = f"{number:08x}"
        share = int(hashlib.sha1(name.encode()).hexdigest(), 16) % (2**27) * 100 / (2**27 - 1)
        expected = "validation" if share < 10 else "test" if share < 20 else "train"
        assert which_split(f"yes/{name}_nohash_3.wav") == which_split(f"{name}_nohash_0.wav") == expected
        found.add(expected)
    assert found == {"train", "validation", "test"}


def test_clips_of_a_split(folder: Path) -> None:
    clips = list_clips(folder, "train")
    counts = np.bincount([clip.label for clip in clips], minlength=12)
    assert counts.tolist() == [4] * 10 + [4, 4], "unknown and silence are a tenth of the ten words' 40"
    assert {clip.path.parent.name for clip in clips if clip.label == CLASSES.index("unknown")} <= {"bed", "cat", "zero"}
    silence = [clip for clip in clips if clip.label == CLASSES.index("silence")]
    assert all(clip.path.parent.name == BACKGROUND and 0 <= clip.start <= 2 * SAMPLE_RATE for clip in silence)
    assert clips == list_clips(folder, "train") != list_clips(folder, "train", seed=1)

    # Nobody is in two splits.
    def people(split: str) -> set[str]:
        return {clip.path.name[:8] for clip in list_clips(folder, split) if clip.path.parent.name != BACKGROUND}

    assert not people("train") & people("test")


def test_features_are_cached_by_content(folder: Path, tmp_path: Path) -> None:
    cache, calls = tmp_path / "cache", []
    first, labels = load_speech_split(folder, "test", cache=cache, progress=lambda done, of: calls.append((done, of)))
    assert first.shape == (len(labels), 32, 32, 1) and first.dtype == np.uint8
    assert calls == [(len(labels), len(labels))]
    again, _ = load_speech_split(folder, "test", cache=cache, progress=lambda *_: pytest.fail("computed again"))
    assert np.array_equal(first, again)
    changed = next(clip.path for clip in list_clips(folder, "test"))
    write(changed, np.arange(16000) % 999)
    other, _ = load_speech_split(folder, "test", cache=cache)
    assert not np.array_equal(first, other)
    for file in cache.iterdir():
        file.write_bytes(b"cut short")
    assert np.array_equal(load_speech_split(folder, "test", cache=cache)[0], other)


def test_short_clips_are_filled_and_long_ones_cut(tmp_path: Path) -> None:
    for length in (100, SAMPLE_RATE, SAMPLE_RATE + 50):
        write(tmp_path / "x.wav", np.ones(length))
        samples = read_clip(Clip(path=tmp_path / "x.wav", label=0))
        assert len(samples) == SAMPLE_RATE and samples.sum() == min(length, SAMPLE_RATE)
    write(tmp_path / "x.wav", np.arange(3 * SAMPLE_RATE) % 1000)
    assert read_clip(Clip(path=tmp_path / "x.wav", label=0, start=1234))[0] == 234


def test_a_tone_is_loudest_in_its_band() -> None:
    for hertz in (300.0, 1000.0, 3000.0, 7000.0):
        tone = np.sin(2 * np.pi * hertz * np.arange(SAMPLE_RATE) / SAMPLE_RATE) * 10000
        features = log_mel(tone.astype(np.int16)[None])[0, :, :, 0]
        weight = mel_filters()[:, round(hertz / (SAMPLE_RATE / 2048))]
        assert features.max() == 255
        assert (features[:, 4:28].argmax(axis=0) == weight.argmax()).all()


def test_mel_filters_have_unit_area_and_slaneys_break() -> None:
    filters = mel_filters()
    assert filters.shape == (32, 1025)
    # Narrow triangles hit few bins, wide ones are integrated well.
    np.testing.assert_allclose(filters[8:].sum(axis=1) * SAMPLE_RATE / 2048, 1.0, rtol=0.05)
    centres = filters.argmax(axis=1) * SAMPLE_RATE / 2048
    linear = centres[centres < 900]
    np.testing.assert_allclose(np.diff(linear), np.diff(linear).mean(), atol=10)


def test_silence_is_a_feature_too() -> None:
    assert np.array_equal(log_mel(np.zeros((1, SAMPLE_RATE), np.int16)), np.full((1, 32, 32, 1), 255, np.uint8))
    with pytest.raises(ValueError, match=r"\[n, 16000\]"):
        log_mel(np.zeros((1, 100), np.int16))


def test_folders_that_are_no_data_set(folder: Path, tmp_path: Path) -> None:
    for action, message in (
        (lambda: list_clips(tmp_path / "nothing", "test"), "no such folder"),
        (lambda: list_clips(tmp_path, "test"), "no folder 'yes'"),
        (lambda: list_clips(folder, "tset"), "no split 'tset': choose one of train"),
        (lambda: list_clips(folder, "validation"), "none of its WAV files belongs to the split 'validation'"),
    ):
        with pytest.raises(InputError, match=message):
            action()


@pytest.mark.parametrize("kind", ["text", "rate", "stereo", "float"])
def test_files_that_are_no_such_wav(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.wav"
    if kind == "text":
        path.write_text("not a sound")
    elif kind == "rate":
        write(path, np.zeros(100), rate=8000)
    elif kind == "stereo":
        wavfile.write(path, SAMPLE_RATE, np.zeros((100, 2), np.int16))
    else:
        wavfile.write(path, SAMPLE_RATE, np.zeros(100, np.float32))
    with pytest.raises(InputError, match=r"x\.wav: (not a WAV|.*accepted: 16-bit mono WAV of 16000 Hz)") as caught:
        read_clip(Clip(path=path, label=0))
    assert "\n" not in str(caught.value)
