"""Small random networks, and their words as beats of the stages between the borders."""

from __future__ import annotations

from typing import Any

import numpy as np
from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from cs_hdl.network import (
    ArgMax,
    Conv2d,
    GlobalKWTA,
    Layer,
    Linear,
    LocalKWTA,
    MaxPool,
    Network,
    Requantise,
    Tensor,
)
from cs_hdl.plan.device_limits import DeviceLimits
from cs_hdl.plan.plan import Plan
from cs_hdl.rtl.layer import Chain, make_stage

LIMITS = DeviceLimits(name="LFE5U-85F", lut=83640, dsp=156, block_ram=208)


def random_scale(rng: np.random.Generator, channels: int, kind: str) -> Requantise | None:
    """``kind``: none, shift (a power of two), layer (one multiplier) or channel (one for each)."""
    if kind == "none":
        return None
    if kind == "shift":
        return Requantise(multiplier=np.array([1]), shift=np.array([int(rng.integers(5, 10))]))
    count = 1 if kind == "layer" else channels
    return Requantise(multiplier=rng.integers(1, 65536, count), shift=rng.integers(18, 26, count))


def sparse_weights(rng: np.random.Generator, shape: tuple[int, ...], density: float) -> np.ndarray:
    """int8 in -127..127 of which about ``density`` are not 0."""
    weights = rng.integers(-127, 128, shape).astype(np.int8)
    weights[rng.random(shape) > density] = 0
    return weights


def random_bias(rng: np.random.Generator, channels: int) -> np.ndarray:
    return rng.integers(-3000, 3000, channels).astype(np.int32)


def random_convolution(seed: int) -> Network:
    """A convolution with any of: stride, padding, signed input, a k-WTA in front, a pool and a k-WTA behind."""
    rng = np.random.default_rng(seed)
    height, width = (int(size) for size in rng.integers(1, 9, 2))
    channels, kernels = int(rng.choice([1, 2, 3, 4, 5, 8, 12])), int(rng.choice([1, 2, 3, 5, 8, 12, 16]))
    kernel = int(rng.integers(1, min(height, 4) + 1)), int(rng.integers(1, min(width, 4) + 1))
    tensor = Tensor((height, width, channels), "uint8" if rng.random() < 0.8 else "int8")
    layers: list[Layer] = []
    if tensor.dtype == "uint8" and channels > 1 and rng.random() < 0.4:
        layers.append(LocalKWTA(name="front", winners=int(rng.integers(1, channels + 1))))
    kind = str(rng.choice(["none", "shift", "layer", "channel"]))
    layers.append(
        Conv2d(
            name="conv",
            weights=sparse_weights(rng, (kernels, channels, *kernel), float(rng.choice([0.1, 0.3, 1]))),
            bias=random_bias(rng, kernels),
            stride=(int(rng.integers(1, 3)), int(rng.integers(1, 3))),
            padding=tuple(int(p) for p in rng.integers(0, 3, 4)) if rng.random() < 0.5 else (0, 0, 0, 0),
            requantise=random_scale(rng, kernels, kind),
        )
    )
    out = Network(name="n", input=tensor, layers=tuple(layers)).output
    if kind != "none" and min(out.shape[:2]) >= 2 and rng.random() < 0.6:
        layers.append(MaxPool(name="pool", kernel=(2, 2), stride=(int(rng.integers(1, 3)),) * 2))
    if kind != "none" and rng.random() < 0.4:
        layers.append(LocalKWTA(name="kwta", winners=int(rng.integers(1, kernels + 1))))
    return Network(name=f"convolution {seed}", input=tensor, layers=tuple(layers))


def random_linear(seed: int) -> Network:
    """A linear layer, over a map or behind a global k-WTA, perhaps with another one and an ArgMax behind."""
    rng = np.random.default_rng(seed)
    features, outputs = int(rng.choice([1, 2, 7, 16, 40, 97])), int(rng.choice([1, 2, 10, 13, 40]))
    shape = (2, 3, int(rng.integers(1, 8))) if rng.random() < 0.3 else (1, 1, features)
    features = shape[0] * shape[1] * shape[2]
    layers: list[Layer] = []
    if shape[0] == 1 and rng.random() < 0.5:
        layers.append(GlobalKWTA(name="front", winners=int(rng.integers(1, features + 1))))
    kind = str(rng.choice(["none", "shift", "layer", "channel"]))
    layers.append(
        Linear(
            name="linear",
            weights=sparse_weights(rng, (outputs, features), float(rng.choice([0.1, 0.5, 1]))),
            bias=random_bias(rng, outputs),
            requantise=random_scale(rng, outputs, kind),
        )
    )
    if kind != "none" and rng.random() < 0.6:
        layers.append(GlobalKWTA(name="kwta", winners=int(rng.integers(1, outputs + 1))))
        if rng.random() < 0.6:
            bias = np.zeros(5, dtype=np.int32)
            layers.append(Linear(name="scores", weights=sparse_weights(rng, (5, outputs), 1), bias=bias))
            if rng.random() < 0.5:
                layers.append(ArgMax(name="class"))
    return Network(name=f"linear {seed}", input=Tensor(shape, "uint8"), layers=tuple(layers))


