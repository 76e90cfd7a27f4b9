"""Studies: which points a TOML file stands for, and one clear line, with the key, where it is wrong."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest

from cs_hdl import cli
from cs_hdl.commands.generate import generate
from cs_hdl.errors import InputError
from cs_hdl.sweep.study import OPTIONS, RunOptions, load_study

LINEAR = '[fixed]\nmodel = "linear"\nin-features = 12\nout_features = 6\n'


def study(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(text)
    return path


def test_every_option_of_generate_is_one_of_a_point() -> None:
    other = {"out", "name", "json"}
    assert set(OPTIONS) == set(inspect.signature(generate).parameters) - other


def test_a_grid_is_every_combination_in_order(tmp_path: Path) -> None:
    text = f'title = "A grid"\n{LINEAR}[grid]\nweight-sparsity = [0.5, 0.75]\nactive-inputs = [2, 3]\n'
    loaded = load_study(study(tmp_path, text))
    assert loaded.title == "A grid"
    assert loaded.run == RunOptions()
    assert loaded.varied == ("weight-sparsity", "active-inputs")
    values = [(point.options["weight_sparsity"], point.options["active_inputs"]) for point in loaded.points]
    assert values == [(0.5, 2), (0.5, 3), (0.75, 2), (0.75, 3)]
    assert loaded.points[0].named == {
        "model": "linear",
        "in-features": 12,
        "out-features": 6,
        "weight-sparsity": 0.5,
        "active-inputs": 2,
    }


def test_several_grids_options_that_go_together_and_no_point_twice(tmp_path: Path) -> None:
    text = LINEAR + (
        "[[grid]]\ntogether = [{ mode = 'dense' }, { mode = 'sparse-dense', weight-sparsity = 0.5 }]\n"
        "[[grid]]\nmode = 'dense'\n"
    )
    points = load_study(study(tmp_path, text)).points
    assert [point.options.get("weight_sparsity") for point in points] == [None, 0.5]
    assert [point.options["mode"] for point in points] == ["dense", "sparse-dense"]


def test_numbers_are_taken_for_text_and_whole_ones_for_real_ones(tmp_path: Path) -> None:
    text = '[fixed]\nmodel = "conv"\npadding = 1\nstride = 2\nweight-sparsity = 0\n[run]\nwords = 5\nroute = true\n'
    loaded = load_study(study(tmp_path, text))
    (point,) = loaded.points
    assert (point.options["padding"], point.options["stride"]) == ("1", "2")
    assert type(point.options["weight_sparsity"]) is float
    assert (loaded.run.words, loaded.run.route) == (5, True)


def test_files_count_by_their_content_wherever_they_are(tmp_path: Path) -> None:
    contents = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "w.npy", np.zeros((6, 12), np.int8))
        (point,) = load_study(study(tmp_path / name, f'{LINEAR}[grid]\nweights = ["w.npy"]\n')).points
        contents.append(point.content)
    assert contents[0] == contents[1]
    np.save(tmp_path / "a" / "w.npy", np.ones((6, 12), np.int8))
    (point,) = load_study(tmp_path / "a" / "study.toml").points
    assert point.content != contents[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("= 3", "cannot be read as TOML"),
        ("[grids]\n", "grids: unknown"),
        ("title = 3\n" + LINEAR, "title and about must be text"),
        ("[fixed]\nkernel = '1x1'\n", "model: missing"),
        (LINEAR + "colour = 'red'\n", "fixed.colour: unknown"),
        (LINEAR + "seed = 1.5\n", "fixed.seed: must be an integer, not 1.5"),
        (LINEAR + "seed = true\n", "fixed.seed: must be an integer"),
        (LINEAR + "weight-sparsity = nan\n", "fixed.weight_sparsity: must be a number"),
        (LINEAR + "mode = [1]\n", "fixed.mode: must be text"),
        (LINEAR + "weights = 'absent.npy'\n", "weights: "),
        (LINEAR + "grid = 3\n", "fixed.grid: unknown"),
        ("grid = 3\n" + LINEAR, "grid: must be a table"),
        (LINEAR + "[grid]\nseed = []\n", "grid.seed: an empty list"),
        (LINEAR + "[[grid]]\nseed = 1\n[[grid]]\nseed = ['a']\n", "grid[2].seed: must be an integer, not 'a'"),
        (LINEAR + "[grid]\ntogether = [3]\n", "grid.together: must be a list of tables"),
        (LINEAR + "[grid]\ntogether = [{ sed = 3 }]\n", "grid.together.sed: unknown"),
        (LINEAR + "[run]\nwords = 0\n", "run: words 0"),
        (LINEAR + "[run]\nroute = 'yes'\n", "run.route: must be of type bool"),
        (LINEAR + "[run]\nsynthesize = true\n", "run.synthesize: unknown"),
        (LINEAR + f"[grid]\nseed = {list(range(400))}\ncycles = {list(range(1, 400))}\n", "at most 100,000"),
        (LINEAR + "[run]\nsimulator = 'modelsim'\n", "modelsim"),
    ],
)
def test_mistakes_are_one_line_with_file_and_key_exit_2(
    tmp_path: Path, text: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = study(tmp_path, text)
    assert cli.run(["sweep", str(path), "--out", str(tmp_path / "out")]) == 2
    _, err = capfd.readouterr()
    assert message in err and "Traceback" not in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("absent.toml", "--out", "out"), "absent.toml: no such file"),
        (("study.toml", "--out", "out", "--jobs", "0"), "--jobs 0"),
        (("study.toml", "--out", "out", "--jobs", "2", "--scheduler", "localhost:1"), "exclude each other"),
        (("study.toml", "--out", "study.toml"), "cannot be written"),
    ],
)
def test_wrong_options_are_exit_2(
    tmp_path: Path,
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    study(tmp_path, LINEAR + "[run]\nsimulate = false\n")
    monkeypatch.chdir(tmp_path)
    assert cli.run(["sweep", *arguments]) == 2
    assert message in capfd.readouterr().err


def test_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"study\.toml: fixed\.seed"):
        load_study(study(tmp_path, LINEAR + "seed = 'a'\n"))
