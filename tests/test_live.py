"""The live page: its HTTP interface over a real socket, its files, and (where a browser is there) the page in it."""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest

from cs_hdl.cli import run
from cs_hdl.commands.live import load_samples
from cs_hdl.errors import InputError
from cs_hdl.frontend.kernel import LinearOptions, make_linear
from cs_hdl.frontend.onnx import read_onnx
from cs_hdl.golden.dense import run_dense, run_layers
from cs_hdl.live.recogniser import Recogniser, Timing
from cs_hdl.live.server import make_server
from cs_hdl.models import find_model

TIMING = Timing(latency_cycles=250, cycles_per_word=64, clock_mhz=50.0)


@pytest.fixture(scope="module")
def network():
    return read_onnx(find_model("digits-tiny").path)


@pytest.fixture(scope="module")
def address(network):
    server = make_server(Recogniser(network, timing=TIMING), host="127.0.0.1", port=0, samples=load_samples())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def ask(url: str, body: bytes | None = None) -> tuple[int, str, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=30) as response:
            return response.status, response.headers["Content-Type"], response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read()


def test_what_the_page_is_told(address, network):
    status, _, body = ask(f"{address}/api/info")
    info = json.loads(body)
    assert status == 200 and info["network"] == "digits-tiny" and info["source"] == "golden model"
    assert info["latency_cycles"] == 250 and info["clock_mhz"] == 50.0 and info["classes"] == 10
    assert [(entry["winners"], entry["shape"]) for entry in info["k_wta"]] == [(4, [4, 4, 16])]


def test_an_image_gives_what_the_golden_model_gives(address, network):
    image = np.random.default_rng(2).integers(0, 17, (1, 8, 8, 1)).astype(np.uint8)
    status, _, body = ask(f"{address}/api/infer", json.dumps({"pixels": image.reshape(-1).tolist()}).encode())
    answer = json.loads(body)
    wanted = run_dense(network, image).reshape(-1)
    assert status == 200 and answer["scores"] == wanted.tolist() and answer["digit"] == int(wanted.argmax())
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
        right += json.loads(body)["digit"] == sample["label"]
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
    _, kind, script = ask(f"{address}/page.js")
    assert kind.startswith("text/javascript")
    assert ask(f"{address}/page.css")[1].startswith("text/css")
    ids = set(re.findall(r'id="(\w+)"', page.decode()))
    assert set(re.findall(r'byId\("(\w+)"\)', script.decode())) == ids
    # Nothing comes from elsewhere.
    assert b"http" not in page + script


class OtherBoard:
    """A board whose first score is one too high."""

    def __init__(self, network):
        self._network = network

    def infer(self, words):
        return run_dense(self._network, words).astype(np.int64) + (np.arange(10) == 0)


def test_a_board_that_disagrees_is_shown(network):
    recogniser = Recogniser(network, timing=TIMING, board=OtherBoard(network), source="board")
    answer = recogniser.infer([3] * 64)
    golden = Recogniser(network, timing=TIMING).infer([3] * 64)
    assert answer["agrees"] is False and answer["scores"][0] == golden["scores"][0] + 1


def test_networks_that_take_no_digits(capsys):
    network = make_linear(LinearOptions(in_features=12, out_features=5, weight_sparsity=0.75, seed=7))
    with pytest.raises(InputError, match="takes 1x1x12 uint8; the page draws 8x8x1 uint8"):
        Recogniser(network, timing=TIMING)
    assert run(["live", "gsc"]) == 2
    assert "the page draws 8x8x1 uint8" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--simulate"], "digits: no design directory; a board needs one"),
        (["--simulate", "--port", "x"], "--simulate and --port exclude each other"),
        (["nothing"], "no shipped model is called 'nothing'"),
        (["--board", "ulx9"], "board ulx9: unknown"),
    ],
)
def test_wrong_options(arguments, message, capsys):
    assert run(["live", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_in_a_browser(address):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing")
    with playwright.sync_playwright() as tools:
        try:
            browser = tools.chromium.launch()
        except playwright.Error as error:
            pytest.skip(f"no browser: {str(error).splitlines()[0]}")
        page = browser.new_page()
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(address)
        page.wait_for_selector(".bar.best")
        area = page.locator("#draw").bounding_box()
        page.mouse.move(area["x"] + 160, area["y"] + 40)
        page.mouse.down()
        page.mouse.move(area["x"] + 160, area["y"] + 280, steps=10)
        page.mouse.up()
        page.wait_for_function("document.getElementById('digit').textContent === '1'", timeout=10_000)
        assert page.locator(".bar").count() == 10 and page.locator(".cells i").count() == 16
        page.click("#sample")
        page.wait_for_function("document.getElementById('label').textContent !== ''")
        assert problems == []
        browser.close()
