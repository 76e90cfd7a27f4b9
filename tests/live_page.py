"""The page of ``cs-hdl live`` as its tests use it: a server in a thread, requests, and a headless browser."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from cs_hdl.live.recogniser import Recogniser, Timing
from cs_hdl.live.server import make_server
from cs_hdl.live.task import Task

TIMING = Timing(latency_cycles=250, cycles_per_word=64, clock_mhz=50.0)
SCRIPTS = ("page.js", "results.js", "digits.js", "speech.js")


@contextlib.contextmanager
def served(recogniser: Recogniser, task: Task) -> Iterator[str]:
    """The address of a page."""
    server = make_server(recogniser, task, host="127.0.0.1", port=0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ask(url: str, body: bytes | None = None) -> tuple[int, str, bytes]:
    """Status, type and content of the answer."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=30) as response:
            return response.status, response.headers["Content-Type"], response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read()


@contextlib.contextmanager
def browsed(address: str, *arguments: str) -> Iterator[Any]:
    """A browser's page at ``address``, which must end without an error of its scripts; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing")
    with playwright.sync_playwright() as tools:
        try:
            # Playwright's own browser, or the system's; the sandbox refuses to be run by root.
            system = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
            browser = tools.chromium.launch(executable_path=system, args=["--no-sandbox", *arguments])
        except playwright.Error as error:
            pytest.skip(f"no browser: {str(error).splitlines()[0]}")
        page = browser.new_page()
        page.set_default_timeout(60_000)
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(address)
        yield page
        assert problems == []
        browser.close()


def screenshots(page: Any, name: str) -> None:
    """To be looked at: CS_HDL_LIVE_SCREENSHOT is a folder, which gets the page as wide as a desktop's and a phone's."""
    if folder := os.environ.get("CS_HDL_LIVE_SCREENSHOT"):
        for kind, width, height in (("desktop", 1280, 800), ("phone", 375, 800)):
            page.set_viewport_size({"width": width, "height": height})
            page.screenshot(path=f"{folder}/{name}-{kind}.png", full_page=True)
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{kind}: {wide} points wide"


def identifiers(page: str, scripts: str) -> tuple[set[str], set[str]]:
    """The id's of a page, and those that its scripts use."""
    return set(re.findall(r'id="(\w+)"', page)), set(re.findall(r'byId\("(\w+)"\)', scripts))
