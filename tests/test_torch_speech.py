"""The speech network's training: three variants on a few clips, gone on with where it stopped, on record."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: torch)")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra: test)")

from cs_hdl.combine.masks import lower_bound  # noqa: E402
from cs_hdl.datasets.speech_commands import BACKGROUND, CLASSES, SAMPLE_RATE, WORDS, which_split  # noqa: E402
from cs_hdl.errors import InputError  # noqa: E402
from cs_hdl.frontend.onnx import read_onnx  # noqa: E402
from cs_hdl.models.speech import random_speech_network  # noqa: E402
from cs_hdl.torch.speech_data import Data  # noqa: E402
from cs_hdl.torch.speech_loop import Loop, SpeechRecipe  # noqa: E402
from cs_hdl.torch.speech_network import MASKED, VARIANTS, begin_as, speech_network  # noqa: E402
from cs_hdl.torch.speech_tables import BEGIN, END, with_tables  # noqa: E402
from cs_hdl.torch.train_speech import main  # noqa: E402


@pytest.mark.parametrize("variant", VARIANTS)
def test_structure(variant: str) -> None:
    model = speech_network(variant)
    layers = {name: module for name, module in model.named_children() if hasattr(module, "mask")}
    expected = {"conv1": 3, "conv2": 100, "linear1": 80, "output": 1500}
    if variant == "dense":
        expected = {"conv1": 25, "conv2": 1600, "linear1": 1600, "output": 1500}
    assert {name: layer.nonzeros for name, layer in layers.items()} == expected
    assert [getattr(model, name).k for name in ("kwta1", "kwta2", "kwta3") if hasattr(model, name)] == (
        [8, 8, 150] if variant == "sparse-sparse" else []
    )
    assert model(torch.rand(2, 1, 32, 32)).shape == (2, len(CLASSES))


def test_masks_are_those_of_the_untrained_model() -> None:
    """Until it begins as a dense network, which has masks of its own."""
    model = speech_network("sparse-sparse")
    for layer in random_speech_network().layers:
        if hasattr(layer, "weights") and layer.name != "output":
            mask = getattr(model, layer.name).mask.numpy() != 0
            assert np.array_equal(mask, layer.weights != 0)
            assert lower_bound(mask.reshape(len(mask), -1)) <= 75


def test_a_sparse_network_begins_as_what_its_masks_keep_of_the_dense_one() -> None:
    dense, sparse = speech_network("dense"), speech_network("sparse-sparse")
    chosen_by_seed = {name: sparse.get_submodule(name).mask.clone() for name in MASKED}
    begin_as(sparse, dense)
    for name in MASKED:
        layer, before = sparse.get_submodule(name), dense.get_submodule(name).weight
        mask = layer.mask.reshape(len(layer.mask), -1).numpy() != 0
        assert (mask.sum(axis=1) == layer.nonzeros).all()
        assert lower_bound(mask) == lower_bound(chosen_by_seed[name].reshape(mask.shape).numpy() != 0)
        assert torch.equal(layer.weight, before * layer.mask)
        assert layer.weight.abs().sum() > 1.2 * (before * chosen_by_seed[name]).abs().sum()
    assert torch.equal(sparse.output.weight, dense.output.weight)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A few clips of tones, each word another one, in all three splits."""
    rng = np.random.default_rng(0)
    names = [hashlib.sha1(str(i).encode()).hexdigest()[:8] for i in range(60)]
    people = [next(n for n in names if which_split(n) == split) for split in ("train", "validation", "test")]
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    for index, word in enumerate((*WORDS, "bed")):
        for person in people:
            (tmp_path / "s" / word).mkdir(parents=True, exist_ok=True)
            tone = 8000 * np.sin(2 * np.pi * (300 + 400 * index) * time) + rng.normal(0, 500, SAMPLE_RATE)
            wavfile.write(tmp_path / "s" / word / f"{person}_nohash_0.wav", SAMPLE_RATE, tone.astype(np.int16))
    (tmp_path / "s" / BACKGROUND).mkdir()
    noise = rng.normal(0, 500, 2 * SAMPLE_RATE).astype(np.int16)
    wavfile.write(tmp_path / "s" / BACKGROUND / "n.wav", SAMPLE_RATE, noise)
    return tmp_path / "s"


