"""Residual blocks, average pools and rescaled tensors as data: shapes, what is refused, and the file."""

from __future__ import annotations

import numpy as np
import pytest
from test_network import same

from cs_hdl.errors import InputError
from cs_hdl.golden.dense import run_dense
from cs_hdl.network import (
    ArgMax,
    AveragePool,
    Conv2d,
    Layer,
    LocalKWTA,
    MaxPool,
    Network,
    Requantise,
    Rescale,
    Residual,
    ScaledSum,
    Tensor,
    load_network,
    save_network,
)

SUM = ScaledSum(multipliers=(1, 1), shift=1)
ONE = ScaledSum(multipliers=(1,), shift=0)


def conv(name: str, ins: int, outs: int, *, stride: int = 1, scaled: bool = True, dtype: str = "uint8") -> Conv2d:
    requantise = Requantise(multiplier=np.array([3]), shift=np.array([4]), dtype=dtype)
    return Conv2d(
        name=name,
        weights=np.full((outs, ins, 1, 1), 2, dtype=np.int8),
        bias=np.arange(outs, dtype=np.int32),
        stride=(stride, stride),
        requantise=requantise if scaled else None,
    )


def network(*layers: Layer, shape: tuple[int, int, int] = (4, 6, 3), dtype: str = "uint8") -> Network:
    return Network(name="net", input=Tensor(shape, dtype), layers=layers)


def everything() -> Network:
    inner = Residual(name="inner", body=(conv("b", 5, 5, dtype="int8"),), scale=SUM)
    block = Residual(
        name="block",
        body=(conv("a", 3, 5, stride=2), LocalKWTA(name="k", winners=2), inner),
        shortcut=(MaxPool(name="p", kernel=(2, 2), stride=(2, 2)), conv("d", 3, 5)),
        scale=ScaledSum(multipliers=(3, 40000), shift=16, dtype="int8", low=-7, high=99),
    )
    pool = AveragePool(name="average", kernel=(2, 2), stride=(1, 1), padding=(1, 0, 0, 1), scale=ONE)
    return network(block, Rescale(name="relu", scale=ScaledSum(multipliers=(5,), shift=2, high=77)), pool)


def test_tensors_and_the_flat_order():
    made = everything()
    assert [tensor.shape for tensor in made.tensors] == [(4, 6, 3), (2, 3, 5), (2, 3, 5), (2, 3, 5)]
    assert [tensor.dtype for tensor in made.tensors] == ["uint8", "int8", "uint8", "uint8"]
    names = ["a", "k", "b", "inner", "p", "d", "block", "relu", "average"]
    assert [layer.name for layer, _ in made.flat] == names
    assert [(layer.name, tensor.winners) for layer, tensor in made.weighted] == [("a", None), ("b", None), ("d", None)]
    # A branch reads every channel, whatever a k-WTA left in front of it.
    block = Residual(name="r", body=(conv("c", 3, 3),), scale=SUM)
    assert network(LocalKWTA(name="k", winners=1), block).weighted[0][1].winners is None


def test_save_and_load_lose_nothing(tmp_path):
    save_network(everything(), tmp_path / "n.npz")
    loaded = load_network(tmp_path / "n.npz")
    assert same(everything(), loaded)
    save_network(loaded, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "n.npz").read_bytes()


def test_golden_by_hand():
    """One position, so that every number can be seen: ties to even, limits, the order of the operands."""
    body = conv("a", 1, 1)  # round((2 x + 0) * 3 / 16)
    block = Residual(name="r", body=(body,), scale=ScaledSum(multipliers=(1, 2), shift=1, dtype="int8", high=20))
    made = network(block, shape=(1, 1, 1))
    values = np.array([0, 1, 2, 4, 5, 100], dtype=np.uint8)
    sums = [0, 0, 1, 2, 2, 38]
    expected = [0, 1, 2, 5, 6, 20]  # (body + 2 x) / 2: 0, 1, 2.5, 5, 6, 119
    assert run_dense(network(body, shape=(1, 1, 1)), values.reshape(-1, 1, 1, 1)).ravel().tolist() == sums
    assert run_dense(made, values.reshape(-1, 1, 1, 1)).ravel().tolist() == expected


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Residual(name="r", body=(), scale=SUM), "r: its body needs at least one layer"),
        (lambda: Residual(name="r", body=(conv("c", 3, 3),), scale=ONE), r"r: 1 multipliers for 2 operand\(s\)"),
        (lambda: Rescale(name="r", scale=SUM), r"r: 2 multipliers for 1 operand\(s\)"),
        (lambda: Residual(name="r", body=(conv("c", 3, 4),), scale=SUM),
         r"r: its branches give \[4, 6, 4\] and \[4, 6, 3\]; a sum takes two tensors of one shape"),
        (lambda: Residual(name="r", body=(conv("c", 3, 3, stride=2),), scale=SUM), r"give \[2, 3, 3\] and \[4, 6, 3\]"),
        (lambda: Residual(name="r", body=(conv("c", 3, 3, scaled=False),), scale=SUM),
         "r: what c gives must be uint8 or int8, not int16; give that layer a scale"),
        (lambda: Residual(name="r", body=(ArgMax(name="m"),), scale=SUM), "m: an ArgMax must be the last layer"),
        (lambda: Residual(name="r", body=(conv("c", 4, 3),), scale=SUM), "c: weights for 4 input channels"),
        (lambda: Residual(name="c", body=(conv("c", 3, 3),), scale=SUM), "two layers have the same name: c, c"),
        (lambda: AveragePool(name="p", kernel=(5, 1), stride=(1, 1), scale=ONE), "p: kernel .* larger than its input"),
        (lambda: AveragePool(name="p", kernel=(2, 2), stride=(1, 1), scale=SUM), "p: 2 multipliers"),
        (lambda: ScaledSum(multipliers=(0,), shift=0), "multiplier 0 must be 1..65535"),
        (lambda: ScaledSum(multipliers=(65536,), shift=0), "multiplier 65536 must be"),
        (lambda: ScaledSum(multipliers=(1,), shift=48), "shift 48 must be 0..47"),
        (lambda: ScaledSum(multipliers=(1,), shift=0, dtype="int16"), "scaled to uint8 or int8, not int16"),
        (lambda: ScaledSum(multipliers=(1,), shift=0, low=-1), r"limits -1\.\.255 must rise and lie within uint8"),
        (lambda: ScaledSum(multipliers=(1,), shift=0, low=3), r"limits 3\.\.255 must include 0"),
    ],
)  # fmt: skip
def test_refusals(make, message):
    with pytest.raises(InputError, match=message):
        network(make())


def test_accumulators_are_not_scaled_anew():
    with pytest.raises(InputError, match="r: its input must be uint8 or int8, not int16"):
        network(conv("c", 3, 3, scaled=False), Rescale(name="r", scale=ONE))