def random_chain(seed: int) -> Network:
    """Convolution, perhaps a pool and a local k-WTA, linear, global k-WTA, and perhaps scores and their class."""
    rng = np.random.default_rng(seed)
    height, width, channels = (int(size) for size in rng.integers((3, 3, 1), (7, 7, 4)))
    kernels, features = (int(rng.choice(sizes)) for sizes in ([2, 4, 6, 8], [3, 8, 12, 20]))
    layers: list[Layer] = [
        Conv2d(
            name="conv",
            weights=sparse_weights(rng, (kernels, channels, 3, 3), 0.4),
            bias=random_bias(rng, kernels),
            padding=(1, 1, 1, 1) if rng.random() < 0.5 else (0, 0, 0, 0),
            requantise=random_scale(rng, kernels, str(rng.choice(["shift", "layer", "channel"]))),
        )
    ]
    tensor = Tensor((height, width, channels), "uint8")
    out = Network(name="n", input=tensor, layers=tuple(layers)).output
    if min(out.shape[:2]) >= 2:
        layers.append(MaxPool(name="pool", kernel=(2, 2), stride=(2, 2)))
        out = layers[-1].output(out)
    if rng.random() < 0.7:
        layers.append(LocalKWTA(name="local", winners=int(rng.integers(1, kernels + 1))))
    layers.append(
        Linear(
            name="linear",
            weights=sparse_weights(rng, (features, out.size), 0.3),
            bias=random_bias(rng, features),
            requantise=random_scale(rng, features, "shift"),
        )
    )
    layers.append(GlobalKWTA(name="global", winners=int(rng.integers(1, features + 1))))
    if rng.random() < 0.7:
        bias = random_bias(rng, 5)
        layers.append(Linear(name="scores", weights=sparse_weights(rng, (5, features), 1), bias=bias))
        if rng.random() < 0.5:
            layers.append(ArgMax(name="class"))
    return Network(name=f"chain {seed}", input=tensor, layers=tuple(layers))


def random_words(network: Network, count: int, seed: int) -> np.ndarray:
    """Words over the whole range of the input, a third of the values 0 (so that there are ties)."""
    rng = np.random.default_rng(seed)
    low, high = (0, 256) if network.input.dtype == "uint8" else (-128, 128)
    words = rng.integers(low, high, (count, *network.input.shape))
    words[rng.random(words.shape) < 0.3] = 0
    return words


class Warmed(wiring.Component):
    """All stages of a plan, without the borders; like the accelerator, it takes no word before all is cleared."""

    def __init__(self, plan: Plan) -> None:
        self._cycles = plan.warm_up_cycles
        self._chain = Chain(**{f"stage_{index}": make_stage(plan, stage) for index, stage in enumerate(plan.stages)})
        ports = {"i": In, "o": Out}
        payloads = {name: getattr(self._chain, name).payload.shape() for name in ports}
        super().__init__({name: flow(stream.Signature(payloads[name])) for name, flow in ports.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.chain = self._chain
        left, ready = Signal(range(self._cycles + 2), init=self._cycles + 1), Signal()
        m.d.comb += [
            ready.eq(left == 0),
            self._chain.i.payload.eq(self.i.payload),
            self._chain.i.valid.eq(self.i.valid & ready),
            self.i.ready.eq(self._chain.i.ready & ready),
        ]
        with m.If(~ready):
            m.d.sync += left.eq(left - 1)
        wiring.connect(m, self._chain.o, wiring.flipped(self.o))
        return m


def beats_in(plan: Plan, words: np.ndarray) -> list[dict[str, Any]]:
    """The payloads of the first stage's input."""
    flat = words.reshape(len(words), -1)
    flat = np.pad(flat, ((0, 0), (0, plan.input_beats * plan.input_lanes - flat.shape[1])))
    return [{"values": beat.tolist()} for beat in flat.reshape(-1, plan.input_lanes)]


def words_out(plan: Plan, outputs: list[Any], count: int) -> np.ndarray:
    """What the last stage gave, as ``[count, *output shape]``."""
    output = plan.network.output
    values = np.array([beat["values"] for beat in outputs]).reshape(count, -1)
    return values[:, : output.size].reshape(count, *output.shape)
