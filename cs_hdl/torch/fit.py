"""Sparse kernels that compute nearly what dense ones do: positions and weights by least squares, on data.

The largest weights are a poor choice where inputs are alike, as neighbours in a spectrogram or an image are: one
weight can then stand for several. So those positions are chosen that leave the least of the outputs' variance
unexplained, given that the kernels of a set share none, and the weights there are those of the best linear estimate
of the output. (A weight's importance is that of "Optimal Brain Surgeon", Hassibi and Stork 1993.)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cs_hdl.combine.masks import kernel_sets
from cs_hdl.combine.project import project_masks
from cs_hdl.errors import InputError
from cs_hdl.torch.layers import ComplementaryConv2d, ComplementaryLinear
from cs_hdl.torch.moments import Moments, measure_moments

__all__ = ["fit_complementary", "fit_kernels", "renormalise"]

#: Rows (places of images) of which a layer's moments are taken, about.
_ROWS = 250_000
#: Images of which batch normalisations take their statistics, about.
_STATISTICS = 4_000
#: Up to so many choices of a kernel's positions, all are looked at.
_FEW = 5_000
#: Positions of a kernel at most: their covariances are solved in double precision (0.8 GB a matrix).
_MOST = 10_000
#: Rounds in which a kernel's positions become fewer, as multiples of what is left: fitting anew in between shows what
#: the others can stand for.
_ROUNDS = (4, 2, 1)
#: What is added to each input's variance, as a share of the mean variance: what few data cannot tell apart stays small.
_DAMPING = 1e-2
#: Numbers of all normal equations that are solved at a time.
_AT_A_TIME = 20_000_000


@torch.no_grad()
def fit_complementary(
    model: nn.Module,
    dense: nn.Module,
    images: Tensor,
    *,
    prepare: Callable[[Tensor], Tensor] = Tensor.float,
    batch_size: int = 64,
    progress: Callable[[str], None] = lambda layer: None,
) -> None:
    """Give each complementary layer of ``model`` the mask and weights with which it does nearly what the layer of the
    same name in ``dense`` does, one after the other, each on what those before it now give.

    Layers keep as many weights a kernel as they have; those that have all of them stay as they are. The bias makes the
    mean equal, and batch normalisations of ``model`` take their statistics anew. All other parameters should be those
    of ``dense`` already. ``images`` ``[n, ...]`` are what the models are given, after ``prepare``; a thousand do, of
    the kind that is trained on, more are better. Layers must stand in the order in which they compute; ``progress`` is
    told the name of each. Raises InputError, naming the layer, for groups, for more than 10,000 positions, where
    ``dense`` has no such layer, and where an activation is not finite.
    """
    if not len(images):
        raise InputError("images: at least one is needed")
    device = next(model.parameters()).device

    def batches(every: int = 1) -> Iterable[Tensor]:
        return (prepare(batch).to(device) for batch in images[::every].split(batch_size))

    layers = _layers_to_fit(model, dense)
    modes = {module: module.training for module in (*model.modules(), *dense.modules())}
    model.eval()
    dense.eval()
    try:
        for name, layer in layers.items():
            progress(name)
            moments = measure_moments(model, dense, name, batches, images=len(images), rows=_ROWS)
            try:
                mask, weights = fit_kernels(moments, nonzeros=layer.nonzeros)
            except InputError as error:
                raise InputError(f"{name}: {error}") from None
            layer.mask.copy_(torch.from_numpy(mask).reshape(layer.mask.shape))
            layer.weight.copy_(torch.from_numpy(weights).reshape(layer.weight.shape))
            if layer.bias is not None:
                layer.bias.copy_(moments.output_mean - torch.from_numpy(weights).to(device) @ moments.input_mean)
            renormalise(model, batches(max(1, len(images) // _STATISTICS)))
    finally:
        for module, mode in modes.items():
            module.training = mode


def _layers_to_fit(model: nn.Module, dense: nn.Module) -> dict[str, ComplementaryConv2d | ComplementaryLinear]:
    """The complementary layers of ``model`` that lack weights, by name. Raises InputError for one that cannot be."""
    found: dict[str, ComplementaryConv2d | ComplementaryLinear] = {}
    wanted = dict(dense.named_modules())
    for name, layer in model.named_modules():
        if not isinstance(layer, ComplementaryConv2d | ComplementaryLinear):
            continue
        positions = layer.weight[0].numel()
        if layer.nonzeros == positions:
            continue
        if positions > _MOST:
            raise InputError(
                f"{name}: {positions:,} positions a kernel are too many to be fitted, {_MOST:,} are the "
                "most; choose its mask by magnitude"
            )
        if getattr(layer, "groups", 1) != 1:
            raise InputError(f"{name}: a convolution in groups cannot be fitted; choose its mask by magnitude")
        if not isinstance(wanted.get(name), nn.Conv2d | nn.Linear) or wanted[name].weight.shape != layer.weight.shape:
            raise InputError(f"{name}: the dense model has no such layer of the same shape")
        found[name] = layer
    return found


def fit_kernels(moments: Moments, *, nonzeros: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Masks bool and weights float64 ``[kernels, positions]``: complementary, ``nonzeros`` positions a kernel.

    Sets are those of :func:`cs_hdl.combine.masks.kernel_sets`. Raises InputError where ``nonzeros`` is not
    1..positions or a moment is not finite.
    """
    positions, kernels = moments.cross.shape
    sets = kernel_sets(kernels=kernels, positions=positions, nonzeros=nonzeros)
    if not all(bool(values.isfinite().all()) for values in (moments.inputs, moments.cross, moments.variance)):
        raise InputError("an activation is not a finite number")
    damping = _DAMPING * float(moments.inputs.diagonal().mean()) or 1.0
    inputs = moments.inputs + damping * torch.eye(positions, dtype=torch.float64, device=moments.inputs.device)
    # Each kernel's share of what is lost counts alike, whatever its scale.
    cross = (moments.cross / moments.variance.clamp(min=1e-12).sqrt()).T
    if math.comb(positions, nonzeros) <= _FEW:
        mask = _look_at_all(inputs, cross, nonzeros, sets)
    else:
        mask = _thin_out(inputs, cross, nonzeros)
    return mask, _solve(inputs, moments.cross.T, mask)[0].cpu().numpy()


