"""The stages of a plan: what hardware there is between the two borders, in the order of the data.

Everything that the RTL needs is in here or in the packed network; nothing here knows the RTL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from cs_hdl.network import ScaledSum
    from cs_hdl.plan.geometry import Geometry
    from cs_hdl.plan.lanes import LanesPlan

__all__ = [
    "BEHIND_SLICE",
    "ArgMaxStage",
    "AverageStage",
    "ConstantsStage",
    "DensifyStage",
    "GlobalKWTAStage",
    "LanesStage",
    "LocalKWTAStage",
    "NarrowStage",
    "PoolStage",
    "RescaleStage",
    "ResidualStage",
    "Stage",
    "ThresholdKWTAStage",
    "WidenStage",
]


#: Beats of an output row up to which max-pooling has a running maximum.
_MOST_RUNNING_BEATS = 256


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage works for ``cycles`` on each word; ``layer`` is its place in the network."""

    layer: int
    cycles: int


@dataclass(frozen=True, kw_only=True)
class ConstantsStage(Stage):
    """Window and constant multipliers: one output position a cycle.

    ``columns`` is the number of positions in a beat of the input; more than one only at the network's input. There
    ``windows`` neighbouring output columns may be worked on at once (``geometry`` is then that of all of them
    together), of which only the largest value goes on: a part of the max-pool behind.
    """

    geometry: Geometry
    columns: int = 1
    windows: int = 1


@dataclass(frozen=True, kw_only=True)
class LanesStage(Stage):
    """The engine on lanes."""

    lanes: LanesPlan


@dataclass(frozen=True, kw_only=True)
class PoolStage(Stage):
    """Max-pooling over beats of ``lanes`` channels, ``beats`` a position."""

    #: Results that max-pooling with a running maximum holds at most, in its pipeline and its queue.
    RUNNING_DEPTH: ClassVar[int] = 8

    geometry: Geometry
    lanes: int
    beats: int
    dtype: str

    @property
    def running(self) -> bool:
        """Whether a running maximum does, in LUT RAM (which is made no deeper than so)."""
        return self.geometry.blocks and self.geometry.out[1] * self.beats <= _MOST_RUNNING_BEATS


@dataclass(frozen=True, kw_only=True)
class AverageStage(Stage):
    """Average pooling over beats of ``lanes`` channels, ``beats`` a position."""

    geometry: Geometry
    lanes: int
    beats: int
    dtype: str
    scale: ScaledSum

    @property
    def whole(self) -> bool:
        """Whether one window is the whole word, so that running sums do."""
        return self.geometry.kernel == self.geometry.shape[:2] and not any(self.geometry.padding)


@dataclass(frozen=True, kw_only=True)
class RescaleStage(Stage):
    """Each value of a beat of ``lanes`` scaled anew."""

    lanes: int
    dtype: str
    scale: ScaledSum


@dataclass(frozen=True, kw_only=True)
class ResidualStage(Stage):
    """A fork, two branches with a queue behind each, and the scaled sum of what they give.

    ``input_lanes`` values a beat come in (``input_dtype``) and ``lanes`` go out. The stages of ``body`` and
    ``shortcut`` count layers within their branch; ``dtypes`` are what the branches give. The queues hold
    ``body_queue`` and ``shortcut_queue`` beats: as many as one branch can be ahead of the other.
    """

    input_lanes: int
    input_dtype: str
    lanes: int
    body: tuple[Stage, ...]
    shortcut: tuple[Stage, ...]
    body_queue: int
    shortcut_queue: int
    dtypes: tuple[str, str]
    scale: ScaledSum


@dataclass(frozen=True, kw_only=True)
class LocalKWTAStage(Stage):
    """Sorting networks: a position in ``beats`` beats in, ``winners`` pairs out, ``pairs`` a beat.

    For a global k-WTA too, if that is cheaper: its word is then the only position.
    """

    channels: int
    winners: int
    beats: int
    pairs: int


@dataclass(frozen=True, kw_only=True)
class GlobalKWTAStage(Stage):
    """Histograms: ``lanes`` values a beat in, as many pairs a beat out.

    For a local k-WTA too, if that is cheaper: each position is then what a word is here.
    """

    features: int
    winners: int
    lanes: int


@dataclass(frozen=True, kw_only=True)
class ThresholdKWTAStage(Stage):
    """A search for the threshold: ``lanes`` values a beat in, ``scan`` compared at once, a pair a beat out."""

    features: int
    winners: int
    lanes: int
    scan: int


@dataclass(frozen=True, kw_only=True)
class ArgMaxStage(Stage):
    """Index of the largest of ``values``, ``lanes`` a beat."""

    values: int
    lanes: int
    dtype: str


@dataclass(frozen=True, kw_only=True)
class NarrowStage(Stage):
    """A queue of ``depth`` beats of ``channels`` channels, a whole position or a part, cut into beats of ``lanes``."""

    channels: int
    lanes: int
    depth: int
    dtype: str


@dataclass(frozen=True, kw_only=True)
class WidenStage(Stage):
    """Beats of ``lanes`` channels become one beat of all."""

    channels: int
    lanes: int
    dtype: str


@dataclass(frozen=True, kw_only=True)
class DensifyStage(Stage):
    """Winners become a dense tensor, ``lanes`` values a beat, behind a queue of ``queue`` beats (0: none)."""

    channels: int
    winners: int
    pairs: int
    lanes: int
    queue: int


#: Stages with a register slice in front: whether they have room must not go back through them and what comes before in
#: one cycle.
BEHIND_SLICE = (ConstantsStage, LanesStage, LocalKWTAStage, GlobalKWTAStage, ThresholdKWTAStage)
