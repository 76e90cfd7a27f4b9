"""The live page with speech: clips, features, scores and what is refused; sound files and a microphone in a browser."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import wave
from pathlib import Path

import numpy as np
import pytest
from live_page import TIMING, ask, browsed, screenshots, served
from scipy.signal import resample_poly

from cs_hdl.board.catalogue import find_board
from cs_hdl.cli import run
from cs_hdl.commands.live import read_network, read_timing
from cs_hdl.datasets.mel import log_mel
from cs_hdl.datasets.speech import load_speech_split, read_clip
from cs_hdl.datasets.speech_commands import BACKGROUND, CLASSES, SAMPLE_RATE, WORDS, Clip, list_clips, which_split
from cs_hdl.emit.design import write_design
from cs_hdl.errors import InputError
from cs_hdl.frontend.onnx import read_onnx
from cs_hdl.golden.dense import run_dense
from cs_hdl.live.recogniser import Recogniser
from cs_hdl.live.task import find_task
from cs_hdl.models import find_model
from cs_hdl.network import Network
from cs_hdl.plan.planner import make_plan

SECOND = 2 * SAMPLE_RATE


def write_wav(path: Path, samples: np.ndarray, *, rate: int = SAMPLE_RATE, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


def chirp(rng: np.random.Generator, rate: int = SAMPLE_RATE) -> np.ndarray:
    """A second with something to be seen in its features."""
    time = np.arange(rate) / rate
    tone = np.sin(2 * np.pi * (300 + rng.uniform(200, 3000) * time) * time) * np.exp(-(((time - 0.5) / 0.2) ** 2))
    return 20_000 * tone + rng.normal(0, 100, rate)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three clips of a test speaker for each word (one of them short), another word, and noise."""
    root, rng = tmp_path_factory.mktemp("clips") / "speech", np.random.default_rng(5)
    names = (hashlib.sha1(str(i).encode()).hexdigest()[:8] for i in range(1000))
    speaker = next(name for name in names if which_split(name) == "test")
    for word in (*WORDS, "bed"):
        for repeat in range(3):
            write_wav(root / word / f"{speaker}_nohash_{repeat}.wav", chirp(rng)[: 16_000 - 2_000 * repeat])
    write_wav(root / BACKGROUND / "hum.wav", rng.normal(0, 1_000, 3 * SAMPLE_RATE))
    return root


@pytest.fixture(scope="module")
def network():
    return read_onnx(find_model("gsc").path)


@pytest.fixture(scope="module")
def address(network, folder):
    model = find_model("gsc")
    recogniser = Recogniser(network, timing=TIMING, summary=model.summary, trained=model.trained)
    with served(recogniser, find_task(network, clips=folder)) as address:
        yield address


def answer_of(url: str, body: bytes | None = None) -> dict:
    status, kind, content = ask(url, body)
    assert (status, kind) == (200, "application/json"), content
    return json.loads(content)


def test_what_the_page_is_told(address):
    info = answer_of(f"{address}/api/info")
    assert info["kind"] == "speech" and info["network"] == "gsc" and info["classes"] == list(CLASSES)
    assert info["trained"] is False and "UNTRAINED" in info["summary"]
    assert info["samples"] is True and info["clips"] == "speech in speech, test split" and info["rate"] == SAMPLE_RATE
    assert [(entry["winners"], entry["shape"]) for entry in info["k_wta"]] == [
        (8, [14, 14, 64]),
        (8, [5, 5, 64]),
        (150, [1, 1, 1500]),
    ]


