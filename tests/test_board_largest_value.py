# amaranth: UnusedElaboratable=no
"""The class for the LEDs: position of the largest value of a result, against NumPy's argmax."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.sim import Simulator

from cs_hdl.board.catalogue import boards, find_board
from cs_hdl.board.largest_value import LargestValue, class_width
from cs_hdl.board.top import has_leds, make_platform
from cs_hdl.fixedpoint import dtype_range
from cs_hdl.host import pack_values


def positions(words, *, dtype, stall=0.0, stop_after=None):
    """``position`` after each of ``words``; before each come ``stop_after`` bytes of it and another start, if given."""
    component = LargestValue(values=words.shape[1], dtype=dtype)
    draw = np.random.default_rng(5)
    found = []

    async def give(ctx, data):
        ctx.set(component.start, 1)
        await ctx.tick()
        ctx.set(component.start, 0)
        for byte in data:
            while draw.random() < stall:
                ctx.set(component.byte, int(draw.integers(256)))
                await ctx.tick()
            ctx.set(component.byte, byte)
            ctx.set(component.take, 1)
            await ctx.tick()
            ctx.set(component.take, 0)

    async def bench(ctx):
        assert ctx.get(component.position) == 0
        for word in words:
            data = pack_values(word, dtype)
            if stop_after is not None:
                before = ctx.get(component.position)
                await give(ctx, data[:stop_after])
                await ctx.tick().repeat(3)
                assert ctx.get(component.position) == before
            # Behind the values comes the byte that says whether the result is good, and more must not matter.
            await give(ctx, data + bytes([1, 255, 255, 255, 127]))
            await ctx.tick().repeat(2)
            found.append(ctx.get(component.position))

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("values", [2, 3, 12, 16])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int24", "int32"])
def test_the_first_of_the_largest(dtype, values, stall):
    draw = np.random.default_rng(values)
    low, high = dtype_range(dtype)
    words = draw.integers(low, high, endpoint=True, size=(8, values))
    words[1] = low  # all equal
    words[2] = draw.integers(-2 if low else 0, 2, size=values)  # ties
    words[3, -1] = words[3, 0] = high
    assert positions(words, dtype=dtype, stall=stall) == words.argmax(axis=1).tolist()


def test_one_value_is_the_class():
    words = np.array([[3], [250], [0]], dtype="int32")
    assert positions(words, dtype="int32") == [3, 250, 0]


@pytest.mark.parametrize("stop_after", [1, 4, 7])
def test_a_result_that_was_not_finished_leaves_nothing(stop_after):
    words = np.array([[5, 9, 2], [-7, -3, -3], [1, 2, 3]], dtype="int32")
    assert positions(words, dtype="int32", stop_after=stop_after) == [1, 1, 2]


def test_the_boards_that_have_leds_for_a_digit():
    lights = 3 + class_width(values=10, dtype="int32")
    shown = {board.name for board in boards() if has_leds(make_platform(board), board, lights)}
    assert {"ulx3s-85f", "ulx3s-12f", "versa-ecp5", "hx8k-evn", "ecp5-5g-evn"} <= shown
    assert "icebreaker" not in shown and find_board("ecpix5-85f").led == "rgb_led" and "ecpix5-85f" not in shown
