"""The plan of an accelerator: stages, cycles and what there is to say about each layer."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cs_hdl.combine.packed import Packed, load_packed, save_packed
from cs_hdl.errors import InputError
from cs_hdl.files import write_aside
from cs_hdl.network import Network, Residual, ScaledSum, Tensor, WeightLayer
from cs_hdl.plan import stages as stage_types
from cs_hdl.plan.geometry import Geometry, weight_geometry
from cs_hdl.plan.lanes import LanesPlan, ceil_div
from cs_hdl.plan.residual import branch_plans, flat_stages
from cs_hdl.plan.select import densify_delay
from cs_hdl.plan.stages import ConstantsStage, DensifyStage, LanesStage, ResidualStage, Stage

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LayerReport", "Plan", "load_plan", "save_plan"]


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """What the manifest and the tables say about a layer.

    ``mode`` is "sparse-sparse", "sparse-dense" or "dense" (empty for a layer without weights), and
    ``engine`` "lanes" or "constants". ``macs_dense`` and ``macs_sparse`` count multiplications a word:
    all of a dense layer, and those that weights and activations leave. ``constant_multipliers`` are made
    of adders, one a non-zero weight; ``multipliers`` are real ones, in ``engines`` engines that work on
    neighbouring positions. ``sets`` of up to ``kernels_per_set`` kernels each are ``spanning`` where a kernel
    may lie in several of them.
    """

    name: str
    kind: str
    mode: str
    engine: str
    sets: int
    set_bound: int
    kernels_per_set: int
    spanning: bool
    engines: int
    multipliers: int
    constant_multipliers: int
    macs_dense: int
    macs_sparse: int
    cycles: int
    nonzeros: int
    weights: int
    output: tuple[int, int, int]
    winners: int | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """Everything that the RTL is made from.

    ``input_lanes`` and ``output_lanes`` are values a beat at the border, ``cycles_per_word`` is the
    interval between words with a driver that never waits, ``latency_cycles`` runs from the first beat
    taken to the last beat given.
    """

    packed: Packed
    mode: str | None
    stages: tuple[Stage, ...]
    input_lanes: int
    output_lanes: int
    words_in_flight: int
    cycles_per_word: int
    latency_cycles: int

    @property
    def network(self) -> Network:
        """The network that was planned."""
        return self.packed.network

    @property
    def input_beats(self) -> int:
        """Beats of an input word."""
        return ceil_div(self.network.input.size, self.input_lanes)

    @property
    def output_beats(self) -> int:
        """Beats of an output word."""
        return ceil_div(self.network.output.size, self.output_lanes)

    @property
    def warm_up_cycles(self) -> int:
        """Cycles after reset in which memories without a reset are cleared and no word is taken."""
        stages = list(flat_stages(self.stages))
        lanes = (2 * stage.lanes.kernels_per_set for stage in stages if isinstance(stage, LanesStage))
        dense = (
            2 * ceil_div(s.channels, s.lanes) + densify_delay(s.channels, s.lanes)
            for s in stages
            if isinstance(s, DensifyStage)
        )
        return max([0, *lanes, *dense])

    @property
    def layers(self) -> tuple[LayerReport, ...]:
        """A report for each layer of the network, those of a residual's branches before its own."""
        reports: list[LayerReport] = []
        for index, layer in enumerate(self.network.layers):
            if isinstance(layer, Residual):
                stage = next(s for s in self.stages if s.layer == index and isinstance(s, ResidualStage))
                body, shortcut = branch_plans(self, stage)
                reports += body.layers
                reports += shortcut.layers if layer.shortcut else ()
            reports.append(self._report(index))
        return tuple(reports)

    def _report(self, index: int) -> LayerReport:
        network = self.network
        layer, tensor = network.layers[index], network.tensors[index]
        own = [stage for stage in self.stages if stage.layer == index]
        common: dict[str, Any] = {
            "name": layer.name,
            "kind": layer.kind,
            "cycles": max((stage.cycles for stage in own), default=0),
            "output": network.tensors[index + 1].shape,
            "winners": network.tensors[index + 1].winners,
        }
        if not isinstance(layer, WeightLayer):
            return LayerReport(
                **common, mode="", engine="", sets=0, set_bound=0, kernels_per_set=0, spanning=False, engines=0,
                multipliers=0, constant_multipliers=0, macs_dense=0, macs_sparse=0, nonzeros=0, weights=0,
            )  # fmt: skip
        packed = self.packed.layers[layer.name]
        geometry = weight_geometry(layer, tensor)
        kernels = layer.kernels(tensor)
        nonzeros = int((kernels != 0).sum())
        windows = sum(stage.windows for stage in own if isinstance(stage, ConstantsStage))  # 0: on lanes
        multipliers = sum(stage.lanes.multipliers for stage in own if isinstance(stage, LanesStage))
        return LayerReport(
            **common,
            mode=layer_mode(layer, tensor, self.mode),
            engine="constants" if windows else "lanes",
            sets=len(packed.sets),
            set_bound=packed.lower_bound,
            kernels_per_set=packed.kernels_per_set,
            spanning=packed.spanning is not None,
            engines=max((stage.lanes.engines for stage in own if isinstance(stage, LanesStage)), default=1),
            multipliers=multipliers,
            constant_multipliers=windows * nonzeros,
            macs_dense=geometry.positions * int(layer.weights.size),
            macs_sparse=_sparse_macs(layer, tensor, geometry),
            nonzeros=nonzeros,
            weights=int(layer.weights.size),
        )


