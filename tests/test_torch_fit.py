"""Sparse kernels fitted to dense ones on data: the best choice where all can be tried, exact counts, no collision."""

from __future__ import annotations

import itertools
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: torch)")

from torch import nn  # noqa: E402

import cs_hdl.torch as cs  # noqa: E402
from cs_hdl.combine.masks import complementary_masks, lower_bound  # noqa: E402
from cs_hdl.errors import InputError  # noqa: E402
from cs_hdl.torch.fit import fit_kernels  # noqa: E402
from cs_hdl.torch.moments import Moments, measure_moments  # noqa: E402


def moments_of(inputs: np.ndarray, outputs: np.ndarray) -> Moments:
    """Written from the definition: NumPy's covariance, divided by the number of rows."""
    both = np.cov(np.hstack([inputs, outputs]).T, bias=True)
    n = inputs.shape[1]
    tensors = (both[:n, :n], both[:n, n:], both.diagonal()[n:], inputs.mean(axis=0), outputs.mean(axis=0))
    names = ("inputs", "cross", "variance", "input_mean", "output_mean")
    return Moments(**{name: torch.from_numpy(np.array(t)) for name, t in zip(names, tensors, strict=True)})


def unexplained(inputs: np.ndarray, outputs: np.ndarray, mask: np.ndarray) -> float:
    """The share of the outputs' variance that the best weights at ``mask`` leave, summed over kernels."""
    total = 0.0
    given, wanted = inputs - inputs.mean(axis=0), outputs - outputs.mean(axis=0)
    for kernel, positions in enumerate(mask):
        solved = np.linalg.lstsq(given[:, positions], wanted[:, kernel], rcond=None)[0]
        rest = wanted[:, kernel] - given[:, positions] @ solved
        total += float((rest**2).sum() / (wanted[:, kernel] ** 2).sum())
    return total


def alike(rows: int, positions: int, kernels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Inputs whose neighbours are much alike, and what dense kernels make of them."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(rows, positions)).cumsum(axis=1) + rng.normal(size=(rows, 1))
    return inputs, inputs @ rng.normal(size=(positions, kernels)) + 3


@pytest.mark.parametrize(("positions", "nonzeros"), [(5, 1), (6, 2), (7, 3)])
def test_two_kernels_get_the_best_of_all_choices(positions: int, nonzeros: int) -> None:
    inputs, outputs = alike(400, positions, 2)
    mask, _ = fit_kernels(moments_of(inputs, outputs), nonzeros=nonzeros)
    best = np.inf
    for one, two in itertools.product(itertools.combinations(range(positions), nonzeros), repeat=2):
        if not set(one) & set(two):
            candidate = np.zeros((2, positions), dtype=np.bool_)
            candidate[0, list(one)] = candidate[1, list(two)] = True
            best = min(best, unexplained(inputs, outputs, candidate))
    # (A little is added to each input's variance, so that a choice that is as good may be taken.)
    assert unexplained(inputs, outputs, mask) <= best * 1.05 + 1e-6


def test_sparse_kernels_are_found_again() -> None:
    """Those of 64 positions, more than can be tried one by one, on inputs that have nothing to do with each other."""
    rng = np.random.default_rng(3)
    mask = complementary_masks(kernels=16, positions=64, nonzeros=8, seed=1) != 0
    weights = mask * rng.choice([-1.0, 1.0], mask.shape) * rng.uniform(0.5, 1.5, mask.shape)
    inputs = rng.normal(2, 1, (4000, 64))
    found, fitted = fit_kernels(moments_of(inputs, inputs @ weights.T), nonzeros=8)
    assert np.array_equal(found, mask)
    assert np.allclose(fitted, weights, rtol=0.03)


def test_one_weight_stands_for_its_neighbours() -> None:
    """The mean of eight inputs that are much alike: of single weights the sum of all eight explains it best."""
    rng = np.random.default_rng(4)
    inputs = rng.normal(size=(2000, 1)) + 0.1 * rng.normal(size=(2000, 8))
    mask, weights = fit_kernels(moments_of(inputs, inputs.mean(axis=1, keepdims=True)), nonzeros=1)
    assert mask.sum() == 1 and weights[mask] == pytest.approx(1, abs=0.05)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_masks_are_complementary_and_full(data: st.DataObject) -> None:
    positions = data.draw(st.integers(1, 40))
    nonzeros = data.draw(st.integers(1, positions))
    kernels = data.draw(st.integers(1, 24))
    inputs, outputs = alike(data.draw(st.integers(1, 50)), positions, kernels, seed=positions)
    mask, weights = fit_kernels(moments_of(inputs, outputs), nonzeros=nonzeros)
    assert (mask.sum(axis=1) == nonzeros).all() and (weights[~mask] == 0).all() and np.isfinite(weights).all()
    assert lower_bound(mask) <= -(-kernels // (positions // nonzeros))


@pytest.mark.parametrize(("positions", "nonzeros", "kernels"), [(24, 3, 8), (200, 20, 8)])
def test_less_is_lost_than_at_the_largest_weights(positions: int, nonzeros: int, kernels: int) -> None:
    """Whether all choices are tried (2,024 of them) or not, and although both get the best weights."""
    inputs, _ = alike(2000, positions, 1)
    dense = np.random.default_rng(1).normal(size=(kernels, positions))
    outputs = inputs @ dense.T
    largest = cs.convert(linear(dense), nonzeros=nonzeros).mask.numpy() != 0
    mask, _ = fit_kernels(moments_of(inputs, outputs), nonzeros=nonzeros)
    assert unexplained(inputs, outputs, mask) < 0.8 * unexplained(inputs, outputs, largest)


def linear(weights: np.ndarray) -> nn.Linear:
    layer = nn.Linear(weights.shape[1], weights.shape[0])
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weights))
    return layer


