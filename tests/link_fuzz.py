"""Faults on the line to a board, thousands of them: nothing damaged may give a result, and the board must go on.

``python tests/link_fuzz.py --faults 1500 --out docs/results/link-faults.json`` runs them on the simulated board at
three clock mismatches and keeps the record.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from cs_hdl.board.catalogue import device_limits
from cs_hdl.emit.design import write_design
from cs_hdl.files import write_aside
from cs_hdl.frontend.kernel import LinearOptions, make_linear
from cs_hdl.golden.dense import run_dense
from cs_hdl.host import FrameDecoder, FrameType, encode_frame, pack_values
from cs_hdl.plan.planner import make_plan
from cs_hdl.simulate.board import scripted_board

INPUTS = 12
NETWORK = make_linear(LinearOptions(in_features=INPUTS, out_features=5, weight_sparsity=0.75, active_inputs=4, seed=7))
MISMATCHES = (-0.02, 0.0, 0.02)
COMMAND = "python tests/link_fuzz.py"


def make_design(folder: Path) -> Path:
    """A small design: what is under test is the link."""
    write_design(make_plan(NETWORK, limits=device_limits("LFE5U-25F")), folder)
    return folder


def golden(word: bytes) -> bytes:
    """The payload that the result of ``word`` must have."""
    values = np.frombuffer(word, dtype=np.uint8).reshape(1, *NETWORK.input.shape)
    return pack_values(run_dense(NETWORK, values), NETWORK.output.dtype) + b"\0"


def lost(frame, choose):
    at = choose.randrange(len(frame))
    return frame[:at] + frame[at + 1 :]


def doubled(frame, choose):
    at = choose.randrange(len(frame))
    return frame[: at + 1] + frame[at:]


def flipped(frame, choose):
    at = choose.randrange(len(frame))
    return frame[:at] + bytes([frame[at] ^ (1 << choose.randrange(8))]) + frame[at + 1 :]


def burst(frame, choose):
    at, count = choose.randrange(len(frame)), choose.randrange(2, 9)
    return frame[:at] + choose.randbytes(count) + frame[at + count :]


def stopped(frame, choose):
    return frame[: choose.randrange(1, len(frame))]


def garbage_before(frame, choose):
    return choose.randbytes(choose.randrange(1, 30)) + frame


def swapped(frame, choose):
    at = choose.randrange(len(frame) - 1)
    return frame[:at] + frame[at + 1 : at + 2] + frame[at : at + 1] + frame[at + 2 :]


def two_at_once(frame, choose):
    """The first of two frames without a pause is damaged."""
    return choose.choice((lost, flipped, doubled))(frame, choose) + frame


def wrong_length(frame, choose):
    return frame[:4] + choose.randrange(65536).to_bytes(2, "little") + frame[6:]


def wrong_type(frame, choose):
    return encode_frame(choose.choice((0, 4, 0x55, 0x82, 0xEE, 0xFF)), frame[6:-4], tag=frame[3])


def sync_inside(frame, choose):
    """A header within a frame that is damaged must not be taken for another one."""
    return frame[:8] + encode_frame(FrameType.INFER, bytes(INPUTS), tag=choose.randrange(256)) + frame[8:]


FAULTS = (
    lost, doubled, flipped, burst, stopped, garbage_before, swapped, two_at_once, wrong_length, wrong_type, sync_inside,
)  # fmt: skip


def attack(exchange, *, faults: int, seed: int) -> dict:
    """``faults`` faults by ``exchange`` (bytes there, bytes back); AssertionError where a result is wrong or missing.

    After each fault a word is inferred without one, which must be answered at once.
    """
    choose = random.Random(seed)
    kinds: Counter[str] = Counter()
    results = errors = 0
    for number in range(faults):
        fault = choose.choice(FAULTS)
        kinds[fault.__name__] += 1
        sent = fault(encode_frame(FrameType.INFER, choose.randbytes(INPUTS), tag=choose.randrange(256)), choose)
        where = f"fault {number}, {fault.__name__}: {sent.hex()}"
        # Whole frames that are left in what was sent may be answered, nothing else.
        good = [frame for frame in FrameDecoder().feed(sent) if frame.type == FrameType.INFER]
        good = [(frame.tag, golden(frame.payload)) for frame in good if len(frame.payload) == INPUTS]
        answer = exchange(sent)
        frames = FrameDecoder().feed(answer)
        assert len(answer) == sum(10 + len(frame.payload) for frame in frames), (
            f"{where}: more than frames: {answer.hex()}"
        )
        for frame in frames:
            if frame.type == FrameType.RESULT:
                assert (frame.tag, frame.payload) in good, f"{where}: a wrong result {frame}"
                results += 1
            else:
                assert frame.type == FrameType.ERROR and frame.tag == 0, f"{where}: a frame {frame}"
                errors += 1
        word, tag = choose.randbytes(INPUTS), choose.randrange(256)
        answer = exchange(encode_frame(FrameType.INFER, word, tag=tag))
        assert answer == encode_frame(FrameType.RESULT, golden(word), tag=tag), f"after {where}: {answer.hex()}"
    return {
        "faults": faults, "wrong_results": 0, "wedged": 0, "right_results_of_whole_frames": results,
        "errors": errors, "kinds": dict(sorted(kinds.items())),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Damage what goes to a simulated board.")
    parser.add_argument("--faults", type=int, default=1500, help="at each of the three clock mismatches")
    parser.add_argument("--out", type=Path, required=True, help="the record")
    options = parser.parse_args()
    runs = []
    with tempfile.TemporaryDirectory() as name:
        design = make_design(Path(name) / "design")
        for seed, mismatch in enumerate(MISMATCHES):
            with scripted_board(design, mismatch=mismatch) as exchange:
                runs.append({"clock_mismatch": mismatch, **attack(exchange, faults=options.faults, seed=seed)})
            print(json.dumps(runs[-1]), file=sys.stderr)
    record = {
        "command": f"{COMMAND} --faults {options.faults} --out {options.out}",
        "faults": sum(run["faults"] for run in runs),
        "runs": runs,
    }
    write_aside(options.out, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
