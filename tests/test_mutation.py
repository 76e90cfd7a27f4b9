"""The machinery of scripts/mutate: right designs pass its bench, planted faults fail it, and proofs tell them apart."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from mutation.choose import choose
from mutation.designs import DESIGNS
from mutation.equivalence import compare, never_acts
from mutation.golden_faults import GoldenFault, run_tests
from mutation.operators import Fault, find_faults
from mutation.python_operators import find_changes
from mutation.replay import replay_problems
from mutation.results import Cache, Outcome, summary
from mutation.schemata import PLUSARG, plant_one
from mutation.verilog import parse_expression, read_modules
from mutation.verilog_faults import bench_problems, emit, plant, prepare_replay, run_faults
from test_simulate_bench import quick_simulator

MAXIMUM = """\
module top(clk, rst, a, b, o, \\wide );
  input clk;
  wire clk;
  input rst;
  wire rst;
  input [3:0] a;
  wire [3:0] a;
  input [3:0] b;
  wire [3:0] b;
  output [3:0] o;
  reg [3:0] o = 4'h0;
  output [7:0] \\wide ;
  wire [7:0] \\wide ;
  wire _0_;
  wire [3:0] _1_;
  wire [3:0] _2_;
  wire [3:0] unread;
  assign _0_ = a > b;
  assign _1_ = _0_ ? a : b;
  assign _2_ = rst ? 4'h0 : _1_;
  assign unread = a + b;
  assign \\wide  = { o, 4'h5 };
  always @(posedge clk)
    o <= _2_;
endmodule
"""


def faults_of(operator: str, text: str = MAXIMUM) -> list[Fault]:
    return [fault for fault in find_faults(text, "top") if fault.operator == operator]


@pytest.mark.parametrize(
    ("text", "operator", "operands"),
    [
        ("a & \\b[0] [3:0]", "&", ("a ", "\\b[0] [3:0]")),
        ("c ? { a, 1'h0 } : b[2:1]", "?", ("c ", "{ a, 1'h0 } ", "b[2:1]")),
        ("$signed(a) >= $signed(4'h3)", ">=", ("$signed(a)", "$signed(4'h3)")),
        ("~ x", "unary ~", ("x",)),
        ("| { a, b }", "unary |", ("{ a, b }",)),
        ("m[\\a$1 ]", "", ("m[\\a$1 ]",)),
    ],
)
def test_expressions(text: str, operator: str, operands: tuple[str, ...]) -> None:
    found = parse_expression(text)
    assert found is not None
    assert (found.operator, [part.strip() for part in found.operands]) == (operator, [o.strip() for o in operands])


def test_a_module_is_read() -> None:
    (module,) = read_modules(MAXIMUM)
    assert (module.name, module.inputs, module.outputs) == ("top", {"clk", "rst", "a", "b"}, {"o", "\\wide"})
    assert (module.widths["o"], module.widths["_0_"], module.widths["\\wide"]) == (4, 1, 8)
    assert [statement.target for statement in module.statements] == ["_0_", "_1_", "_2_", "unread", "\\wide", "o"]


def test_operators_make_the_faults_that_their_names_say() -> None:
    assert [fault.now for fault in faults_of("wrong tie")] == ["assign _0_ = a >= b;"]
    assert [fault.text.split() for fault in faults_of("missing reset")] == [["_1_"]]
    assert next(fault.text.split() for fault in faults_of("inverted condition")) == ["_0_", "?", "b", ":", "a"]
    assert {fault.text.split()[2] for fault in faults_of("flipped constant") if "rst" in fault.text} == {"4'h1", "4'h8"}
    assert [fault.text for fault in faults_of("late register")] == ["<one cycle late>"]
    assert not any("unread" in fault.was for fault in find_faults(MAXIMUM, "top"))  # dead logic takes none


@pytest.mark.parametrize(
    ("operator", "answer"),
    [("wrong tie", "equal"), ("missing reset", "different"), ("late register", "different"),
     ("inverted comparison", "different"), ("stuck condition", "different")],
)  # fmt: skip
def test_proofs_tell_equal_circuits_from_different_ones(operator: str, answer: str) -> None:
    """The larger of two equal numbers is either of them: the one fault here that is none."""
    found = faults_of(operator)
    assert found
    for fault in found:
        assert compare(MAXIMUM, plant_one(MAXIMUM, fault), "top", seconds=60) == answer, fault.now


NEVER = """\
module top(clk, a, o);
  input clk;
  wire clk;
  input [3:0] a;
  wire [3:0] a;
  output [3:0] o;
  wire [3:0] o;
  reg never = 1'h0;
  wire _0_;
  assign _0_ = never & a[0];
  assign o = never ? 4'h5 : a;
  always @(posedge clk)
    never <= _0_;
endmodule
"""


def test_what_never_acts_is_proven_from_what_leads_to_it() -> None:
    faults = [fault for fault in find_faults(NEVER, "top") if fault.now.startswith("assign o")]
    answers = {fault.operator: never_acts(NEVER, fault, "top", seconds=60) for fault in faults}
    assert answers["flipped constant"] == "equal"  # what is chosen never
    assert answers["inverted condition"] == "different"


@dataclass(frozen=True)
class Possible:
    operator: str
    place: str
    number: int


def test_the_choice_depends_on_the_seed_alone_and_spreads() -> None:
    possible = {
        design: [Possible(f"operator {i % 5}", f"module {i % 7}", i) for i in range(200)] for design in ("one", "two")
    }
    few, more = choose(possible, 20, 3), choose(possible, 70, 3)
    assert few == choose(possible, 20, 3) != choose(possible, 20, 4)
    assert {design: faults[: len(few[design])] for design, faults in more.items()} == few
    assert [len(faults) for faults in more.values()] == [35, 35]
    assert set(Counter(fault.operator for fault in more["one"]).values()) == {7}
    assert set(Counter(fault.place for fault in more["one"]).values()) == {5}
    assert sum(map(len, choose(possible, 1000, 3).values())) == 400


@pytest.mark.parametrize("name", DESIGNS)
def test_right_designs_pass_the_bench(name: str, tmp_path: Path) -> None:
    """What scripts/mutate counts as caught is what would fail here."""
    emit(name, tmp_path / "design")
    assert bench_problems(tmp_path / "design", quick_simulator()) == ()


def test_planted_faults_are_caught_and_remembered(tmp_path: Path) -> None:
    """One of each kind that matters to a stream, in the border and in the engine."""
    text = emit("constants", tmp_path / "right")
    wanted = {"dropped stall", "inverted condition", "arithmetic operator", "late register", "dropped inversion"}
    possible = [fault for fault in find_faults(text, "cs_accelerator") if fault.operator in wanted]
    faults = choose({"constants": possible}, len(wanted), 1)["constants"]
    assert {fault.operator for fault in faults} == wanted
    planted = plant("constants", tmp_path / "right", faults, tmp_path / "planted")
    cache = tmp_path / "outcomes.jsonl"

    def run() -> list[Outcome]:
        return list(
            run_faults([planted], simulator=quick_simulator(), jobs=2, cache=Cache(cache), progress=steps.append)
        )

    steps: list[str] = []
    outcomes = run()
    assert len(outcomes) == len(wanted) and len(steps) == 1
    caught = [outcome for outcome in outcomes if outcome.caught]
    assert len(caught) >= len(wanted) - 1, [outcome.now for outcome in outcomes if not outcome.caught]
    # A line that was cut off by an interruption is run again, the others are not.
    cache.write_text(cache.read_text()[:-30])
    again = run()
    assert len(steps) == 2
    assert sorted(again, key=repr) == sorted(outcomes, key=repr)
    counts = summary(outcomes)
    assert (counts["planted"], counts["caught"]) == (len(wanted), len(caught))
    assert sum(entry["planted"] for entry in counts["operators"].values()) == len(wanted)


def test_the_replay_sees_what_breaks_no_rule(tmp_path: Path) -> None:
    """A slice that takes nothing while its receiver waits: right results, and a beat less in the pipeline."""
    text = emit("class", tmp_path / "right")
    faults = [
        fault for fault in find_faults(text, "cs_accelerator")
        if fault.place.endswith("output.component.slice") and fault.now.endswith("= o__ready;")
    ]  # fmt: skip
    assert faults
    planted = plant("class", tmp_path / "right", faults[:1], tmp_path / "planted")
    assert bench_problems(planted.folder, quick_simulator(), fault=1) == ()
    replay = prepare_replay(planted, cycles=3000)
    assert replay_problems(replay) == ()
    (problem,) = replay_problems(replay, f"+{PLUSARG}=1")
    assert problem.startswith("cycle by cycle: not as Amaranth simulates it in cycle ")


SOURCE = '''\
def clamp(values, low, high):
    """Between ``low`` and ``high``."""
    if low > high:
        raise ValueError(f"{low + 1} is wrong")
    return [max(low, min(high, value + 1)) for value in values[1:]]
'''


def test_python_operators() -> None:
    found = {(change.operator, change.now.strip()) for change in find_changes(SOURCE)}
    assert ("wrong tie", "if low >= high:") in found
    assert ("inverted condition", "if not low > high:") in found
    kept = "return [{} for value in values[1:]]"
    assert ("arithmetic operator", kept.format("max(low, min(high, value - 1))")) in found
    assert ("other function", kept.format("max(low, max(high, value + 1))")) in found
    assert ("moved slice", "return [max(low, min(high, value + 1)) for value in values[1 + 1:]]") in found
    assert not any("is wrong" in now for _, now in found)  # messages are left alone
    assert all(change.source.count("\n") == 4 for change in find_changes(SOURCE))


def test_a_fault_in_a_golden_function_fails_its_tests() -> None:
    path = Path(__file__).parent.parent / "cs_hdl" / "fixedpoint.py"
    changes = [change for change in find_changes(path.read_text()) if change.function == "round_half_even"]
    change = next(change for change in changes if "remainder != half" in change.now)
    test = "tests/test_fixedpoint.py"
    assert run_tests(None, [test], seconds=300) is None
    assert run_tests(GoldenFault(path="cs_hdl/fixedpoint.py", change=change), [test], seconds=300) == test
