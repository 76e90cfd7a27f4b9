"""The bound: no plan beats it, on no device; the speech network's plan comes close."""

from __future__ import annotations

import pytest
from networks import random_convolution, random_linear

from cs_hdl.board.catalogue import find_board
from cs_hdl.combine.packed import combine
from cs_hdl.frontend.onnx import read_onnx
from cs_hdl.models import find_model
from cs_hdl.plan.bound import fewest_cycles
from cs_hdl.plan.candidates import candidate_cycles
from cs_hdl.plan.device_limits import DeviceLimits
from cs_hdl.plan.planner import draft, make_plan


@pytest.mark.parametrize("dsp", [1, 3, 10, 10**6])
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("make", [random_convolution, random_linear])
def test_no_plan_beats_it(make, seed, dsp):
    network = make(seed)
    limits = DeviceLimits(name="any", lut=10**9, dsp=dsp, block_ram=10**6)
    bound = fewest_cycles(network, limits=limits)
    packed = combine(network)
    for cycles in candidate_cycles(packed)[:40]:
        built = draft(packed, None, cycles)
        if built is not None and built[1].dsp <= dsp:
            assert built[0] >= bound.cycles
    assert bound.multipliers is None or bound.multipliers > dsp


def test_the_plan_of_the_speech_network_is_close_to_optimal():
    network, limits = read_onnx(find_model("gsc").path), find_board("ulx3s-85f").limits
    bound = fewest_cycles(network, limits=limits)
    assert bound.multipliers is None or bound.multipliers > limits.dsp
    assert make_plan(network, limits=limits).cycles_per_word <= bound.cycles