def test_all_clips_give_the_features_of_training_and_golden_scores(address, network, folder, tmp_path):
    features, labels = load_speech_split(folder, "test", cache=tmp_path)
    wanted = run_dense(network, features).reshape(len(features), 12).tolist()
    expected = sorted(zip(labels.tolist(), features.reshape(len(features), -1).tolist(), wanted, strict=True))
    found, places = [], []
    for number in range(len(labels)):
        sample = answer_of(f"{address}/api/sample?number={number}")
        answer = answer_of(f"{address}/api/infer", base64.b64decode(sample["samples"]))
        assert answer["best"] == int(np.argmax(answer["scores"])) and answer["agrees"] is None
        assert answer["cycles"] == 250 and answer["microseconds"] == 5.0
        assert [len(group["count"]) for group in answer["winners"]] == [64, 64, 1500]
        found.append((CLASSES.index(sample["label"]), answer["word"], answer["scores"]))
        places.append(sample["name"])
        assert sample["label"] in (sample["name"].split("/")[0], "unknown", "silence")
    assert sorted(found) == expected
    assert places != sorted(places), "words come mixed"
    assert answer_of(f"{address}/api/sample?number={len(labels)}")["name"] == places[0], "round and round"


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/api/infer", b"", 400, "the request has 0 bytes; accepted: 16000 samples of 16 bits"),
        ("/api/infer", bytes(SECOND - 2), 400, "31998 bytes; accepted: 16000 samples"),
        ("/api/infer", b'{"samples": [1, 2]}', 400, "(32000 bytes)"),
        ("/api/infer", bytes(SECOND + 2), 413, "at most 32000 bytes"),
        ("/api/sample", None, 400, "give ?number=N"),
        ("/api/sample?number=-1", None, 400, "give ?number=N"),
    ],
)
def test_wrong_requests(address, path, body, status, message):
    found, kind, answer = ask(f"{address}{path}", body)
    assert (found, kind) == (status, "application/json") and message in json.loads(answer)["error"]


def test_without_clips_one_may_still_speak(network):
    with served(Recogniser(network, timing=TIMING), find_task(network)) as address:
        assert answer_of(f"{address}/api/info")["samples"] is False
        status, _, body = ask(f"{address}/api/sample?number=0")
        assert status == 400 and "start with cs-hdl live --clips FOLDER" in json.loads(body)["error"]
        assert answer_of(f"{address}/api/infer", bytes(SECOND))["word"] == [255] * 1024


def test_a_clip_that_is_damaged_later_is_named(network, folder, tmp_path):
    copy = tmp_path / "speech"
    for clip in list_clips(folder, "test"):
        target = copy / clip.path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(clip.path.read_bytes())
    task = find_task(network, clips=copy)
    (copy / task.sample(0)["name"]).write_text("no sound")
    with pytest.raises(InputError, match=r"_nohash_\d\.wav: not a WAV file|hum\.wav: not a WAV file"):
        task.sample(0)


def test_folders_that_are_no_data_set(tmp_path, capsys):
    for path, message in ((tmp_path / "absent", "no such folder"), (tmp_path, "no folder 'yes'; a Speech Commands")):
        assert run(["live", "gsc", "--clips", str(path)]) == 2
        error = capsys.readouterr().err
        assert f"{path}: {message}" in error and "Traceback" not in error


def test_which_shipped_model_a_design_is_and_its_clock(tmp_path):
    """By its weights: a network of somebody else that is called alike is not said to be untrained."""
    assert not read_network("gsc")[1].trained
    network, limits = read_onnx(find_model("digits-tiny").path), find_board("ulx3s-85f").limits
    write_design(make_plan(network, limits=limits), tmp_path / "ours")
    model = read_network(str(tmp_path / "ours"))[1]
    assert model is not None and model.name == "digits-tiny" and model.trained
    weights = network.layers[-1].weights
    last = dataclasses.replace(network.layers[-1], weights=np.where(weights == 1, 2, weights))
    other = Network(name="digits-tiny", input=network.input, layers=(*network.layers[:-1], last))
    timing = read_timing(str(tmp_path / "ours"), network, "ulx3s-85f")
    assert not timing.built and timing.clock_mhz == find_board("ulx3s-85f").clock_mhz
    report = tmp_path / "ours" / "build" / "ulx3s-85f" / "report.json"
    report.parent.mkdir(parents=True)
    report.write_text('{"clock_mhz": 61.5}')
    timing = read_timing(str(tmp_path / "ours"), network, "ulx3s-85f")
    assert timing.built and timing.clock_mhz == 61.5
    write_design(make_plan(other, limits=limits), tmp_path / "other")
    assert read_network(str(tmp_path / "other"))[1] is None


