"""What the board's top level must know about a ``design.v``, from its manifest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from cs_hdl.errors import InputError
from cs_hdl.host.design import identity_of
from cs_hdl.host.protocol import MAX_PAYLOAD, Identity
from cs_hdl.host.values import bytes_of

__all__ = ["DesignPort", "DesignPorts"]


@dataclass(frozen=True, kw_only=True)
class DesignPort:
    """One AXI4-Stream side: ``bytes_per_beat`` wide, ``word_bytes`` of a word count, in ``beats`` beats."""

    bytes_per_beat: int
    beats: int
    word_bytes: int


@dataclass(frozen=True, kw_only=True)
class DesignPorts:
    """The ports of the module ``top``, and how it presents itself to the host.

    ``latency_cycles`` is the time from a word's first beat to its result's last, ``cycles_per_word`` that
    from word to word.
    """

    top: str
    input: DesignPort
    output: DesignPort
    latency_cycles: int
    cycles_per_word: int
    identity: Identity

    @property
    def output_values(self) -> int:
        """Values of a result."""
        return math.prod(self.identity.output_shape)

    @classmethod
    def from_manifest(cls, manifest: dict[str, Any]) -> DesignPorts:
        """Raises InputError where a word or a result is too long for a frame of the serial link."""
        ports = {}
        for side, spare in (("input", 0), ("output", 1)):
            entry = manifest[side]
            size = bytes_of(entry["dtype"])
            port = DesignPort(
                bytes_per_beat=size * entry["values_per_beat"],
                beats=entry["beats"],
                word_bytes=size * math.prod(entry["shape"]),
            )
            if port.word_bytes + spare > MAX_PAYLOAD:
                raise InputError(
                    f"the {side} of {port.word_bytes} bytes does not fit a frame of the serial link "
                    f"({MAX_PAYLOAD - spare} at most); this design cannot be built for a board yet"
                )
            ports[side] = port
        return cls(
            top=manifest["top"],
            input=ports["input"],
            output=ports["output"],
            latency_cycles=manifest["latency_cycles"],
            cycles_per_word=manifest["cycles_per_word"],
            identity=identity_of(manifest),
        )
