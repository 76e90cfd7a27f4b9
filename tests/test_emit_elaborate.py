"""Elaboration in several processes gives what one gives, and tells of a process that fails."""

from __future__ import annotations

import dataclasses
import gc
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cs_hdl.emit import elaborate as own
from cs_hdl.emit.elaborate import elaborate, without_garbage_collection
from cs_hdl.errors import ToolError
from cs_hdl.frontend.kernel import LinearOptions, make_linear
from cs_hdl.plan.device_limits import DeviceLimits
from cs_hdl.plan.plan import Plan
from cs_hdl.plan.planner import make_plan
from cs_hdl.rtl.accelerator import Accelerator
from cs_hdl.rtl.platform import Separate

LIMITS = DeviceLimits(name="LFE5U-85F", lut=83640, dsp=156, block_ram=208)


@pytest.fixture(scope="module")
def plan() -> Plan:
    options = LinearOptions(
        in_features=40, out_features=24, weight_sparsity=0.8, active_inputs=8, scale="1/2^8", winners=5
    )
    return make_plan(make_linear(options), limits=LIMITS)


@pytest.mark.parametrize("processes", [2, 3, 20])
def test_the_number_of_processes_changes_nothing(plan: Plan, processes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own.os, "cpu_count", lambda: 1)
    alone = elaborate(Accelerator(plan), name="accelerator")
    monkeypatch.setattr(own, "_WORTH_A_PROCESS", 0)
    monkeypatch.setattr(own.os, "cpu_count", lambda: processes)
    started = []
    real = own._in_processes
    monkeypatch.setattr(own, "_in_processes", lambda shares: started.append(len(shares)) or real(shares))
    assert dataclasses.astuple(elaborate(Accelerator(plan), name="accelerator")) == dataclasses.astuple(alone)
    assert started == [min(processes, len(plan.stages))]
    assert len(alone.modules) > len(plan.stages) and alone.texts


@pytest.mark.parametrize(("start", "loads"), [(0, [11, 11]), (6, [8, 14]), (400, [0, 22])])
def test_every_module_is_in_one_share_and_all_end_together(
    start: int, loads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own, "_START_WEIGHT", start)
    modules = {f"m{index}": Separate(make=dict, weight=weight) for index, weight in enumerate((9, 1, 5, 5, 2))}
    shares = own._share(modules, 2)
    assert sorted(name for share in shares for name in share) == sorted(modules)
    assert [sum(module.weight for module in share.values()) for share in shares] == loads


def test_garbage_is_collected_again_afterwards() -> None:
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), without_garbage_collection():
        assert not gc.isenabled()
        raise ZeroDivisionError
    assert gc.isenabled()


def fail(message: str) -> Any:
    raise RuntimeError(message)


def test_a_process_that_fails_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    bad, good = Separate(make=partial(fail, "no component"), weight=1), {}
    with pytest.raises(ToolError, match=r"a process of its own:[\s\S]*RuntimeError: no component"):
        own._in_processes([{"bad": bad}, good])
