"""One node of an ONNX graph as its handler sees it: inputs, checked attributes, refusals."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cs_hdl.errors import InputError
from cs_hdl.frontend.values import Constant, Value, Winners

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Handler", "Operation", "Operator", "Refusal"]


class Refusal(InputError):
    """A model that is not accepted; the message is complete (file, node, operator, found, accepted)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Operation:
    """A node with the values of its inputs (None where an optional input is absent)."""

    file: str
    label: str
    operator: str
    inputs: tuple[Value | None, ...]
    input_names: tuple[str, ...]
    attributes: Mapping[str, Any]
    outputs: int

    @property
    def layer_name(self) -> str:
        """The label with nothing but letters, digits, dot, underscore and hyphen."""
        return re.sub(r"[^A-Za-z0-9_.-]+", "_", self.label).strip("_.-") or self.operator.lower()

    def refusal(self, found: str, accepted: str) -> Refusal:
        """The error that names file, node, operator, what was ``found`` and what is ``accepted``."""
        return Refusal(f"{self.file}: node {self.label} ({self.operator}): {found}; accepted: {accepted}")

    def input(self, index: int) -> Value | None:
        """Input ``index``, None where it is absent."""
        return self.inputs[index] if index < len(self.inputs) else None

    def input_name(self, index: int) -> str:
        """The name that the graph gives input ``index``."""
        return self.input_names[index] if index < len(self.input_names) else ""

    def wrong_input(self, index: int, accepted: str) -> Refusal:
        """The refusal of input ``index`` for what it is."""
        value = self.input(index)
        if isinstance(value, Winners):
            return Refusal(
                f"{self.file}: node {value.node} (TopK): its {value.what} go to node {self.label} ({self.operator}); "
                "accepted: a ScatterElements that puts the values into zeros by the indices (k-WTA)"
            )
        return self.refusal(f"input {index} is {'absent' if value is None else value}", accepted)

    def constant(self, index: int, what: str) -> NDArray[Any]:
        """Input ``index``, which must be known when the model is read."""
        value = self.input(index)
        if not isinstance(value, Constant):
            raise self.wrong_input(index, f"a constant {what}")
        return value.array

    def integers(self, index: int, what: str) -> list[int]:
        """Input ``index`` as a list of integers; it must be a constant."""
        array: NDArray[np.integer[Any]] = self.constant(index, what)
        if array.dtype.kind not in "iu" or array.ndim > 1:
            raise self.wrong_input(index, f"integers as the {what}")
        return [int(value) for value in array.reshape(-1)]

    def attribute(self, name: str, default: Any) -> Any:
        """Attribute ``name`` or ``default``, whose type (and that of its elements) it must have."""
        value = self.attributes.get(name, default)
        if name in self.attributes and not _same_type(value, default):
            raise self.refusal(f"attribute {name} = {value!r}", f"a value like {default!r}")
        return value

    def pair(self, name: str, default: tuple[int, int], *, line: bool = False) -> tuple[int, int]:
        """Attribute ``name`` as two integers of at least 1 (vertical, horizontal); over a ``line``, one: (1, n)."""
        value = self.attribute(name, list(default)[-1:] if line else list(default))
        if len(value) != (1 if line else 2) or min(value) < 1:
            accepted = "one integer of at least 1 (1-D)" if line else "two integers of at least 1 (2-D only)"
            raise self.refusal(f"{name} = {list(value)}", accepted)
        return (1, int(value[0])) if line else (int(value[0]), int(value[1]))


def _same_type(value: Any, default: Any) -> bool:
    if isinstance(default, list):
        return isinstance(value, list) and all(isinstance(item, int) for item in value)
    return isinstance(value, type(default))


Handler = Callable[[Operation], "Value | tuple[Value, ...]"]


@dataclass(frozen=True)
class Operator:
    """An operator's handler and the attributes that it understands; others are refused."""

    handler: Handler
    attributes: tuple[str, ...] = ()
