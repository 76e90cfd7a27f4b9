"""Modules of a design.v that are the same but for names and a lane's place, made one: each is then read once only."""

from __future__ import annotations

import re

__all__ = ["merge_equal_modules"]

_MODULE = re.compile(r"^module (?P<name>\\\S+|\w+) ?(?P<body>\(.*?^endmodule\n)", re.MULTILINE | re.DOTALL)
_INSTANCE = re.compile(r"^  (?P<name>\\\S+|\w+)(?= +(?:\\\S+|\w+) +\($)", re.MULTILINE)
#: The last part of a name: it tells apart those that synthesis keeps as modules of their own.
_KIND = re.compile(r"(?:[.\\]|^)([a-z_]*)\w*$")
#: A lane adds its engine's and its own place to addresses: what differs between the engines of a layer. One constant
#: or another changes a LUT or two there, hundreds of which the lane has.
_CONSTANT = re.compile(r"^(  assign _\d+_ = \d+'h)[0-9a-f]+(?=;$)", re.MULTILINE)


def merge_equal_modules(text: str) -> str:
    """``text`` without modules that equal another one, of whose kind (``lane``, ``part``) they are.

    The lanes of several engines are such modules, if the constants of their place are left aside. Their
    instances are of the one that stays. What synthesis is given must keep them all.
    """
    bodies = {match["name"]: match["body"] for match in _MODULE.finditer(text)}
    kept: dict[str, str] = {}
    first: dict[tuple[str, str], str] = {}
    merged: dict[str, str] = {}

    def keep(name: str) -> str:
        """The module that stands for ``name``, its own instances taken care of."""
        if name not in merged:
            body = _INSTANCE.sub(lambda match: f"  {keep(match['name'])}" if match["name"] in bodies else match[0],
                                 bodies[name])  # fmt: skip
            kind = match[1] if (match := _KIND.search(name)) else ""
            shape = _CONSTANT.sub(r"\1", body) if kind == "lane_" else body
            merged[name] = first.setdefault((kind, shape), name)
            kept.setdefault(merged[name], body)
        return merged[name]

    for name in bodies:
        keep(name)
    return _MODULE.sub(
        lambda match: f"module {match['name']} {kept[match['name']]}" if match["name"] in kept else "", text
    )