def shown_features(page) -> np.ndarray:
    """The features on the canvas: 8x8 points each, the lowest band below, 255 black."""
    data = page.evaluate(
        "() => { const c = document.getElementById('features');"
        " return Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data); }"
    )
    return 255 - np.array(data).reshape(256, 256, 4)[4::8, 4::8, 0][::-1]


def settled(page, text: str) -> None:
    """Waits for the answer about what is called so."""
    page.wait_for_function(
        "text => { const heard = document.getElementById('heard').textContent;"
        " return heard.includes(text) && heard.includes('recognised as'); }",
        arg=text,
        timeout=60_000,
    )


def test_sound_files_in_a_browser(address, network, folder, tmp_path):
    with browsed(address) as page:
        settled(page, "A clip of")
        assert page.locator("#untrained").is_visible() and page.locator("#digits").is_hidden()
        # Clips of one speaker are called alike.
        path = tmp_path / "spoken.wav"
        path.write_bytes(next((folder / "left").glob("*_0.wav")).read_bytes())
        page.set_input_files("#file", path)
        settled(page, path.name)
        assert (
            page.locator(".bar").count() == 12 and page.locator(".bar span:first-child").all_inner_texts()[0] == "yes"
        )
        wanted = log_mel(read_clip(Clip(path=path, label=0))[np.newaxis])
        assert np.array_equal(shown_features(page), wanted[0, :, :, 0])
        scores = [int(text) for text in page.locator(".bar span:last-child").all_inner_texts()]
        assert scores == run_dense(network, wanted).reshape(-1).tolist()
        screenshots(page, "speech")

        # Two channels at another rate, two seconds: the loudest second, nearly as computed from the original.
        sound = chirp(np.random.default_rng(9), rate=48_000)
        quiet = np.random.default_rng(10).normal(0, 10, 24_000)
        both = np.concatenate([quiet, sound, quiet])
        write_wav(tmp_path / "long.wav", np.stack([both, both], axis=1), rate=48_000, channels=2)
        page.set_input_files("#file", tmp_path / "long.wav")
        settled(page, "long.wav")
        same = log_mel(np.rint(resample_poly(sound, 1, 3)).astype(np.int16)[np.newaxis])[0, :, :, 0]
        assert shown_features(page).max() == 255
        assert np.abs(shown_features(page).astype(int) - same).mean() < 8, "of 255; 3 are a decibel"

        (tmp_path / "text.wav").write_text("no sound")
        page.set_input_files("#file", tmp_path / "text.wav")
        page.wait_for_function("document.getElementById('error').textContent.includes('text.wav: no sound')")
        page.click("#record")  # there is none
        page.wait_for_function("document.getElementById('error').textContent.includes('choose a sound file instead')")
        page.click("#clip")
        settled(page, "A clip of")
        assert page.locator("#error").inner_text() == ""
        # Headless browsers play without loudspeakers.
        page.wait_for_function("document.getElementById('sound').duration === 1")


def test_a_microphone_in_a_browser(address, tmp_path):
    """Chromium's stand-in for a microphone plays a file, again and again."""
    write_wav(tmp_path / "spoken.wav", chirp(np.random.default_rng(3), rate=48_000), rate=48_000)
    fake = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    with browsed(address, *fake, f"--use-file-for-fake-audio-capture={tmp_path / 'spoken.wav'}") as page:
        settled(page, "A clip of")
        page.click("#record")
        settled(page, "Your recording")
        assert page.locator("#record").is_enabled() and page.locator("#record").inner_text() == "Record a word"
        assert shown_features(page).max() == 255 and shown_features(page).std() > 10
