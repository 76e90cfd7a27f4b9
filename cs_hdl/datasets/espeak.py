"""The speech synthesiser eSpeak NG, called in this process through its C library."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cs_hdl.errors import InputError, ToolError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Espeak"]

# Of speak_lib.h: samples go to a callback before espeak_Synth returns; text is counted in characters of UTF-8.
_SYNCHRONOUS, _CHARACTERS, _UTF8 = 2, 1, 1
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Espeak:
    """One synthesiser a process: the library has global state.

    What it says depends on what it said before (its noise goes on), so equal sequences of calls give equal
    sounds. ``rate`` is that of the samples, in hertz. Raises ToolError where the library is not installed.
    """

    def __init__(self) -> None:
        library, data = _find()
        # It looks for voices below its data alone.
        own = tempfile.TemporaryDirectory(prefix="cs-hdl-voices-")
        self._remove = weakref.finalize(self, own.cleanup)
        folder = Path(own.name)
        # One variant, written anew for each word: of more than some hundred files the library finds no voice.
        self._variant = _with_own_voices(data, folder) / "timbre"
        self._library = ctypes.CDLL(library)
        self._parts: list[NDArray[np.int16]] = []
        # Kept, or it would be collected while the library holds it.
        self._callback = _CALLBACK(self._take)
        self.rate: int = self._library.espeak_Initialize(_SYNCHRONOUS, 0, str(folder).encode(), 0)
        if self.rate <= 0:
            raise ToolError(f"eSpeak NG does not start with its data in {data}: pip install espeakng-loader")
        self._library.espeak_SetSynthCallback(self._callback)

    def say(
        self, text: str, *, accent: str, timbre: Sequence[str], words_per_minute: int, pitch: int, pitch_range: int
    ) -> NDArray[np.int16]:
        """Samples int16 ``[n]`` of ``text`` in an ``accent`` such as "en-us" by a voice of the lines ``timbre``.

        ``pitch`` and its range are 0..100. Raises InputError for an accent that is not there.
        """
        self._variant.write_text("\n".join(("name timbre", *timbre)) + "\n")
        if self._library.espeak_SetVoiceByName(f"{accent}+timbre".encode()):
            raise InputError(f"eSpeak NG has no voice {accent!r}")
        for parameter, value in (
            (_RATE, words_per_minute), (_VOLUME, 100), (_PITCH, pitch), (_RANGE, pitch_range),
        ):  # fmt: skip
            self._library.espeak_SetParameter(parameter, value, 0)
        self._parts.clear()
        content = text.encode()
        failed = self._library.espeak_Synth(content, len(content) + 1, 0, _CHARACTERS, 0, _UTF8, None, None)
        if failed or not self._parts:
            raise ToolError(f"eSpeak NG says nothing for {text!r} in {accent}")
        return np.concatenate(self._parts)

    def _take(self, samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            self._parts.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0


def _with_own_voices(data: Path, folder: Path) -> Path:
    """Make ``folder`` like ``data`` (linked to, not copied) but for its voice variants; returns their folder, empty."""
    for path in data.iterdir():
        if path.name != "voices":
            (folder / path.name).symlink_to(path)
    variants = folder / "voices" / "!v"
    variants.mkdir(parents=True)
    return variants


def _find() -> tuple[str, Path]:
    """The library, and the folder that holds ``voices``."""
    try:
        loader = importlib.import_module("espeakng_loader")
    except ModuleNotFoundError:
        raise ToolError("the synthesiser eSpeak NG is not installed: pip install 'cs-hdl[speech]'") from None
    return str(loader.get_library_path()), Path(loader.get_data_path())
