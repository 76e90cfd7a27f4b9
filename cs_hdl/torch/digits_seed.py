"""One seed of the `digits` training: the sparse network in float and in integers, and the dense one."""

from __future__ import annotations

import hashlib
import io
import json
import time
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import cs_hdl
from cs_hdl.datasets import Split, load_digits_split
from cs_hdl.files import write_aside
from cs_hdl.torch import integer
from cs_hdl.torch.digits_network import dense_network, sparse_network
from cs_hdl.torch.onnx_export import to_onnx
from cs_hdl.torch.to_integer import integer_network
from cs_hdl.torch.training import Recipe, calibrate, fold_batch_norm, predict, to_tensor, train

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["Configuration", "SeedResult", "digest", "train_seed", "versions"]

#: Modules whose change makes a cached result stale, beside the configuration and the versions.
_SOURCES = (
    *(f"torch/{name}.py" for name in ("to_integer", "digits_network", "digits_seed", "integer", "layers")),
    *(f"torch/{name}.py" for name in ("onnx_export", "quantise", "training", "winners")),
    *("combine/masks.py", "datasets/digits.py", "fixedpoint.py"),
)
_PACKAGES = ("torch", "numpy", "scikit-learn", "onnx")
_SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """Everything that the training of one seed depends on, the seed aside."""

    boost_strength: float = 0.0
    sparse: Recipe = field(default_factory=lambda: Recipe(epochs=120, learning_rate=1e-2))
    quantised: Recipe = field(default_factory=lambda: Recipe(epochs=25, learning_rate=2e-3))
    dense: Recipe = field(default_factory=lambda: Recipe(epochs=80, learning_rate=3e-3))


@dataclass(frozen=True, kw_only=True)
class SeedResult:
    """Accuracies (0..1) by split, the loss that breaks ties of the selection, and the exported model."""

    seed: int
    float_sparse: dict[str, float]
    integer_sparse: dict[str, float]
    dense_float: dict[str, float]
    validation_loss: float
    seconds: float
    model: bytes


def versions() -> dict[str, str]:
    """Versions of the packages that the figures depend on."""
    return {package: version(package) for package in _PACKAGES}


def digest(configuration: Configuration) -> str:
    """SHA-256 over the configuration, the sources of the training and the packages' versions."""
    package = Path(cs_hdl.__file__).parent
    sources = {name: hashlib.sha256((package / name).read_bytes()).hexdigest() for name in _SOURCES}
    key = {"configuration": asdict(configuration), "sources": sources, "versions": versions()}
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def train_seed(
    seed: int, configuration: Configuration, cache: Path, progress: Callable[[str, int, int], None]
) -> SeedResult:
    """The result for ``seed``, read from the folder ``cache`` where the same training was done before.

    ``progress`` is called with the phase, its epoch and its number of epochs.
    """
    stem = cache / f"{digest(configuration)[:16]}-seed{seed}.npz"
    result = _read(stem)
    if result is None:
        result = _train(seed, configuration, progress)
        _write(stem, result)
    return result


def _read(path: Path) -> SeedResult | None:
    try:
        with np.load(path, allow_pickle=False) as data:
            return SeedResult(**json.loads(data["result"].tobytes()), model=data["model"].tobytes())
    except Exception:  # absent, cut short or of another version: as if it had never been there
        return None


def _write(path: Path, result: SeedResult) -> None:
    values = {key: value for key, value in vars(result).items() if key != "model"}
    buffer = io.BytesIO()
    np.savez(
        buffer,
        result=np.frombuffer(json.dumps(values).encode(), dtype=np.uint8),
        model=np.frombuffer(result.model, dtype=np.uint8),
    )
    write_aside(path, buffer.getvalue())


def _train(seed: int, configuration: Configuration, progress: Callable[[str, int, int], None]) -> SeedResult:
    begin = time.monotonic()
    torch.set_num_threads(1)  # sums in one order, whatever the number of cores
    torch.use_deterministic_algorithms(True)
    splits = {split: load_digits_split(split) for split in _SPLITS}
    images, labels = to_tensor(splits["train"][0]), torch.from_numpy(splits["train"][1])

    def fit(model: torch.nn.Module, recipe: Recipe, phase: str, teacher: torch.nn.Module | None = None) -> None:
        def show(epoch: int, _loss: float) -> None:
            progress(phase, epoch, recipe.epochs)

        train(model, images, labels, recipe, generator, teacher=teacher, progress=show)

    def float_accuracy(model: torch.nn.Module) -> dict[str, float]:
        return {s: _accuracy(predict(model, to_tensor(x)).numpy(), y) for s, (x, y) in splits.items()}

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        dense = dense_network()
        fit(dense, configuration.dense, "dense, float")
        model = sparse_network(boost_strength=configuration.boost_strength)
        fit(model, configuration.sparse, "sparse, float", dense)
        float_sparse = float_accuracy(model)
        model = fold_batch_norm(model)
        calibrate(model, images)
        fit(model, configuration.quantised, "sparse, quantised", dense)
    network = integer_network(model, name="digits", input_shape=(1, 8, 8))
    scores = {split: _integer_scores(network, x) for split, (x, _) in splits.items()}
    return SeedResult(
        seed=seed,
        float_sparse=float_sparse,
        integer_sparse={split: _accuracy(scores[split], y) for split, (_, y) in splits.items()},
        dense_float=float_accuracy(dense),
        validation_loss=_loss(scores["validation"], splits["validation"][1]),
        seconds=round(time.monotonic() - begin, 1),
        model=_export(network),
    )


def _integer_scores(network: integer.IntegerNetwork, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    accumulators, scale = integer.evaluate(network, images.transpose(0, 3, 1, 2))
    return np.asarray(accumulators * scale, dtype=np.float64)


def _accuracy(scores: NDArray[Any], labels: NDArray[np.int64]) -> float:
    return float(np.mean(scores.argmax(axis=1) == labels))


def _loss(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    return float(torch.nn.functional.cross_entropy(torch.from_numpy(scores), torch.from_numpy(labels)))


def _export(network: integer.IntegerNetwork) -> bytes:
    classes = [str(digit) for digit in range(10)]
    model = to_onnx(
        network,
        output_name="scores",
        outputs=len(classes),
        summary="handwritten digits, 8x8 pixels of 16 grey levels: two complementary layers, two k-WTA, 8 bits",
        metadata={"classes": classes, "dataset": "scikit-learn digits"},
    )
    return bytes(model.SerializeToString(deterministic=True))
