"""Where the data of the package are: in the checkout, or in the wheel below ``cs_hdl/_data``."""

from __future__ import annotations

from pathlib import Path

from cs_hdl.errors import ToolError

__all__ = ["data_folder"]


def data_folder(name: str) -> Path:
    """The folder ``sim`` or ``boards``. ToolError where the installation lacks it."""
    package = Path(__file__).resolve().parent
    for folder in (package / "_data" / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise ToolError(f"this installation of cs-hdl has no folder {name}; install it again")
