"""k-WTA activations: exactly k winners, on a tie the lowest index, as in ONNX TopK and in our hardware."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["KWinners", "KWinners2d", "narrow_winners", "update_boost_strength"]


class _KWinnersBase(nn.Module):
    """What the local and the global k-WTA share: selection along dimension 1, and boosting."""

    duty_cycle: Tensor
    boost_strength: Tensor

    def __init__(
        self,
        units: int,
        k: int,
        boost_strength: float,
        boost_strength_factor: float,
        duty_cycle_momentum: float,
        gradient_leak: float,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= units:
            raise ValueError(f"k must be 1..{units}, not {k!r}")
        if not boost_strength >= 0:
            raise ValueError(f"boost_strength must not be negative, not {boost_strength!r}")
        if not 0 <= boost_strength_factor <= 1:
            raise ValueError(f"boost_strength_factor must be 0..1, not {boost_strength_factor!r}")
        if not 0 < duty_cycle_momentum <= 1:
            raise ValueError(f"duty_cycle_momentum must be above 0 and at most 1, not {duty_cycle_momentum!r}")
        if not 0 <= gradient_leak <= 1:
            raise ValueError(f"gradient_leak must be 0..1, not {gradient_leak!r}")
        self.units = units
        self.k = k
        #: How many win now; ``k`` unless :func:`narrow_winners` says otherwise.
        self.winners = k
        self.boost_strength_factor = boost_strength_factor
        self.duty_cycle_momentum = duty_cycle_momentum
        self.gradient_leak = gradient_leak
        # Buffers: training that was stopped and goes on from a state_dict boosts as it did.
        self.register_buffer("duty_cycle", torch.full((units,), k / units, device=device, dtype=dtype))
        self.register_buffer("boost_strength", torch.tensor(float(boost_strength), device=device, dtype=dtype))

    @torch.no_grad()
    def update_boost_strength(self) -> None:
        """After an epoch: the boost strength times ``boost_strength_factor``."""
        self.boost_strength.mul_(self.boost_strength_factor)

    def _select(self, value: Tensor) -> Tensor:
        """``value`` (``[batch, units, ...]``), clipped at 0, with all but the k winners set to 0."""
        value = value.clamp(min=0)
        contest = value.detach()
        if self.training:
            boost = torch.exp(self.boost_strength * (self.k / self.units - self.duty_cycle))
            contest = contest * boost.reshape(1, -1, *(1,) * (value.ndim - 2))
        # torch.topk promises no order among equals, but what the k-th value is does not depend on one.
        threshold = contest.topk(self.winners, dim=1).values.narrow(1, self.winners - 1, 1)
        above, equal = contest > threshold, contest == threshold
        room = self.winners - above.sum(dim=1, keepdim=True, dtype=torch.int32)
        chosen = (above | (equal & (equal.cumsum(dim=1, dtype=torch.int32) <= room))).to(value.dtype)
        if self.training:
            self._count(chosen * (value.detach() > 0))
            if self.gradient_leak:
                # Adds 0: what lost takes part in the gradient only.
                leak = value * (1 - chosen) * self.gradient_leak
                return value * chosen + (leak - leak.detach())
        return value * chosen

    @torch.no_grad()
    def _count(self, active: Tensor) -> None:
        share = active.mean(dim=[d for d in range(active.ndim) if d != 1])
        self.duty_cycle.lerp_(share.to(self.duty_cycle.dtype), self.duty_cycle_momentum)

    def extra_repr(self) -> str:
        return f"{self.units}, k={self.k}, boost_strength={float(self.boost_strength):g}"


def update_boost_strength(module: nn.Module) -> None:
    """For ``model.apply`` after each epoch: every k-WTA's boost strength times its factor."""
    if isinstance(module, _KWinnersBase):
        module.update_boost_strength()


def narrow_winners(model: nn.Module, progress: float) -> None:
    """Let every k-WTA of ``model`` keep all of its units at ``progress`` 0, k of them from 1 on, in between as many as
    lie on the exponential from one to the other.

    A network that begins without the cut and is narrowed step by step learns faster, and better, than one that begins
    with most of its units cut off.
    """
    for module in model.modules():
        if isinstance(module, _KWinnersBase):
            share = module.k / module.units
            module.winners = max(module.k, round(module.units * share ** min(max(progress, 0.0), 1.0)))


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
    boost_strength_factor : float
        What :meth:`update_boost_strength` multiplies it by (``model.apply(update_boost_strength)``).
    duty_cycle_momentum : float
        Weight of the newest batch in the running duty cycle.
    gradient_leak : float
        In training only: the share (0..1) of the gradient that reaches what lost, so that it can learn to win. 0 is
        the published layer.
    device, dtype
        Of the buffers ``duty_cycle`` and ``boost_strength``.

    Shape: ``[batch, channels, height, width]`` to the same.
    """

    def __init__(
        self,
        channels: int,
        k: int,
        boost_strength: float = 0.0,
        *,
        boost_strength_factor: float = 1.0,
        duty_cycle_momentum: float = 0.02,
        gradient_leak: float = 0.0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            channels, k, boost_strength, boost_strength_factor, duty_cycle_momentum, gradient_leak, device, dtype
        )

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim != 4 or input.shape[1] != self.units:
            raise ValueError(f"input must be [batch, {self.units}, height, width], not {list(input.shape)}")
        return self._select(input)


class KWinners(_KWinnersBase):
    """Global k-WTA: of all features the k largest stay, clipped at 0; the others become 0.

    Parameters are those of :class:`KWinners2d`, with ``features`` in place of ``channels``.

    Shape: ``[batch, features]`` to the same.
    """

    def __init__(
        self,
        features: int,
        k: int,
        boost_strength: float = 0.0,
        *,
        boost_strength_factor: float = 1.0,
        duty_cycle_momentum: float = 0.02,
        gradient_leak: float = 0.0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            features, k, boost_strength, boost_strength_factor, duty_cycle_momentum, gradient_leak, device, dtype
        )

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim != 2 or input.shape[1] != self.units:
            raise ValueError(f"input must be [batch, {self.units}], not {list(input.shape)}")
        return self._select(input)
