"""The packed network: overlaid kernels, saved and loaded."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from networks import random_convolution, random_linear

from cs_hdl.combine.packed import combine, load_packed, overlay, save_packed
from cs_hdl.errors import InputError
from cs_hdl.network import Conv2d, Network, Tensor


def test_every_weight_lies_in_its_kernels_set():
    network = random_convolution(4)
    packed = combine(network)
    for index, layer in enumerate(network.layers):
        if layer.name not in packed.layers:
            continue
        kernels, own = layer.kernels(network.tensors[index]), packed.layers[layer.name]
        found = np.zeros_like(kernels)
        for number, members in enumerate(own.sets):
            for kid, kernel in enumerate(members):
                found[kernel] = np.where(own.kernel_ids[number] == kid, own.weights[number], 0)
        np.testing.assert_array_equal(found, kernels)


def test_dense_kernels_share_sets_with_other_groups_only():
    weights = np.ones((6, 2, 1, 1), dtype=np.int8)
    conv = Conv2d(name="conv", weights=weights, bias=np.zeros(6, dtype=np.int32), groups=3)
    network = Network(name="net", input=Tensor((2, 2, 6), "uint8"), layers=(conv,))
    assert combine(network, dense=True).layers["conv"].sets == ((0, 2, 4), (1, 3, 5))


def test_collisions_and_bad_partitions_are_refused():
    kernels = np.ones((2, 1, 1, 3), dtype=np.int8)
    with pytest.raises(InputError, match="layer: kernel 1 collides with another one of set 0"):
        overlay("layer", kernels, ((0, 1),), 2)
    for sets in (((0,),), ((0,), (1,), (1,)), ((0,), (2,)), ((0, 1, 1),), ((-1,), (0,))):
        with pytest.raises(InputError, match="layer: each of the 2 kernels must lie in exactly one set"):
            overlay("layer", kernels, sets, 2)


def test_saving_is_lossless(tmp_path):
    packed = combine(random_linear(9))
    save_packed(packed, tmp_path)
    loaded = load_packed(tmp_path)
    assert loaded.layers.keys() == packed.layers.keys()
    for name, layer in packed.layers.items():
        assert (loaded.layers[name].sets, loaded.layers[name].lower_bound) == (layer.sets, layer.lower_bound)
        np.testing.assert_array_equal(loaded.layers[name].weights, layer.weights)
        np.testing.assert_array_equal(loaded.layers[name].kernel_ids, layer.kernel_ids)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"network\.npz: no such file"):
        load_packed(tmp_path)
    save_packed(combine(random_linear(9)), tmp_path)
    (tmp_path / "packed.json").unlink()
    with pytest.raises(InputError, match=r"packed\.json: not a packing that cs-hdl saved"):
        load_packed(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "null", '{"layers": {}}', '{"layers": {"linear": {"sets": [[0]]}}}'])
def test_a_damaged_packing_is_refused(tmp_path, content):
    save_packed(combine(random_linear(9)), tmp_path)
    (tmp_path / "packed.json").write_text(content)
    with pytest.raises(InputError, match=r"packed\.json: not a packing that cs-hdl saved|must lie in exactly one set"):
        load_packed(tmp_path)


def test_the_same_bytes_whatever_the_hash_seed(tmp_path):
    script = (
        "import sys; from pathlib import Path; from networks import LIMITS, random_linear;"
        "from cs_hdl.plan.planner import make_plan; from cs_hdl.plan.plan import save_plan;"
        "save_plan(make_plan(random_linear(19), limits=LIMITS), Path(sys.argv[1]))"
    )
    digests = []
    for seed in ("0", "4711"):
        folder = tmp_path / seed
        folder.mkdir()
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path), "PATH": ""}
        subprocess.run([sys.executable, "-c", script, str(folder)], check=True, env=environment)
        files = sorted(folder.iterdir())
        digests.append([(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files])
    assert digests[0] == digests[1] and len(digests[0]) == 3
