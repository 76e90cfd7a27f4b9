"""Images a second against the ideal dense bound, and the accuracy of what the hardware gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["LUTS_PER_MULTIPLIER", "DenseComparison", "accuracy", "compare_with_dense", "device_bounds", "right_answers"]

#: LUTs of an 8x8 multiplier without a DSP, taken to be few: Yosys 0.70 makes 271 LUT4s and 8 carry cells of one.
LUTS_PER_MULTIPLIER = 186


@dataclass(frozen=True, kw_only=True)
class DenseComparison:
    """A design's words a second beside what no dense design with as many multipliers can beat.

    The dense bound keeps each multiplier busy in every cycle of the same clock with the dense
    network's ``macs_dense``. ``constant_multipliers`` are made of adders (a product by a fixed
    weight): ``dense_bound`` counts real multipliers only, ``dense_bound_with_constants`` gives the
    dense design a full multiplier for each of them as well.
    """

    macs_dense: int
    macs_sparse: int
    multipliers: int
    constant_multipliers: int
    words_per_second: float
    dense_bound: float
    dense_bound_with_constants: float

    @property
    def speedup(self) -> float:
        """How many times faster than the dense bound; infinity without any real multiplier."""
        return self.words_per_second / self.dense_bound if self.dense_bound else float("inf")

    @property
    def speedup_with_constants(self) -> float:
        """The same, the constant multipliers counted as multipliers."""
        bound = self.dense_bound_with_constants
        return self.words_per_second / bound if bound else float("inf")


def compare_with_dense(manifest: Mapping[str, Any], *, clock_mhz: float) -> DenseComparison:
    """The comparison for the design of ``manifest`` at ``clock_mhz``."""

    def total(key: str) -> int:
        return sum(layer[key] for layer in manifest["layers"])

    macs, real, constant = total("macs_dense"), total("multipliers"), total("constant_multipliers")
    hertz = clock_mhz * 1e6
    return DenseComparison(
        macs_dense=macs,
        macs_sparse=total("macs_sparse"),
        multipliers=real,
        constant_multipliers=constant,
        words_per_second=hertz / manifest["cycles_per_word"],
        dense_bound=hertz * real / macs,
        dense_bound_with_constants=hertz * (real + constant) / macs,
    )


def device_bounds(manifest: Mapping[str, Any], *, dsp: int, lut: int, clock_mhz: float) -> dict[str, dict[str, float]]:
    """What no dense design on a whole device can beat: every multiplier busy in every cycle, all weights on the chip.

    With the device's DSPs alone, and with all of its LUTs made multipliers as well.
    """
    macs = sum(layer["macs_dense"] for layer in manifest["layers"])
    kinds = {"dsp": dsp, "dsp_and_lut": dsp + lut // LUTS_PER_MULTIPLIER}
    return {
        name: {
            "multipliers": count,
            "cycles_per_word": round(macs / count, 1),
            "words_per_second": round(clock_mhz * 1e6 * count / macs, 1),
        }
        for name, count in kinds.items()
    }


def right_answers(outputs: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.bool_]:
    """For each word whether its largest output (the first of equal ones), or its class index, is the label."""
    flat = outputs.reshape(len(outputs), -1)
    classes = flat[:, 0] if flat.shape[1] == 1 else flat.argmax(axis=1)
    return np.asarray(classes == labels)


def accuracy(outputs: NDArray[Any], labels: NDArray[Any]) -> float:
    """Share of :func:`right_answers`."""
    return float(np.mean(right_answers(outputs, labels)))
