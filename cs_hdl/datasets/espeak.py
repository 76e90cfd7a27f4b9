"""The speech synthesiser eSpeak NG, called in this process through its C library."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cs_hdl.errors import InputError, ToolError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Espeak"]

# Of speak_lib.h: samples go to a callback before espeak_Synth returns; text is counted in characters of UTF-8.
_SYNCHRONOUS, _CHARACTERS, _UTF8 = 2, 1, 1
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Espeak:
    """One synthesiser a process: the library has global state.

    What it says depends on what it said before (its noise goes on), so equal sequences of calls give equal
    sounds. ``rate`` is that of the samples, in hertz; ``variants`` are the voices' timbres, sorted, without
    those that breathe: theirs differ from run to run. Raises ToolError where the library is not installed.
    """

    def __init__(self) -> None:
        library, data = _find()
        self._library = ctypes.CDLL(library)
        self._parts: list[NDArray[np.int16]] = []
        # Kept, or it would be collected while the library holds it.
        self._callback = _CALLBACK(self._take)
        self.rate: int = self._library.espeak_Initialize(_SYNCHRONOUS, 0, str(data).encode(), 0)
        if self.rate <= 0:
            raise ToolError(f"eSpeak NG does not start with its data in {data}: pip install espeakng-loader")
        self._library.espeak_SetSynthCallback(self._callback)
        folder = data / "voices" / "!v"
        self.variants = tuple(sorted(path.name for path in folder.iterdir() if path.is_file() and not _breathes(path)))

    def say(self, text: str, *, voice: str, words_per_minute: int, pitch: int, pitch_range: int) -> NDArray[np.int16]:
        """Samples int16 ``[n]`` of ``text`` by ``voice`` (such as "en-us+f3"); pitch and its range are 0..100."""
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise InputError(f"eSpeak NG has no voice {voice!r}")
        for parameter, value in (
            (_RATE, words_per_minute), (_VOLUME, 100), (_PITCH, pitch), (_RANGE, pitch_range),
        ):  # fmt: skip
            self._library.espeak_SetParameter(parameter, value, 0)
        self._parts.clear()
        content = text.encode()
        failed = self._library.espeak_Synth(content, len(content) + 1, 0, _CHARACTERS, 0, _UTF8, None, None)
        if failed or not self._parts:
            raise ToolError(f"eSpeak NG says nothing for {text!r} by {voice}")
        return np.concatenate(self._parts)

    def _take(self, samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            self._parts.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0


def _breathes(variant: Path) -> bool:
    return any(line.startswith(b"breath") for line in variant.read_bytes().splitlines())


def _find() -> tuple[str, Path]:
    """The library, and the folder that holds ``voices``."""
    try:
        loader = importlib.import_module("espeakng_loader")
    except ModuleNotFoundError:
        raise ToolError("the synthesiser eSpeak NG is not installed: pip install 'cs-hdl[speech]'") from None
    return str(loader.get_library_path()), Path(loader.get_data_path())
