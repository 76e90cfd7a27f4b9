"""What the launcher hands to a bench: a folder with job.json, packed beats as .npy, and the results.

Packed beats are uint8 ``[words, beats, bytes of a beat]``, the byte in the lowest bits of tdata
first. Nothing here knows how the hardware or the golden model works.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

#: The environment variable that names the job's folder.
VARIABLE = "CS_HDL_SIMULATION_JOB"
_MISMATCHES_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run: ``sent`` and ``expected`` beats, the design's ``manifest``, ``patience`` in cycles, ``seed``."""

    folder: Path
    sent: np.ndarray
    expected: np.ndarray
    manifest: dict[str, Any]
    patience: int
    seed: int


def load_job() -> Job:
    """The job that the environment names."""
    folder = Path(os.environ[VARIABLE])
    options = json.loads((folder / "job.json").read_text())
    return Job(
        folder=folder,
        sent=np.load(folder / "sent.npy", allow_pickle=False),
        expected=np.load(folder / "expected.npy", allow_pickle=False),
        manifest=json.loads(Path(options["manifest"]).read_text()),
        patience=options["patience"],
        seed=options["seed"],
    )


def load_wrong_lengths(job: Job) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The beats of all words ``[beats, bytes of a beat]``, each word's count of them, and the results' packed beats."""
    with np.load(job.folder / "wrong_lengths.npz", allow_pickle=False) as arrays:
        return arrays["sent"], arrays["lengths"], arrays["expected"]


def values_of_beats(beats: np.ndarray, port: dict[str, Any]) -> np.ndarray:
    """Packed ``beats`` of a manifest's port as int64 ``[words, values]``, lanes of padding left out."""
    words, count, _ = beats.shape
    lanes = port["values_per_beat"]
    raw = beats.reshape(words, count * lanes, -1).astype(np.int64)
    values = sum(raw[:, :, i] << (8 * i) for i in range(raw.shape[2]))
    bits = 8 * raw.shape[2]
    if port["dtype"].startswith("int"):
        values = values - ((values >> (bits - 1)) << bits)
    return values[:, : int(np.prod(port["shape"]))]


def compare(job: Job, received: np.ndarray) -> dict[str, Any]:
    """Counts every wrong value and names the first ones: ``{"mismatches", "first"}``.

    A beat whose values are right but whose unused bits are not 0 counts as one mismatch.
    """
    port = job.manifest["output"]
    expected, got = values_of_beats(job.expected, port), values_of_beats(received, port)
    wrong = np.argwhere(expected != got)
    first = [
        {"word": int(word), "index": int(index), "expected": int(expected[word, index]), "got": int(got[word, index])}
        for word, index in wrong[:_MISMATCHES_SHOWN]
    ]
    padding = 0 if wrong.size else int((job.expected != received).any(axis=2).sum())
    return {"mismatches": len(wrong) + padding, "first": first}


def save_result(job: Job, name: str, result: dict[str, Any]) -> None:
    """Write ``result`` as ``name``.json into the job's folder."""
    (job.folder / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
