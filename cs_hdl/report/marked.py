"""The parts of the docs that are made: between two lines that mark them."""

from __future__ import annotations

from cs_hdl.errors import InputError

__all__ = ["put_between"]


def put_between(page: str, text: str, *, marks: tuple[str, str], name: str, what: str) -> str:
    """``page`` with ``text`` in the lines between its two marks, which may be equal.

    Raises InputError, naming the page (``name``) and ``what`` stands there, where a mark is missing.
    """
    begin, end = marks
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise InputError(f"{name}: the lines {begin} and {end} must stand around the {what}")
    return f"{before}{begin}\n{text}\n{end}{after}"
