"""The training layers: masks, k-WTA with ties, quantisation, folding, and conversion to integers."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: torch)")

from cs_hdl.errors import InputError  # noqa: E402
from cs_hdl.torch import (  # noqa: E402
    ComplementaryConv2d,
    ComplementaryLinear,
    FakeQuantise,
    KWinners,
    KWinners2d,
    integer,
    narrow_winners,
)
from cs_hdl.torch.digits_network import sparse_network  # noqa: E402
from cs_hdl.torch.quantise import covering_exponent  # noqa: E402
from cs_hdl.torch.to_integer import integer_network  # noqa: E402
from cs_hdl.torch.training import calibrate, fold_batch_norm, predict  # noqa: E402


@pytest.mark.parametrize(
    ("layer", "kernels_per_set", "nonzeros"),
    [
        (ComplementaryConv2d(1, 30, 5, padding=2, nonzeros=5, seed=3), 5, 5),
        (ComplementaryLinear(480, 128, nonzeros=30, seed=3), 16, 30),
    ],
)
def test_masks_are_complementary(layer: torch.nn.Module, kernels_per_set: int, nonzeros: int) -> None:
    used = layer.weight.detach().reshape(len(layer.weight), -1) != 0
    assert (used.sum(dim=1) == nonzeros).all()
    assert (used.reshape(kernels_per_set, -1, used.shape[1]).sum(dim=0) == 1).all()


def test_masks_come_from_the_seed_and_stay_in_training() -> None:
    layers = [ComplementaryLinear(40, 8, nonzeros=5, seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(layers[0].mask, layers[1].mask) and not torch.equal(layers[0].mask, layers[2].mask)
    optimiser = torch.optim.SGD(layers[0].parameters(), lr=0.1)
    layers[0](torch.rand(4, 40)).square().sum().backward()
    optimiser.step()
    assert (layers[0].weight.detach()[layers[0].mask == 0] == 0).all()


def winners_by_hand(values: list[float], k: int) -> list[float]:
    order = sorted(range(len(values)), key=lambda i: (-max(values[i], 0.0), i))[:k]
    return [max(v, 0.0) if i in order else 0.0 for i, v in enumerate(values)]


@pytest.mark.parametrize("k", [1, 2, 7])
def test_winners_ties_go_to_the_lowest_index(k: int) -> None:
    value = torch.randint(-2, 3, (6, 7, 3, 2), generator=torch.Generator().manual_seed(k)).float()
    got = KWinners2d(7, k).eval()(value)
    for n, y, x in np.ndindex(6, 3, 2):
        assert got[n, :, y, x].tolist() == winners_by_hand(value[n, :, y, x].tolist(), k)
    flat = value[:, :, 0, 0]
    assert KWinners(7, k).eval()(flat).tolist() == [winners_by_hand(row, k) for row in flat.tolist()]


def test_boosting_prefers_silent_units_in_training_only() -> None:
    layer = KWinners(2, 1, boost_strength=10.0, duty_cycle_momentum=1.0)
    value = torch.tensor([[1.1, 1.0]])
    layer.duty_cycle.copy_(torch.tensor([1.0, 0.0]))
    assert layer.eval()(value).argmax() == 0
    assert layer.train()(value).argmax() == 1
    assert layer.duty_cycle.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("layer", [KWinners, KWinners2d])
@pytest.mark.parametrize("k", [0, 6])
def test_winners_out_of_range(layer: type, k: int) -> None:
    with pytest.raises(ValueError, match=r"k must be 1\.\.5"):
        layer(5, k)


def test_fake_quantisation_rounds_half_to_even_clamps_and_passes_the_gradient() -> None:
    layer = FakeQuantise("uint8")
    value = torch.tensor([-1.0, 0.25, 0.75, 1.25, 500.0], requires_grad=True)
    assert layer(value).tolist() == [0.0, 0.25, 0.75, 1.25, 500.0]
    layer.enable(0.5)
    result = layer(value)
    assert result.tolist() == [0.0, 0.0, 1.0, 1.0, 127.5]
    result.sum().backward()
    assert value.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]


def test_covering_exponent() -> None:
    assert [covering_exponent(v, "int8") for v in (127.0, 127.1, 0.5, 0.0)] == [0, 1, -7, 0]
    with pytest.raises(ValueError, match="finite"):
        covering_exponent(float("nan"), "int8")


def calibrated() -> tuple[torch.nn.Sequential, torch.Tensor]:
    torch.manual_seed(5)
    images = torch.randint(0, 17, (40, 1, 8, 8)).float()
    model = sparse_network(boost_strength=1.0)
    model.train()
    for _ in range(3):
        model(images)  # gives the batch normalisation its statistics
    before = predict(model, images)
    model = fold_batch_norm(model)
    assert torch.allclose(predict(model, images), before, atol=1e-3)
    calibrate(model, images)
    return model, images


def test_integers_equal_the_quantised_model_bit_for_bit() -> None:
    model, images = calibrated()
    network = integer_network(model, name="digits", input_shape=(1, 8, 8))
    accumulators, scale = integer.evaluate(network, images.numpy().astype(np.uint8))
    assert np.array_equal(predict(model, images).numpy(), accumulators * scale)


def test_conversion_refuses_what_it_does_not_know() -> None:
    for layers, message in (
        ([("act", torch.nn.Tanh())], "act: Tanh has no integer form"),
        ([("fc", ComplementaryLinear(4, 2, nonzeros=2))], "fc: its weights are not quantised"),
        ([("q", FakeQuantise("uint8"))], "q: quantisation is off"),
        ([("pool", torch.nn.MaxPool2d(3, stride=1))], "pool: only square"),
    ):
        model = torch.nn.Sequential(OrderedDict(layers))
        with pytest.raises(InputError, match=message):
            integer_network(model, name="bad", input_shape=(1, 2, 2))


def test_winners_are_narrowed_to_k():
    model = torch.nn.Sequential(KWinners2d(64, 8), KWinners(20, 20))
    value = torch.rand(3, 64, 2, 2, generator=torch.Generator().manual_seed(1))
    kept = []
    for progress in (0, 0.5, 1, 7):
        narrow_winners(model, progress)
        kept.append((model[0](value) > 0).sum(dim=1).unique().tolist())
        assert model[1].winners == 20
    # 64 to 8 along an exponential: half way the geometric mean.
    assert kept == [[64], [round((64 * 8) ** 0.5)], [8], [8]]


@pytest.mark.parametrize("layer", [KWinners, KWinners2d])
def test_what_lost_has_its_share_of_the_gradient_in_training_only(layer: type) -> None:
    shape = (2, 6) if layer is KWinners else (2, 6, 1, 1)
    values = torch.tensor([[5.0, 4, 3, 2, 1, -1], [1, 2, 3, 4, 5, -2]]).reshape(shape)
    gradients = {}
    for mode in (True, False):
        value = values.clone().requires_grad_()
        winners = layer(6, 2, gradient_leak=0.25).train(mode)
        out = winners(value)
        assert torch.equal(out, layer(6, 2)(values))
        out.sum().backward()
        assert value.grad is not None
        gradients[mode] = value.grad.reshape(2, 6).tolist()
    # Nothing for what is below 0: that is a ReLU's.
    assert gradients[True] == [[1, 1, 0.25, 0.25, 0.25, 0], [0.25, 0.25, 0.25, 1, 1, 0]]
    assert gradients[False] == [[1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0]]
    with pytest.raises(ValueError, match="gradient_leak"):
        layer(6, 2, gradient_leak=1.5)
