"""The digits' split: a rule, disjoint, complete, and the same data each time."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from cs_hdl.datasets import load_digits_split
from cs_hdl.datasets.digits import SPLIT_RULE
from cs_hdl.errors import InputError, ToolError


def test_rule_takes_each_remainder_once() -> None:
    assert sorted(r for remainders in SPLIT_RULE.values() for r in remainders) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("split", "count"), [("train", 1079), ("validation", 359), ("test", 359)])
def test_sizes_and_dtypes(split: str, count: int) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: digits)")
    images, labels = load_digits_split(split)
    assert images.shape == (count, 8, 8, 1) and images.dtype == np.uint8
    assert labels.shape == (count,) and labels.dtype == np.int64
    assert images.max() == 16 and set(labels) == set(range(10))


def test_splits_are_scikit_learns_images_by_index() -> None:
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed (extra: digits)")
    everything = datasets.load_digits()
    parts = {split: load_digits_split(split) for split in SPLIT_RULE}
    taken = dict.fromkeys(SPLIT_RULE, 0)
    for index, (image, label) in enumerate(zip(everything.images, everything.target, strict=True)):
        split = {4: "test", 3: "validation"}.get(index % 5, "train")
        images, labels = parts[split]
        assert np.array_equal(images[taken[split], :, :, 0], image) and labels[taken[split]] == label
        taken[split] += 1
    assert taken == {split: len(labels) for split, (_, labels) in parts.items()}


def test_unknown_split() -> None:
    with pytest.raises(InputError, match=r"no split 'all'.*train, validation, test"):
        load_digits_split("all")  # type: ignore[arg-type]


def test_missing_scikit_learn_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ToolError, match=r"cs-hdl\[digits\]"):
        load_digits_split("test")
