"""k-WTA activations: exactly k winners, on a tie the lowest index, as in ONNX TopK and in our hardware."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["KWinners", "KWinners2d"]


class _KWinnersBase(nn.Module):
    """What the local and the global k-WTA share: selection along dimension 1, and boosting."""

    duty_cycle: Tensor

    def __init__(self, units: int, k: int, boost_strength: float, duty_cycle_momentum: float) -> None:
        super().__init__()
        if not 1 <= k <= units:
            raise ValueError(f"k must be 1..{units}, not {k!r}")
        if boost_strength < 0:
            raise ValueError(f"boost_strength must not be negative, not {boost_strength!r}")
        if not 0 < duty_cycle_momentum <= 1:
            raise ValueError(f"duty_cycle_momentum must be above 0 and at most 1, not {duty_cycle_momentum!r}")
        self.units = units
        self.k = k
        self.boost_strength = boost_strength
        self.duty_cycle_momentum = duty_cycle_momentum
        self.register_buffer("duty_cycle", torch.full((units,), k / units))

    def _select(self, value: Tensor) -> Tensor:
        """``value`` (``[batch, units, ...]``), clipped at 0, with all but the k winners set to 0."""
        value = value.clamp(min=0)
        contest = value.detach()
        if self.training and self.boost_strength > 0:
            boost = torch.exp(self.boost_strength * (self.k / self.units - self.duty_cycle))
            contest = contest * boost.reshape(1, -1, *(1,) * (value.ndim - 2))
        # torch.topk promises no order among equals; a stable sort does.
        winners = torch.sort(contest, dim=1, descending=True, stable=True).indices.narrow(1, 0, self.k)
        chosen = torch.zeros_like(value).scatter(1, winners, 1.0)
        if self.training:
            self._count(chosen * (value > 0))
        return value * chosen

    @torch.no_grad()
    def _count(self, active: Tensor) -> None:
        share = active.mean(dim=[d for d in range(active.ndim) if d != 1])
        self.duty_cycle.lerp_(share, self.duty_cycle_momentum)


class KWinners2d(_KWinnersBase):
    """Local k-WTA: of each position's channels the k largest stay, clipped at 0; the others become 0.

    Parameters
    ----------
    channels : int
        Channels of the input.
    k : int
        Winners at each position, 1..channels.
    boost_strength : float
        In training only: a channel's chance is multiplied by
        exp(boost_strength * (k / channels - duty cycle)), so that none stays silent. Only the
        choice is boosted, never a value.
    duty_cycle_momentum : float
        Weight of the newest batch in the running duty cycle.

    Shape: ``[batch, channels, height, width]`` to the same.
    """

    def __init__(
        self, channels: int, k: int, *, boost_strength: float = 0.0, duty_cycle_momentum: float = 0.02
    ) -> None:
        super().__init__(channels, k, boost_strength, duty_cycle_momentum)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim != 4 or input.shape[1] != self.units:
            raise ValueError(f"input must be [batch, {self.units}, height, width], not {list(input.shape)}")
        return self._select(input)

    def extra_repr(self) -> str:
        return f"{self.units}, k={self.k}, boost_strength={self.boost_strength}"


class KWinners(_KWinnersBase):
    """Global k-WTA: of all features the k largest stay, clipped at 0; the others become 0.

    Parameters are those of :class:`KWinners2d`, with ``features`` in place of ``channels``.

    Shape: ``[batch, features]`` to the same.
    """

    def __init__(
        self, features: int, k: int, *, boost_strength: float = 0.0, duty_cycle_momentum: float = 0.02
    ) -> None:
        super().__init__(features, k, boost_strength, duty_cycle_momentum)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim != 2 or input.shape[1] != self.units:
            raise ValueError(f"input must be [batch, {self.units}], not {list(input.shape)}")
        return self._select(input)

    def extra_repr(self) -> str:
        return f"{self.units}, k={self.k}, boost_strength={self.boost_strength}"
