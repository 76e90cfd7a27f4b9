"""Dense models of others to complementary ones, and on to an ONNX file that ``cs-hdl generate`` reads."""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from cs_hdl.combine.project import project_masks
from cs_hdl.errors import InputError
from cs_hdl.files import write_aside
from cs_hdl.torch.fit import fit_complementary
from cs_hdl.torch.layers import ComplementaryConv2d, ComplementaryLinear, kernel_nonzeros
from cs_hdl.torch.onnx_export import to_onnx
from cs_hdl.torch.quantise import FakeQuantise
from cs_hdl.torch.to_integer import integer_network
from cs_hdl.torch.winners import KWinners, KWinners2d

__all__ = ["convert", "export_onnx", "prepare"]

Model = TypeVar("Model", bound=nn.Module)
Share = float | Mapping[str, float] | None
Count = int | Mapping[str, int] | None


def convert(
    model: Model,
    *,
    sparsity: Share = None,
    nonzeros: Count = None,
    masks: Mapping[str, Tensor] | None = None,
    skip: Collection[str] = (),
    images: Tensor | None = None,
) -> Model:
    """A copy of ``model`` whose Conv2d and Linear layers are complementary, with the weights that the masks keep.

    ``sparsity`` (share of zeros) or ``nonzeros`` (weights a kernel): for all layers, or a mapping from the names of
    those that are wanted (as ``named_modules`` has them). The masks are those that keep the most weight magnitude
    (:func:`cs_hdl.combine.project.project_masks`), or the given ``masks`` by layer. Layers in ``skip``, and those
    that a mapping does not name, stay as they are. With ``images``, some of what the model is given (a thousand, say),
    positions and weights are chosen so that each layer does on them nearly what it did
    (:func:`cs_hdl.torch.fit.fit_complementary`); much less is then left for training to mend. Raises InputError, naming
    the layer, for one that cannot be converted, a name that does not exist, and a mask that does not match its weights.
    """
    if sum(option is not None for option in (sparsity, nonzeros, masks)) != 1:
        raise InputError("convert: give one of sparsity, nonzeros and masks")
    if masks is not None and images is not None:
        raise InputError("convert: give masks, or images of which they are made, not both")
    found = {name: module for name, module in model.named_modules() if type(module) in (nn.Conv2d, nn.Linear)}
    named = next((set(o) for o in (sparsity, nonzeros, masks) if isinstance(o, Mapping)), set(found) - set(skip))
    for name in sorted((named | set(skip)) - set(found)):
        raise InputError(f"{name}: no Conv2d or Linear of the model is called so; there are: {', '.join(found)}")
    result = copy.deepcopy(model)
    for name in (name for name in found if name in named):
        dense = result.get_submodule(name)
        assert isinstance(dense, nn.Conv2d | nn.Linear)
        mask = _mask(name, dense, sparsity=sparsity, nonzeros=nonzeros, masks=masks)
        sparse = _complementary(name, dense, mask)
        if name:
            parent, _, own = name.rpartition(".")
            setattr(result.get_submodule(parent), own, sparse)
        else:  # the model itself
            result = sparse
    if images is not None:
        fit_complementary(result, model, images)
    return result


def _mask(
    name: str, dense: nn.Conv2d | nn.Linear, *, sparsity: Share, nonzeros: Count, masks: Mapping[str, Tensor] | None
) -> Tensor:
    shape = dense.weight.shape
    if masks is not None:
        if masks[name].shape != shape:
            raise InputError(f"{name}: the mask has the shape {list(masks[name].shape)}, the weights {list(shape)}")
        return masks[name]
    positions = math.prod(shape[1:])
    share = sparsity[name] if isinstance(sparsity, Mapping) else sparsity
    most = nonzeros[name] if isinstance(nonzeros, Mapping) else nonzeros
    groups = dense.groups if isinstance(dense, nn.Conv2d) else 1
    try:
        count = kernel_nonzeros(positions, most, share)
        parts = np.split(dense.weight.detach().abs().cpu().double().numpy().reshape(shape[0], positions), groups)
        kept = np.concatenate([project_masks(part, nonzeros=count) for part in parts])
    except (ValueError, InputError) as error:
        raise InputError(f"{name}: {error}") from None
    return torch.from_numpy(kept).reshape(shape)


@torch.no_grad()
def _complementary(name: str, dense: nn.Conv2d | nn.Linear, mask: Tensor) -> nn.Module:
    place: dict[str, Any] = {"device": dense.weight.device, "dtype": dense.weight.dtype}
    has_bias = dense.bias is not None
    sparse: ComplementaryConv2d | ComplementaryLinear
    if isinstance(dense, nn.Linear):
        sparse = ComplementaryLinear(dense.in_features, dense.out_features, has_bias, mask=mask, **place)
    else:
        try:
            sparse = ComplementaryConv2d(
                dense.in_channels, dense.out_channels, dense.kernel_size, dense.stride, dense.padding,
                dense.dilation, dense.groups, has_bias, dense.padding_mode, mask=mask, **place,
            )  # fmt: skip
        except ValueError as error:
            raise InputError(f"{name}: {error}") from None
    sparse.weight.copy_(dense.weight * sparse.mask)
    if dense.bias is not None and sparse.bias is not None:
        sparse.bias.copy_(dense.bias)
    return sparse.train(dense.training)


def prepare(model: nn.Sequential) -> nn.Sequential:
    """A copy of ``model``, ready for quantisation: each ReLU becomes a :class:`FakeQuantise` (a ReLU until it is
    calibrated), one is put before each k-WTA that lacks it, and Conv2d and Linear that are still dense become
    complementary layers with all their weights. Names stay. Raises InputError for a k-WTA with nothing before it.
    """
    layers: list[tuple[str, nn.Module]] = []
    for name, module in copy.deepcopy(model).named_children():
        if isinstance(module, KWinners | KWinners2d) and not (layers and _gives_uint8(layers[-1][1])):
            layers.append((f"{name}_quantise", FakeQuantise("uint8")))
        if type(module) in (nn.Conv2d, nn.Linear):
            assert isinstance(module, nn.Conv2d | nn.Linear)
            module = _complementary(name, module, torch.ones_like(module.weight))
        layers.append((name, FakeQuantise("uint8") if isinstance(module, nn.ReLU) else module))
    return nn.Sequential(OrderedDict(layers)).train(model.training)


def _gives_uint8(module: nn.Module) -> bool:
    return isinstance(module, FakeQuantise | nn.ReLU | KWinners | KWinners2d | nn.MaxPool2d)


def export_onnx(
    model: nn.Sequential,
    path: Path | str,
    *,
    input_shape: tuple[int, int, int],
    input_scale: float = 1.0,
    output_name: str = "scores",
    summary: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write the quantised ``model`` as a QDQ ONNX file of standard operators, in one piece.

    ``input_shape`` is (channels, height, width). The model must be calibrated and its normalisations folded. Raises
    InputError, naming the layer, where it cannot be exported.
    """
    path = Path(path)
    network = integer_network(model, name=path.stem, input_shape=input_shape, input_scale=input_scale)
    with torch.no_grad():
        device = next(model.parameters()).device
        outputs = int(model.eval()(torch.zeros(1, *input_shape, device=device)).shape[-1])
    exported = to_onnx(
        network, output_name=output_name, outputs=outputs, summary=summary, metadata=dict(metadata or {})
    )
    write_aside(path, exported.SerializeToString(deterministic=True))
