"""The layers of ResNet-50 and MobileNetV2 as published, at 224 x 224 pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

__all__ = ["NETWORKS", "LayerShape", "mobilenet_v2", "resnet50"]


@dataclass(frozen=True, kw_only=True)
class LayerShape:
    """A layer and how often the network has it.

    ``size`` is the side of its square input, ``kernel`` of its kernel (padded by half of it). ``after`` says what
    its input is: "image", "relu" (unsigned, a k-WTA can stand there) or "linear" (signed, it cannot).
    """

    kernel: int
    in_channels: int
    out_channels: int
    size: int
    stride: int = 1
    depthwise: bool = False
    after: str = "relu"
    count: int = 1

    @property
    def name(self) -> str:
        """As papers write it."""
        kind = "depthwise " if self.depthwise else ""
        stride = f" /{self.stride}" if self.stride > 1 else ""
        return f"{kind}{self.kernel}x{self.kernel}, {self.in_channels}->{self.out_channels}, {self.size}²{stride}"

    @property
    def weights(self) -> int:
        """Weights of one such layer."""
        inputs = 1 if self.depthwise else self.in_channels
        return self.kernel**2 * inputs * self.out_channels

    @property
    def macs(self) -> int:
        """Multiplications a word of one such layer, dense."""
        return self.weights * (-(-self.size // self.stride)) ** 2


def resnet50() -> tuple[LayerShape, ...]:
    """He et al., Deep Residual Learning, table 1; the stride of a block at its 3x3, as everybody trains it."""
    return _counted(_resnet50())


def _resnet50() -> Iterator[LayerShape]:
    yield LayerShape(kernel=7, in_channels=3, out_channels=64, size=224, stride=2, after="image")
    channels, size = 64, 56
    for width, blocks, first_stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            yield LayerShape(kernel=1, in_channels=channels, out_channels=width, size=size)
            yield LayerShape(kernel=3, in_channels=width, out_channels=width, size=size, stride=stride)
            if block == 0:
                yield LayerShape(kernel=1, in_channels=channels, out_channels=4 * width, size=size, stride=stride)
            size //= stride
            yield LayerShape(kernel=1, in_channels=width, out_channels=4 * width, size=size)
            channels = 4 * width
    yield LayerShape(kernel=1, in_channels=2048, out_channels=1000, size=1)


def mobilenet_v2() -> tuple[LayerShape, ...]:
    """Sandler et al., MobileNetV2, table 2: bottlenecks end linearly, so their sums are signed."""
    return _counted(_mobilenet_v2())


def _mobilenet_v2() -> Iterator[LayerShape]:
    yield LayerShape(kernel=3, in_channels=3, out_channels=32, size=224, stride=2, after="image")
    channels, size = 32, 112
    bottlenecks = (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    )  # fmt: skip
    for expansion, width, repeats, first_stride in bottlenecks:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            wide = expansion * channels
            if expansion > 1:
                yield LayerShape(kernel=1, in_channels=channels, out_channels=wide, size=size, after="linear")
            yield LayerShape(kernel=3, in_channels=wide, out_channels=wide, size=size, stride=stride, depthwise=True)
            size //= stride
            yield LayerShape(kernel=1, in_channels=wide, out_channels=width, size=size)
            channels = width
    yield LayerShape(kernel=1, in_channels=320, out_channels=1280, size=7, after="linear")
    yield LayerShape(kernel=1, in_channels=1280, out_channels=1000, size=1)


def _counted(layers: Iterator[LayerShape]) -> tuple[LayerShape, ...]:
    counts: dict[LayerShape, int] = {}
    for layer in layers:
        counts[layer] = counts.get(layer, 0) + 1
    return tuple(replace(layer, count=count) for layer, count in counts.items())


NETWORKS = {"ResNet-50": resnet50, "MobileNetV2": mobilenet_v2}
