"""The live page with digits: its HTTP interface over a real socket, its files, and the page in a browser, if any."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from live_page import SCRIPTS, TIMING, ask, browsed, identifiers, screenshots, served

from cs_hdl.cli import run
from cs_hdl.errors import InputError
from cs_hdl.frontend.kernel import LinearOptions, make_linear
from cs_hdl.frontend.onnx import read_onnx
from cs_hdl.golden.dense import run_dense, run_layers
from cs_hdl.live.digits import DigitsTask
from cs_hdl.live.recogniser import Recogniser
from cs_hdl.live.task import find_task
from cs_hdl.models import find_model


@pytest.fixture(scope="module")
def network():
    return read_onnx(find_model("digits-tiny").path)


@pytest.fixture(scope="module")
def address(network):
    with served(Recogniser(network, timing=TIMING), find_task(network)) as address:
        yield address


def test_what_the_page_is_told(address, network):
    status, _, body = ask(f"{address}/api/info")
    info = json.loads(body)
    assert status == 200 and info["network"] == "digits-tiny" and info["source"] == "golden model"
    assert info["kind"] == "digits" and info["trained"] is True
    assert info["latency_cycles"] == 250 and info["clock_mhz"] == 50.0 and info["clock_built"] is False
    assert info["classes"] == list("0123456789")
    assert [(entry["winners"], entry["shape"]) for entry in info["k_wta"]] == [(4, [4, 4, 16])]


def test_an_image_gives_what_the_golden_model_gives(address, network):
    image = np.random.default_rng(2).integers(0, 17, (1, 8, 8, 1)).astype(np.uint8)
    status, _, body = ask(f"{address}/api/infer", json.dumps({"pixels": image.reshape(-1).tolist()}).encode())
    answer = json.loads(body)
    wanted = run_dense(network, image).reshape(-1)
    assert status == 200 and answer["scores"] == wanted.tolist() and answer["best"] == int(wanted.argmax())
    assert answer["agrees"] is None and answer["cycles"] == 250 and answer["microseconds"] == 5.0
    (group,) = answer["winners"]
    won = next(r for layer, r in zip(network.layers, run_layers(network, image), strict=True) if "KWTA" in layer.kind)
    assert group["positions"] == 16 and group["sum"] == won.reshape(16, 16).sum(axis=0).tolist()
    assert all(count <= 16 for count in group["count"]) and sum(group["count"]) <= 4 * 16


def test_a_test_image_is_recognised(address):
    pytest.importorskip("sklearn", reason="scikit-learn is missing")
    right = 0
    for number in range(10):
        status, _, body = ask(f"{address}/api/sample?number={number}")
        sample = json.loads(body)
        assert status == 200
        _, _, body = ask(f"{address}/api/infer", json.dumps({"pixels": sample["pixels"]}).encode())
        right += str(json.loads(body)["best"]) == sample["label"]
    assert right >= 8


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/api/infer", b'{"pixels": [1]}', 400, "pixels must be a list of 64 integers"),
        ("/api/infer", json.dumps({"pixels": [17] * 64}).encode(), 400, r"pixels must be integers 0\.\.16"),
        ("/api/infer", json.dumps({"pixels": [True] * 64}).encode(), 400, r"pixels must be integers 0\.\.16"),
        ("/api/infer", b"{", 400, "the request is not JSON"),
        ("/api/infer", b"[]", 400, "the request must be"),
        ("/api/infer", b"x" * 20_000, 413, "too great a length"),
        ("/api/other", b"{}", 404, "not found"),
        ("/../server.py", None, 404, "not found"),
        ("/api/sample?number=x", None, 400, r"give \?number=N"),
    ],
)
def test_wrong_requests(address, path, body, status, message):
    found, kind, answer = ask(f"{address}{path}", body)
    assert (found, kind) == (status, "application/json") and re.search(message, json.loads(answer)["error"])


def test_the_page_has_what_its_script_uses(address):
    status, kind, page = ask(f"{address}/")
    assert status == 200 and kind.startswith("text/html")
    scripts = b""
    for name in SCRIPTS:
        status, kind, script = ask(f"{address}/{name}")
        assert status == 200 and kind.startswith("text/javascript")
        scripts += script
    assert ask(f"{address}/page.css")[1].startswith("text/css")
    there, used = identifiers(page.decode(), scripts.decode())
    assert there == used | {"digits", "speech"}, "one of the two is shown"
    # Nothing comes from elsewhere.
    assert not re.search(rb"https?:|[\"'(]//", page + scripts)


class OtherBoard:
    """A board whose first score is one too high."""

    def __init__(self, network):
        self._network = network

    def infer(self, words):
        return run_dense(self._network, words).astype(np.int64) + (np.arange(10) == 0)


def test_a_board_that_disagrees_is_shown(network):
    recogniser = Recogniser(network, timing=TIMING, board=OtherBoard(network), source="board")
    word = DigitsTask().read(json.dumps({"pixels": [3] * 64}).encode())
    answer = recogniser.infer(word)
    golden = Recogniser(network, timing=TIMING).infer(word)
    assert answer["agrees"] is False and answer["scores"][0] == golden["scores"][0] + 1


def test_networks_of_neither_digits_nor_speech():
    network = make_linear(LinearOptions(in_features=12, out_features=5, weight_sparsity=0.75, seed=7))
    message = (
        r"takes 1x1x12 uint8 and gives 5 values; accepted: 8x8x1 uint8 and 10 scores \(digits, digits-tiny\), "
        r"32x32x1 uint8 and 12 scores \(speech: gsc\)$"
    )
    with pytest.raises(InputError, match=message):
        find_task(network)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--simulate"], "digits: no design directory; a board needs one"),
        (["--simulate", "--port", "x"], "--simulate and --port exclude each other"),
        (["--clips", "folder"], "--clips folder: digits recognises digits; clips are for a speech network (gsc)"),
        (["nothing"], "no shipped model is called 'nothing'"),
        (["--board", "ulx9"], "board ulx9: unknown"),
    ],
)
def test_wrong_options(arguments, message, capsys):
    assert run(["live", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_in_a_browser(address):
    with browsed(address) as page:
        page.wait_for_selector(".bar.best")
        area = page.locator("#draw").bounding_box()
        page.mouse.move(area["x"] + 160, area["y"] + 40)
        page.mouse.down()
        page.mouse.move(area["x"] + 160, area["y"] + 280, steps=10)
        page.mouse.up()
        page.wait_for_function("document.getElementById('best').textContent === '1'", timeout=60_000)
        assert page.locator(".bar").count() == 10 and page.locator(".cells i").count() == 16
        assert page.locator("#speech").is_hidden() and page.locator("#untrained").is_hidden()
        page.click("#image")
        page.wait_for_function("document.getElementById('label').textContent !== ''")
        screenshots(page, "digits")
