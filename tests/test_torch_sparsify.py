"""Conventions of torch.nn, conversion of dense models, and the export that cs-hdl reads: equal in every bit."""

from __future__ import annotations

import copy
import io
from collections import OrderedDict
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: torch)")

from torch import nn  # noqa: E402

import cs_hdl.torch as cs  # noqa: E402
from cs_hdl.combine.masks import lower_bound  # noqa: E402
from cs_hdl.combine.project import project_masks  # noqa: E402
from cs_hdl.errors import InputError  # noqa: E402
from cs_hdl.frontend.onnx import read_onnx_model  # noqa: E402
from cs_hdl.golden.dense import run_dense, run_layers  # noqa: E402


def test_projection_keeps_the_most_that_any_masks_keep() -> None:
    """Against every permutation of six positions among three kernels of two weights."""
    magnitudes = np.random.default_rng(3).random((3, 6))
    masks = project_masks(magnitudes, nonzeros=2)
    assert (masks.sum(axis=1) == 2).all() and lower_bound(masks) == 1
    best = max(
        sum(magnitudes[kernel, order[2 * kernel : 2 * kernel + 2]].sum() for kernel in range(3))
        for order in (list(p) for p in permutations(range(6)))
    )
    assert magnitudes[masks].sum() == pytest.approx(best)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_projection_is_as_good_as_the_assignment_of_single_weights(data: st.DataObject) -> None:
    """By SciPy, with a row for each weight: any sizes, ties, zeros, positions left over."""
    kernels, positions = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 40))
    nonzeros = data.draw(st.integers(1, positions))
    levels = data.draw(st.sampled_from([1, 2, 3, 1000]))  # one level: all are equal
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    magnitudes = rng.integers(0, levels, (kernels, positions)) * data.draw(st.sampled_from([1e-6, 1.0, 1e6]))
    masks = project_masks(magnitudes, nonzeros=nonzeros)
    assert (masks.sum(axis=1) == nonzeros).all()
    sets = -(-kernels // (positions // nonzeros))
    for first in range(sets):
        mask, values = masks[first::sets], magnitudes[first::sets]
        assert mask.sum(axis=0).max() == 1
        rows = np.repeat(values, nonzeros, axis=0)
        chosen = linear_sum_assignment(rows, maximize=True)
        assert values[mask].sum() == pytest.approx(rows[chosen].sum())


def test_projection_has_the_sets_of_other_masks_and_refuses() -> None:
    masks = project_masks(np.random.default_rng(0).random((10, 25)), nonzeros=6)
    assert (masks.sum(axis=1) == 6).all()
    for first in range(3):  # sets of 4, 3 and 3 kernels: every third
        assert masks[first::3].sum(axis=0).max() == 1
    with pytest.raises(InputError, match=r"must be 1\.\.4"):
        project_masks(np.ones((2, 4)), nonzeros=5)
    with pytest.raises(InputError, match="not a finite number"):
        project_masks(np.array([[np.nan, 1.0]]), nonzeros=1)


def test_arguments_have_the_order_of_torch_nn() -> None:
    ours = cs.ComplementaryConv2d(4, 6, 3, 2, 1, 1, 2, False, "zeros", None, torch.float64, sparsity=0.5)
    theirs = nn.Conv2d(4, 6, 3, 2, 1, 1, 2, False, "zeros", None, torch.float64)
    value = torch.rand(2, 4, 9, 9, dtype=torch.float64)
    with torch.no_grad():
        theirs.weight.copy_(ours.weight * ours.mask)
    assert torch.equal(ours(value), theirs(value))
    assert ours.nonzeros == 9 and ours.weight.dtype == ours.mask.dtype == torch.float64
    assert "4, 6, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), groups=2, bias=False, nonzeros=9" in repr(ours)
    linear = cs.ComplementaryLinear(40, 8, False, nonzeros=5)
    assert linear.bias is None and "nonzeros=5" in repr(linear) and "in_features=40" in repr(linear)
    assert "k=3" in repr(cs.KWinners(9, 3, 1.5)) and "boost_strength=1.5" in repr(cs.KWinners2d(9, 3, 1.5))
    # Kernels of one group never collide.
    assert lower_bound(ours.mask[:3].reshape(3, -1).numpy() != 0) <= 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give either nonzeros or sparsity"),
        ({"nonzeros": 3, "sparsity": 0.5}, "give either"),
        ({"nonzeros": 0}, r"nonzeros must be 1\.\.18, not 0"),
        ({"nonzeros": 19}, r"nonzeros must be 1\.\.18"),
        ({"sparsity": 1.0}, "sparsity must be at least 0 and below 1"),
        ({"mask": torch.ones(4, 2, 3, 2)}, r"mask has the shape \[4, 2, 3, 2\], the weights \[4, 2, 3, 3\]"),
        ({"mask": torch.ones(4, 2, 3, 3), "nonzeros": 3}, "give a mask, or"),
        ({"nonzeros": 3, "dilation": 2}, "dilation must be 1"),
        ({"nonzeros": 3, "padding_mode": "reflect"}, "padding_mode must be 'zeros'"),
        ({"nonzeros": 3, "padding": "same"}, "padding must be one number or two"),
    ],
)
def test_wrong_arguments(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cs.ComplementaryConv2d(2, 4, 3, **options)


def small(*, winners: bool = True) -> nn.Sequential:
    """A dense model of plain PyTorch layers, with k-WTA where wanted."""
    layers: list[tuple[str, nn.Module]] = [
        ("conv", nn.Conv2d(1, 8, 3, padding=1)),
        ("norm", nn.BatchNorm2d(8)),
        ("relu", nn.ReLU()),
        ("pool", nn.MaxPool2d(2)),
        *([("local", cs.KWinners2d(8, 3))] if winners else []),
        ("flatten", nn.Flatten()),
        ("hidden", nn.Linear(8 * 16, 20)),
        ("norm2", nn.BatchNorm1d(20)),
        *([("all", cs.KWinners(20, 6))] if winners else [("relu2", nn.ReLU())]),
        ("output", nn.Linear(20, 5)),
    ]
    torch.manual_seed(1)
    return nn.Sequential(OrderedDict(layers))


def images(count: int = 64) -> torch.Tensor:
    return torch.randint(0, 256, (count, 1, 8, 8), generator=torch.Generator().manual_seed(2)).float()


def test_convert_keeps_the_heaviest_weights_and_the_model() -> None:
    model = small()
    sparse = cs.convert(model, sparsity=0.75, skip=("output",))
    assert type(model.conv) is nn.Conv2d and type(sparse.output) is nn.Linear
    assert (sparse.conv.nonzeros, sparse.hidden.nonzeros) == (2, 32)
    kept = sparse.hidden.mask != 0
    assert torch.equal(sparse.hidden.weight[kept], model.hidden.weight[kept])
    assert (sparse.hidden.weight[~kept] == 0).all() and torch.equal(sparse.hidden.bias, model.hidden.bias)
    random = cs.ComplementaryLinear(128, 20, nonzeros=32).mask
    assert (model.hidden.weight.abs() * kept).sum() > 1.2 * (model.hidden.weight.abs() * random).sum()
    for layer in (sparse.conv, sparse.hidden):
        per_set = layer.weight[0].numel() // layer.nonzeros
        assert lower_bound((layer.mask != 0).flatten(1).numpy()) == -(-len(layer.weight) // per_set)


def test_convert_by_name_by_masks_nested_and_itself() -> None:
    nested = nn.Sequential(OrderedDict([("body", small()), ("head", nn.Linear(5, 3))]))
    sparse = cs.convert(nested, nonzeros={"body.hidden": 16})
    assert sparse.body.hidden.nonzeros == 16 and type(sparse.head) is nn.Linear and type(sparse.body.conv) is nn.Conv2d
    mask = torch.zeros(3, 5)
    mask[:, 1:3] = 1
    given = cs.convert(nested, masks={"head": mask})
    assert torch.equal(given.head.mask, mask) and given.head.nonzeros == 2
    assert isinstance(cs.convert(nn.Linear(8, 4), sparsity=0.5), cs.ComplementaryLinear)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give one of sparsity, nonzeros and masks"),
        ({"sparsity": 0.5, "nonzeros": 3}, "give one of"),
        ({"nonzeros": 10}, r"conv: nonzeros must be 1\.\.9, not 10"),
        ({"nonzeros": {"hiden": 3}}, "hiden: no Conv2d or Linear of the model is called so; there are: conv, hidden"),
        ({"sparsity": 0.5, "skip": ("last",)}, "last: no Conv2d or Linear"),
        (
            {"masks": {"hidden": torch.ones(20, 5)}},
            r"hidden: the mask has the shape \[20, 5\], the weights \[20, 128\]",
        ),
    ],
)
def test_convert_refuses(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        cs.convert(small(), **options)


def test_convert_names_the_layer_that_cannot_be() -> None:
    with pytest.raises(InputError, match="0: dilation must be 1"):
        cs.convert(nn.Sequential(nn.Conv2d(1, 4, 3, dilation=2)), sparsity=0.5)
    broken = small()
    with torch.no_grad():
        broken.hidden.weight[0, 0] = float("nan")
    with pytest.raises(InputError, match="hidden: a weight is not a finite number"):
        cs.convert(broken, sparsity=0.5)


def quantised(*, winners: bool = True, power_of_two: bool = True, sparsity: float = 0.75) -> nn.Sequential:
    model = cs.prepare(cs.convert(small(winners=winners), sparsity=sparsity, skip=("output",)))
    model.train()
    for _ in range(3):
        model(images())
    model = cs.fold_batch_norm(model.eval())
    cs.calibrate(model, images(), power_of_two=power_of_two)
    return model


@pytest.mark.parametrize("winners", [True, False])
def test_what_pytorch_computes_is_what_the_chip_computes(tmp_path: Path, winners: bool) -> None:
    model = quantised(winners=winners)
    cs.export_onnx(model, tmp_path / "small.onnx", input_shape=(1, 8, 8), summary="a test")
    read = read_onnx_model(tmp_path / "small.onnx")
    values = images(200)
    with torch.no_grad():
        theirs = model(values).numpy()
    ours = run_dense(read.network, values.numpy().astype(np.uint8).transpose(0, 2, 3, 1))
    assert np.array_equal(ours.reshape(200, 5) * read.output_scale, theirs)
    kinds = [layer.kind for layer in read.network.layers]
    assert kinds.count("LocalKWTA") == kinds.count("GlobalKWTA") == int(winners)


def test_other_scales_differ_by_their_last_place_and_rarely(tmp_path: Path) -> None:
    model = quantised(power_of_two=False)
    assert np.log2(model.relu.number) % 1 != 0
    cs.export_onnx(model, tmp_path / "small.onnx", input_shape=(1, 8, 8))
    read = read_onnx_model(tmp_path / "small.onnx")
    values = images(200)
    first = nn.Sequential(*list(model.children())[:2])  # to the first requantisation

    with torch.no_grad():
        theirs = np.rint((first(values) / model.relu.number).numpy()).transpose(0, 2, 3, 1)
    ours = run_layers(read.network, values.numpy().astype(np.uint8).transpose(0, 2, 3, 1))[0]
    steps = np.abs(ours.astype(int) - theirs)
    assert steps.max() <= 1 and (steps > 0).mean() < 0.002


def test_everything_is_in_the_state_dict() -> None:
    model, other = quantised(), cs.prepare(cs.convert(small(), sparsity=0.75, skip=("output",)))
    other = cs.fold_batch_norm(other)
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    buffer.seek(0)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    with torch.no_grad():
        assert torch.equal(other.eval()(images()), model(images()))
    assert other.relu.enabled and other.relu.number == model.relu.number


def test_training_goes_on_with_quantisation_and_masks() -> None:
    model = quantised().train()
    masks = {name: module.mask.clone() for name, module in model.named_modules() if hasattr(module, "mask")}
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    before = copy.deepcopy(model.state_dict())
    for _ in range(3):
        optimiser.zero_grad()
        model(images()).square().mean().backward()
        optimiser.step()
    assert not torch.equal(before["hidden.weight"], model.hidden.weight)
    for name, mask in masks.items():
        module = model.get_submodule(name)
        assert torch.equal(module.mask, mask) and (module.weight[mask == 0] == 0).all()


def test_torch_compile_gives_the_same() -> None:
    """Traced whole, without a graph break; the backend that needs no compiler."""
    model = quantised()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        assert torch.equal(compiled(images()), model(images()))


def test_boost_strength_fades() -> None:
    model = nn.Sequential(cs.KWinners(8, 2, 1.5, boost_strength_factor=0.5), nn.Sequential(cs.KWinners2d(4, 1, 1.0)))
    model.apply(cs.update_boost_strength)
    assert float(model[0].boost_strength) == 0.75 and float(model[1][0].boost_strength) == 1.0
    with pytest.raises(ValueError, match=r"boost_strength_factor must be 0\.\.1"):
        cs.KWinners(8, 2, boost_strength_factor=2.0)


def test_batch_norm_behind_a_pool_folds_only_with_positive_factors() -> None:
    layers = [("c", cs.ComplementaryConv2d(1, 2, 3, nonzeros=3)), ("p", nn.MaxPool2d(2)), ("n", nn.BatchNorm2d(2))]
    model = nn.Sequential(OrderedDict(layers))
    model.train()(images())
    value = model.eval()(images())
    folded = cs.fold_batch_norm(copy.deepcopy(model))
    assert torch.allclose(folded(images()), value, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        model.n.weight[1] = -1.0
    with pytest.raises(InputError, match="n: a factor that is not positive cannot move before the max-pooling p"):
        cs.fold_batch_norm(model)


def test_export_refuses_by_name(tmp_path: Path) -> None:
    for layers, message in (
        ([("norm", nn.BatchNorm2d(1))], "norm: batch normalisation has no integer form; fold"),
        ([("act", nn.GELU())], "act: GELU has no integer form here; accepted"),
        ([("q", cs.FakeQuantise("int8"))], "q: quantisation is off"),
    ):
        with pytest.raises(InputError, match=message):
            cs.export_onnx(nn.Sequential(OrderedDict(layers)), tmp_path / "m.onnx", input_shape=(1, 8, 8))
    model = quantised()
    with torch.no_grad():
        model.hidden.weight[0] = 1.0
    with pytest.raises(InputError, match="hidden: 96 weights are not 0 where the mask is"):
        cs.export_onnx(model, tmp_path / "m.onnx", input_shape=(1, 8, 8))
    assert list(tmp_path.iterdir()) == []
