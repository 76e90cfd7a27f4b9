"""The user's ``.npy`` files: whatever is wrong with one becomes a clear InputError; written whole or not at all."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from cs_hdl.errors import InputError
from cs_hdl.files import write_aside

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["load_array", "save_array"]


def load_array(path: Path, *, what: str) -> NDArray[Any]:
    """The array in ``path``, which the messages call ``what``; pickles are refused."""
    try:
        with path.open("rb") as file:
            if file.read(6) != b"\x93NUMPY":
                raise InputError(f"{path}: not a .npy file; write the {what} with numpy.save")
            file.seek(0)
            array = np.load(file, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file ({what})") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except ValueError as error:
        if "pickle" in str(error):
            raise InputError(f"{path}: holds Python objects, which are refused; save numbers ({what})") from None
        raise InputError(f"{path}: a damaged .npy file ({error}); write the {what} again") from None
    return np.asarray(array)


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write ``array`` to ``path``, whole or not at all."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_aside(path, buffer.getvalue())