def test_the_command(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "speech.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    epochs = [part for phase in ("", "winners-", "quantised-") for part in (f"--{phase}epochs", "1")]
    arguments = [str(folder), "--root", str(tmp_path), *epochs, "--seeds", "1"]
    assert main(arguments) == 0
    assert "epoch 1 of 1" in capfd.readouterr().err
    model = tmp_path / "cs_hdl" / "models" / "gsc-trained.onnx"
    record = json.loads((tmp_path / "docs" / "results" / "speech-training.json").read_text())
    assert record["shipped"]["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert set(record["summary"]) == set(VARIANTS) and record["data"]["clips"]["train"] == 12
    assert record["command"] == "scripts/train-speech s --seeds 1 --epochs 1 --winners-epochs 1 --quantised-epochs 1"
    network = read_onnx(model)
    counts = {
        layer.name: (layer.weights.reshape(len(layer.weights), -1) != 0).sum(axis=1) for layer, _ in network.weighted
    }
    assert counts["conv1"].max() <= 3 and counts["conv2"].max() <= 100 and counts["linear1"].max() <= 80
    assert page.read_text().startswith("before\n") and "gsc-trained" in page.read_text()
    # Again: nothing is trained, and the same comes out.
    first = model.read_bytes()
    assert main(arguments) == 0
    assert "epoch" not in capfd.readouterr().err and model.read_bytes() == first
    # On another machine, where no checkpoint is: a seed that is on record stays, others are trained.
    shutil.rmtree(tmp_path / "build")
    assert main(arguments) == 0
    again = capfd.readouterr().err
    assert "seed 0: on record" in again and "epoch" not in again and model.read_bytes() == first
    two = [*arguments[:-1], "2"]
    assert main(two) == 0
    both = capfd.readouterr().err
    assert "seed 0: on record" in both and "seed 1: dense" in both
    record_file = tmp_path / "docs" / "results" / "speech-training.json"
    networks = json.loads(record_file.read_text())["networks"]
    assert [result["seed"] for result in networks["dense"]] == [0, 1]
    assert networks["dense"][0] == record["networks"]["dense"][0]
    model.write_bytes(first[:-1])  # not what the record says: all is done again, and the same comes out
    assert main(arguments) == 0
    assert "on record" not in capfd.readouterr().err and model.read_bytes() == first
    # With nothing on record and no checkpoints, both at the same time: the same networks.
    shutil.rmtree(tmp_path / "build")
    record_file.unlink()
    assert main([*two, "--jobs", "2"]) == 0
    assert json.loads(record_file.read_text())["networks"] == networks


@pytest.fixture
def endless(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command, two seeds at once, with more epochs than anybody waits for."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "speech.md").write_text(f"{BEGIN}\n{END}\n")
    command = [sys.executable, "-m", "cs_hdl.torch.train_speech", str(folder), "--root", str(tmp_path), "--jobs", "2"]
    return [*command, "--epochs", "100000"]


def test_ctrl_c_is_one_line(endless: list[str]) -> None:
    with subprocess.Popen(
        endless,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell has SIGINT ignored in what it runs in the background.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stderr is not None
        said = [next(line for line in process.stderr if "epoch" in line)]
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        said += process.stderr.readlines()
    assert process.returncode == 130
    assert said[-1] == "scripts/train-speech: interrupted\n" and not any("Traceback" in line for line in said)


def test_nothing_goes_on_when_the_command_is_killed(endless: list[str]) -> None:
    with subprocess.Popen(endless, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if "epoch" in line)
        process.kill()
        # The pipe ends when the last process that has it does.
        for line in process.stderr:
            assert "epoch 50 of" not in line


def test_a_training_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    some = (rng.integers(0, 256, (12, 32, 32, 1)).astype(np.uint8), rng.integers(0, 12, 12))
    data, recipe = Data(train=some, validation=some, test=some), SpeechRecipe(batch_size=6)

    def begin() -> Loop:
        torch.manual_seed(0)
        model = speech_network("sparse-sparse", boost_strength=1.5)
        return Loop(model, data, recipe, learning_rate=1e-3, epochs=2, seed=4)

    whole, first, second = begin(), begin(), begin()
    whole.run_epoch()
    whole.run_epoch()
    first.run_epoch()
    first.save(tmp_path / "c.pt")
    second.load(tmp_path / "c.pt")
    second.run_epoch()
    assert whole.epoch == second.epoch == 2
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
    (tmp_path / "c.pt").write_bytes(b"cut short")
    third = begin()
    third.load(tmp_path / "c.pt")
    assert third.epoch == 0


def test_wrong_input_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["x", "--seeds", "0"], "must be at least 1"),
        (["x", "--root", str(tmp_path)], "is not the repository"),
    ):
        assert main(arguments) == 2
        error = capfd.readouterr().err
        assert message in error and error.count("\n") == 1
    with pytest.raises(InputError, match="must stand around the figures"):
        with_tables("no marks", json.loads(Path("docs/results/speech-training.json").read_text()))