def settled() -> nn.Sequential:
    """A dense model whose normalisations know their statistics."""
    torch.manual_seed(1)
    model = nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(1, 8, 5, padding=2), norm=nn.BatchNorm2d(8), relu=nn.ReLU(), pool=nn.MaxPool2d(2),
            conv2=nn.Conv2d(8, 12, 3, stride=2), relu2=nn.ReLU(), flatten=nn.Flatten(),
            hidden=nn.Linear(12 * 9, 20), norm2=nn.BatchNorm1d(20), relu3=nn.ReLU(), output=nn.Linear(20, 5),
        )
    )  # fmt: skip
    for seed in range(80):
        model(smooth(64, seed))
    return model.eval()


def smooth(count: int, seed: int = 0) -> torch.Tensor:
    """Images as a spectrogram is: neighbours are much alike."""
    coarse = torch.rand((count, 1, 5, 5), generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(coarse, size=(16, 16), mode="bilinear") * 255


def test_a_converted_model_does_nearly_what_the_dense_one_did() -> None:
    model, seen = settled(), smooth(200, seed=7)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    nonzeros = {"conv": 3, "conv2": 12, "hidden": 20}
    blind = cs.convert(model, nonzeros=nonzeros)
    told: list[str] = []
    fitted = cs.convert(model, nonzeros=nonzeros)
    cs.fit_complementary(fitted, model, smooth(500), progress=told.append)
    assert told == ["conv", "conv2", "hidden"]
    assert {name: fitted.get_submodule(name).nonzeros for name in nonzeros} == nonzeros
    with torch.no_grad():
        wanted = model(seen)
        errors = [float(((other(seen) - wanted) ** 2).mean()) for other in (fitted, blind)]
        again = cs.convert(model, nonzeros=nonzeros, images=smooth(500))(seen)
        assert torch.equal(again, fitted(seen))
    assert errors[0] < errors[1] / 2
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module.training for module in (*model.modules(), *fitted.modules()))


def test_modes_stay() -> None:
    model = settled().train()
    model.norm.eval()
    sparse = cs.convert(model, nonzeros={"hidden": 20}, images=smooth(20))
    assert model.training and not model.norm.training and sparse.training and not sparse.norm.training


def test_moments_are_those_of_all_places() -> None:
    """Of a convolution with stride and padding, in batches that do not divide the images."""
    model, images = settled(), smooth(11)
    measured = measure_moments(model, model, "conv2", lambda: images.split(4), images=11, rows=10**6)
    with torch.no_grad():
        given = model[:4](images)
        wanted = model.conv2(given).flatten(2).transpose(1, 2).flatten(0, 1).double().numpy()
        rows = nn.functional.unfold(given, 3, stride=2).transpose(1, 2).flatten(0, 1).double().numpy()
    expected = moments_of(rows, wanted)
    for name in ("inputs", "cross", "variance", "input_mean", "output_mean"):
        assert torch.allclose(getattr(measured, name), getattr(expected, name), rtol=1e-3, atol=1e-3), name
    # Nine places an image: of 40 rows every second image, the first of them among them.
    some = measure_moments(model, model, "conv2", lambda: images.split(4), images=11, rows=40)
    every = moments_of(rows.reshape(11, 9, -1)[::2].reshape(54, -1), wanted.reshape(11, 9, -1)[::2].reshape(54, -1))
    assert torch.allclose(some.input_mean, every.input_mean, rtol=1e-3, atol=1e-3)


def test_refused() -> None:
    model = settled()
    sparse = cs.convert(model, nonzeros={"hidden": 20})
    with pytest.raises(InputError, match="images: at least one is needed"):
        cs.fit_complementary(sparse, model, smooth(0))
    with pytest.raises(InputError, match="hidden: the dense model has no such layer of the same shape"):
        cs.fit_complementary(sparse, nn.Sequential(OrderedDict(hidden=nn.Linear(3, 4))), smooth(2))
    sparse.train()
    with pytest.raises(InputError, match="hidden: an activation is not a finite number"):
        cs.fit_complementary(sparse, model, smooth(2) * float("nan"))
    assert sparse.training and not model.training
    with pytest.raises(InputError, match="give masks, or images"):
        cs.convert(model, masks={"hidden": torch.ones(20, 108)}, images=smooth(2))
    grouped = nn.Sequential(nn.Conv2d(2, 4, 3, groups=2))
    with pytest.raises(InputError, match="0: a convolution in groups cannot be fitted"):
        cs.convert(grouped, nonzeros=3, images=torch.rand(2, 2, 8, 8))
    with pytest.raises(InputError, match="0: 10,001 positions a kernel are too many to be fitted, 10,000 are the most"):
        cs.convert(nn.Sequential(nn.Linear(10_001, 2)), nonzeros=3, images=torch.rand(2, 10_001))
    with pytest.raises(InputError, match=r"9 non-zero weights a kernel: must be 1\.\.8"):
        fit_kernels(moments_of(*alike(10, 8, 2)), nonzeros=9)
