"""Whether a board holds the design that a design directory describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cs_hdl.errors import InputError
from cs_hdl.host.protocol import Identity

__all__ = ["check_identity", "identity_of"]


def identity_of(manifest: Mapping[str, Any]) -> Identity:
    """What a board with the design of ``manifest`` says of itself, but for its clock (0 here)."""
    return Identity(
        digest=bytes.fromhex(manifest["sources"]["design.v"])[:8],
        clock_khz=0,
        input_shape=tuple(manifest["input"]["shape"]),
        input_dtype=manifest["input"]["dtype"],
        output_shape=tuple(manifest["output"]["shape"]),
        output_dtype=manifest["output"]["dtype"],
    )


def check_identity(found: Identity, manifest: Mapping[str, Any]) -> None:
    """InputError, saying what is on the board, where ``found`` is not the identity of ``manifest``'s design."""
    wanted = identity_of(manifest)
    if found.digest == wanted.digest:
        return
    shape = " x ".join(map(str, found.input_shape))
    raise InputError(
        f"the board holds another design ({found.digest.hex()}, input {shape} {found.input_dtype}) than the design "
        f"directory ({wanted.digest.hex()}); load its bitstream: cs-hdl program"
    )
