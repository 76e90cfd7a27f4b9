"""What a test of real bitstreams needs on the machine."""

from __future__ import annotations

import pytest

from cs_hdl.build.tools import require_tool
from cs_hdl.errors import ToolError


def need_build_tools(*names: str) -> None:
    """Skip, and say why, where one of these tools or the boards' definitions are missing."""
    try:
        for name in names:
            require_tool(name)
    except ToolError as error:
        pytest.skip(str(error))
    pytest.importorskip("amaranth_boards", reason="amaranth-boards is missing")
