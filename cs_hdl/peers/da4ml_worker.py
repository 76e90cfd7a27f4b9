"""One constant matrix by da4ml: ``python da4ml_worker.py MATRIX.npy FOLDER``.

Runs under a Python of its own, in which the pinned da4ml is and cs_hdl is not; see ``environment.py``.
Inputs are signed 8 bits, a register stands behind every adder (da4ml's smallest: without them Yosys merges
chains of adders into carry-save ones). Writes ``design.v`` (top module ``da4ml_layer``) and ``result.json``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from da4ml.codegen import VerilogModel
from da4ml.trace import FixedVariableArray, HWConfig, comb_trace

__all__ = ["main"]


def main(matrix_file: Path, folder: Path) -> None:
    """Solve, check the solution on random vectors, and write the Verilog."""
    matrix = np.load(matrix_file)  # [outputs, inputs]
    inputs = matrix.shape[1]
    started = time.monotonic()
    vector = FixedVariableArray.from_kif(
        np.ones(inputs, int), np.full(inputs, 7), np.zeros(inputs, int), hwconf=HWConfig(1, -1, -1), solver_options={}
    )
    solution = comb_trace(vector, vector @ matrix.T.astype(np.float64))
    seconds = time.monotonic() - started
    data = np.random.default_rng(3).integers(-128, 128, (200, inputs)).astype(float)
    exact = bool(np.array_equal(np.asarray(solution.predict(data)), data @ matrix.T))
    model = VerilogModel(solution, "da4ml_layer", str(folder / "project"), latency_cutoff=1)
    model.write()
    # lookup_table.v is not used by a matrix, and Yosys stops at its $readmemh; wrappers are for other tools.
    files = sorted((folder / "project" / "src").rglob("*.v"))
    used = [file for file in files if "wrapper" not in file.name and file.name != "lookup_table.v"]
    (folder / "design.v").write_text("\n".join(file.read_text() for file in used))
    adders = sum(operation.opcode in (0, 1) for operation in solution.ops)
    result = {"adders": adders, "cycles": 1, "bit_exact": exact, "generate_seconds": round(seconds, 2)}
    (folder / "result.json").write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]).resolve())
