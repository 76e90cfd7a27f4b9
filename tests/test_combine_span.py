"""Packing by single weights: every weight has a place of its own, and the bound is reached."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cs_hdl.combine.masks import lower_bound
from cs_hdl.combine.packed import combine, load_packed, overlay_spanning, save_packed, span_sets, split_sets
from cs_hdl.combine.span import span_kernels
from cs_hdl.errors import InputError
from cs_hdl.golden.dense import run_dense
from cs_hdl.golden.packed import run_packed
from cs_hdl.network import Conv2d, Network, Tensor


def random_masks(kernels, positions, nonzeros, seed=0):
    rng = np.random.default_rng(seed)
    masks = np.zeros((kernels, positions), dtype=bool)
    for mask in masks:
        mask[rng.choice(positions, nonzeros, replace=False)] = True
    return masks


def check(masks, spanning):
    """The rules that the hardware relies on, written from the docstring."""
    columns, turns, place = spanning.columns, spanning.turns, spanning.place
    assert ((place >= 0) == masks).all() and place.max(initial=-1) < columns * turns
    for position in range(masks.shape[1]):
        used = place[masks[:, position], position]
        assert len(set(used.tolist())) == len(used), "two weights at one place"
    sizes = {len(members) for members in spanning.members}
    assert len(spanning.members) == len(spanning.guests) == columns and len(sizes) == 1
    for kernel in range(len(masks)):
        own = {(column, members.index(kernel)) for column, members in enumerate(spanning.members) if kernel in members}
        homes = [(column, kid) for column, kid in own if kid not in spanning.guests[column]]
        assert len(homes) == 1, "a kernel has exactly one home"
        ((home, kid),) = homes
        assert own <= {(home, kid), ((home + 1) % columns, kid)}, "guests lie in the next column, with the same id"
        used = {int(number) % columns for number in place[kernel][masks[kernel]]}
        assert used <= {column for column, _ in own}
    for members in spanning.members:
        present = [kernel for kernel in members if kernel >= 0]
        assert len(present) == len(set(present))


@settings(deadline=None, max_examples=60)
@given(
    kernels=st.integers(1, 40),
    positions=st.integers(1, 60),
    density=st.floats(0, 1),
    columns=st.integers(1, 12),
    extra=st.integers(0, 3),
    seed=st.integers(0, 1000),
)
def test_every_weight_has_one_place_and_every_kernel_one_home(kernels, positions, density, columns, extra, seed):
    masks = np.random.default_rng(seed).random((kernels, positions)) < density
    turns = -(-lower_bound(masks) // columns) + extra
    spanning = span_kernels(masks, columns=columns, turns=turns)
    if spanning is None:
        assert columns > 1
    else:
        check(masks, spanning)


@pytest.mark.parametrize("columns", [1, 3, 5])
def test_random_masks_reach_the_bound(columns):
    """The paper's linear layer with masks that nobody made complementary: 647 sets of whole kernels."""
    masks = random_masks(1500, 1600, 80)
    bound = lower_bound(masks)
    spanning = span_kernels(masks, columns=columns, turns=bound // columns)
    assert bound % columns == 0 and spanning is not None
    assert len(spanning.members[0]) < 1.1 * 1500 / columns  # few guests
    place = spanning.place
    assert place.max() == bound - 1


def test_fewer_sets_than_the_bound_are_none():
    masks = random_masks(20, 30, 6)
    assert span_kernels(masks, columns=1, turns=lower_bound(masks) - 1) is None
    assert span_kernels(np.zeros((3, 4), dtype=bool), columns=1, turns=1) is not None


def network_of(kernels=24, channels=10, seed=0, nonzeros=9):
    rng = np.random.default_rng(seed)
    masks = random_masks(kernels, channels * 4, nonzeros, seed).reshape(kernels, channels, 2, 2)
    weights = np.where(masks, rng.integers(1, 128, masks.shape), 0).astype(np.int8)
    layer = Conv2d(name="conv", weights=weights, bias=rng.integers(-99, 99, kernels).astype(np.int32))
    return Network(name="net", input=Tensor((4, 3, channels), "uint8"), layers=(layer,))


def spanned(network, columns, extra=0):
    packed, layer = combine(network), network.layers[0]
    kernels = layer.kernels(network.input)
    own = packed.layers["conv"]
    turns = -(-own.lower_bound // columns) + extra
    found = span_sets(own, kernels, columns=columns, turns=turns)
    return dataclasses.replace(packed, layers={"conv": found}), kernels


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_golden_models_agree(columns):
    network = network_of()
    packed, _ = spanned(network, columns, extra=1)
    words = np.random.default_rng(1).integers(0, 256, (3, 4, 3, 10))
    np.testing.assert_array_equal(run_packed(packed, words), run_dense(network, words))


def test_saving_is_lossless(tmp_path):
    packed, _ = spanned(network_of(), 3, extra=1)
    save_packed(packed, tmp_path)
    loaded, own = load_packed(tmp_path).layers["conv"], packed.layers["conv"]
    assert (loaded.sets, loaded.lower_bound) == (own.sets, own.lower_bound)
    assert loaded.spanning.guests == own.spanning.guests
    np.testing.assert_array_equal(loaded.weights, own.weights)
    np.testing.assert_array_equal(loaded.kernel_ids, own.kernel_ids)
    (tmp_path / "packed.npz").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"packed\.npz: not a packing that cs-hdl saved"):
        load_packed(tmp_path)


def test_bad_places_are_refused():
    packed, kernels = spanned(network_of(), 2, extra=1)
    own = packed.layers["conv"].spanning
    missing, doubled = own.place.copy(), own.place.copy()
    kernel, position = np.argwhere(missing >= 0)[0]
    missing[kernel, position] = -1
    with pytest.raises(InputError, match="conv: each weight must have a place in exactly one set"):
        overlay_spanning("conv", kernels, dataclasses.replace(own, place=missing), 1)
    column = next(p for p in range(doubled.shape[1]) if (doubled[:, p] >= 0).sum() > 1)
    doubled[doubled[:, column] >= 0, column] = doubled[:, column].max()
    with pytest.raises(InputError, match="conv: two weights lie at the same place of a set"):
        overlay_spanning("conv", kernels, dataclasses.replace(own, place=doubled), 1)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_cut_sets_hold_the_same_kernels(size):
    network = network_of(kernels=30, nonzeros=3)
    own, kernels = combine(network).layers["conv"], network.layers[0].kernels(network.input)
    cut = split_sets(own, kernels, size)
    assert cut.kernels_per_set <= size and len(cut.sets) == sum(-(-len(members) // size) for members in own.sets)
    assert sorted(kernel for members in cut.sets for kernel in members) == list(range(30))
    packed = dataclasses.replace(combine(network), layers={"conv": cut})
    words = np.random.default_rng(2).integers(0, 256, (2, 4, 3, 10))
    np.testing.assert_array_equal(run_packed(packed, words), run_dense(network, words))