def layer_mode(layer: WeightLayer, tensor: Tensor, mode: str | None) -> str:
    """Which of the paper's three designs a layer is."""
    if mode == "dense":
        return "dense"
    if tensor.winners is not None and mode != "sparse-dense":
        return "sparse-sparse"
    return "sparse-dense" if (layer.weights == 0).any() else "dense"


def _sparse_macs(layer: WeightLayer, tensor: Tensor, geometry: Geometry) -> int:
    """Multiplications a word that are left: non-zero weights, times the share of activations that win."""
    nonzeros = int((layer.weights != 0).sum())
    if tensor.winners is None:
        return geometry.positions * nonzeros
    return round(geometry.positions * nonzeros * tensor.winners / tensor.shape[2])


_STAGES: dict[str, type[Stage]] = {name: getattr(stage_types, name) for name in stage_types.__all__}


def save_plan(plan: Plan, folder: Path) -> None:
    """Write ``network.npz``, ``packed.json`` and ``plan.json`` to ``folder``; lossless and deterministic."""
    save_packed(plan.packed, folder)
    values = {
        item.name: getattr(plan, item.name)
        for item in dataclasses.fields(plan)
        if item.name not in ("packed", "stages")
    }
    content = {"format": 1, **values, "stages": [_stage_entry(stage) for stage in plan.stages]}
    write_aside(folder / "plan.json", json.dumps(content, indent=1, sort_keys=True) + "\n")


def _stage_entry(stage: Stage) -> dict[str, Any]:
    entry = {"stage": type(stage).__name__, **dataclasses.asdict(stage)}
    if isinstance(stage, ResidualStage):
        entry |= {key: [_stage_entry(inner) for inner in getattr(stage, key)] for key in ("body", "shortcut")}
    return entry


def load_plan(folder: Path) -> Plan:
    """Read what :func:`save_plan` wrote; InputError where it is missing or damaged."""
    packed = load_packed(folder)
    path = folder / "plan.json"
    try:
        content = json.loads(path.read_text())
        if content.pop("format") != 1:
            raise InputError(f"{path}: a plan of another format; generate the design again")
        stages = tuple(_load_stage(entry) for entry in content.pop("stages"))
        return Plan(packed=packed, stages=stages, **content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a plan that cs-hdl saved ({error!r}); generate it again") from error


def _load_stage(entry: dict[str, Any]) -> Stage:
    values = dict(entry)
    cls = _STAGES[values.pop("stage")]
    if "geometry" in values:
        values["geometry"] = _load_geometry(values["geometry"])
    if cls is LanesStage:
        lanes = dict(values["lanes"])
        lanes["geometry"] = _load_geometry(lanes["geometry"])
        values["lanes"] = LanesPlan(**lanes)
    if "scale" in values:
        values["scale"] = ScaledSum(**values["scale"] | {"multipliers": tuple(values["scale"]["multipliers"])})
    if cls is ResidualStage:
        values |= {key: tuple(_load_stage(inner) for inner in values[key]) for key in ("body", "shortcut")}
        values["dtypes"] = tuple(values["dtypes"])
    return cls(**values)


def _load_geometry(entry: dict[str, Any]) -> Geometry:
    return Geometry(**{key: tuple(value) for key, value in entry.items()})