def _thin_out(inputs: Tensor, cross: Tensor, nonzeros: int) -> NDArray[np.bool_]:
    """Round by round those positions stay without which the most would be lost, as sets allow it."""
    inverse = torch.linalg.inv(inputs)
    importance = (cross @ inverse) ** 2 / inverse.diagonal()
    mask: NDArray[np.bool_] = np.ones(tuple(cross.shape), dtype=np.bool_)
    for count in (times * nonzeros for times in _ROUNDS if times * nonzeros < len(inputs)):
        mask = project_masks(importance.cpu().numpy(), nonzeros=count)
        if count != nonzeros:
            importance = _solve(inputs, cross, mask)[1]
    return mask


def _solve(inputs: Tensor, cross: Tensor, mask: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
    """The weights ``[kernels, positions]`` that explain the most with what ``mask`` leaves (as many for each kernel),
    and of each what is lost without it, once the others have made up for it."""
    weights, importance = torch.zeros_like(cross), torch.zeros_like(cross)
    kept = torch.from_numpy(np.nonzero(mask)[1].reshape(len(mask), -1)).to(cross.device)
    for kernels in torch.arange(len(mask)).split(max(1, _AT_A_TIME // kept.shape[1] ** 2)):
        some, rows = kept[kernels], kernels[:, None].to(cross.device)
        inverse = torch.linalg.inv(inputs[some[:, :, None], some[:, None, :]])
        solved = (inverse @ cross[rows, some][:, :, None])[:, :, 0]
        weights[rows, some] = solved
        importance[rows, some] = solved**2 / inverse.diagonal(dim1=1, dim2=2)
    return weights, importance


def _look_at_all(inputs: Tensor, cross: Tensor, nonzeros: int, sets: list[range]) -> NDArray[np.bool_]:
    """Of all choices of positions those that explain the most, set by set."""
    choices = np.array(list(itertools.combinations(range(len(inputs)), nonzeros)))
    some = torch.from_numpy(choices).to(cross.device)
    inverse = torch.linalg.inv(inputs[some[:, :, None], some[:, None, :]])
    given = cross[:, some]
    explained = torch.einsum("ksi,sij,ksj->ks", given, inverse, given).cpu().numpy()
    covers = np.zeros((len(choices), len(inputs)), dtype=np.bool_)
    np.put_along_axis(covers, choices, True, axis=1)
    mask: NDArray[np.bool_] = np.zeros(tuple(cross.shape), dtype=np.bool_)
    for members in map(np.array, sets):
        mask[members] = covers[_best_together(explained[members], covers)]
    return mask


def _best_together(explained: NDArray[Any], covers: NDArray[np.bool_]) -> list[int]:
    """A choice for each kernel of a set, no two of which share a position.

    From what each finds free on, pairs of kernels choose anew among what the others leave them, until none gains.
    """
    chosen: list[int] = []
    for values in explained:
        free = ~covers[:, covers[chosen].any(axis=0)].any(axis=1)
        chosen.append(int(np.argmax(np.where(free, values, -np.inf))))
    gained = True
    while gained:
        gained = False
        for one, two in itertools.combinations(range(len(chosen)), 2):
            others = [choice for kernel, choice in enumerate(chosen) if kernel not in (one, two)]
            left = np.flatnonzero(~covers[:, covers[others].any(axis=0)].any(axis=1))
            shared = covers[left].astype(np.int64) @ covers[left].T.astype(np.int64)
            together = np.where(shared == 0, explained[one, left][:, None] + explained[two, left], -np.inf)
            first, second = divmod(int(np.argmax(together)), len(left))
            if together[first, second] > explained[one, chosen[one]] + explained[two, chosen[two]] + 1e-12:
                chosen[one], chosen[two] = int(left[first]), int(left[second])
                gained = True
    return chosen


@torch.no_grad()
def renormalise(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Statistics of all batch normalisations anew: the mean over ``batches``. ``model`` is left in inference mode."""
    model.eval()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
        norm.momentum = None  # the mean of all batches
    try:
        for batch in batches:
            if len(batch) > 1:  # one alone has no variance
                model(batch)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        model.eval()
