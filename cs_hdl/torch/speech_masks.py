"""What the choice of the masks costs the speech network: ``scripts/study-speech-masks FOLDER``.

From the dense network of ``scripts/train-speech`` (seed 0; trained first where its checkpoint is missing) five sparse
ones are made, each with as many weights a kernel as ``gsc`` has, measured, and trained on alike with the dense one as
teacher:

* imposed: complementary masks chosen by nothing but a seed, as ``gsc`` has them;
* assigned: the complementary masks that keep the most weight magnitude;
* fitted: complementary masks and weights that do nearly what the dense kernels do on the training split (fit.py);
* pruned: each kernel keeps its own largest weights, whatever collides;
* random: places chosen for each kernel at random.

Writes ``docs/results/studies/masks-speech.json``; ``scripts/studies --docs-only`` then tells of it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cs_hdl.combine.project import project_masks
from cs_hdl.errors import InputError
from cs_hdl.files import write_aside
from cs_hdl.script import run_script, say, say_passing
from cs_hdl.studies.masks import largest_of_each, packing, random_mask
from cs_hdl.torch.fit import fit_complementary, renormalise
from cs_hdl.torch.layers import ComplementaryConv2d, ComplementaryLinear
from cs_hdl.torch.speech_data import Data, as_tensor, read_data
from cs_hdl.torch.speech_loop import Loop, SpeechRecipe
from cs_hdl.torch.speech_network import MASKED, begin_as, speech_network, take_weights
from cs_hdl.torch.speech_training import Training, float_accuracies, train_float

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

__all__ = ["KINDS", "chosen_mask", "main", "with_masks"]

COMMAND = "scripts/study-speech-masks"
KINDS = ("imposed", "assigned", "fitted", "pruned", "random")
#: Every so manieth clip is one of which batch normalisations take their statistics.
_EVERY = 6


def main(arguments: list[str] | None = None) -> int:
    """Train the four, measure them, write the record; returns the exit code."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Imposed against found masks on the speech network.")
    parser.add_argument("data", type=Path, help="a Speech Commands folder, or one that scripts/make-speech made")
    parser.add_argument("--epochs", type=int, default=3, help="of each sparse network (default: %(default)s)")
    parser.add_argument("--dense-epochs", type=int, default=SpeechRecipe().float_epochs, help="default: %(default)s")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository (default: here)")
    parser.add_argument("--cache", type=Path, help="where checkpoints are (default: build/train-speech in the root)")
    options = parser.parse_args(arguments)
    return run_script(COMMAND, lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    if min(options.epochs, options.dense_epochs) < 1:
        raise InputError("--epochs and --dense-epochs must be at least 1")
    results = options.root / "docs" / "results" / "studies"
    if not results.parent.is_dir():
        raise InputError(f"{options.root} is not the repository (docs/results is not there): go there, or give --root")
    data, name = read_data(options.data)
    recipe = replace(SpeechRecipe(), float_epochs=options.dense_epochs)
    cache = options.cache or options.root / "build" / "train-speech"
    training = Training(variant="dense", data=data, recipe=recipe, seed=0, cache=cache, progress=_show)
    teacher = train_float(training)
    trained = [_entry("dense", teacher, data)]
    clips = as_tensor(data.train[0])
    for kind in KINDS:
        model = with_masks(teacher, kind, seed=0, images=clips)
        renormalise(model, (batch.float() for batch in clips[::_EVERY].split(recipe.batch_size)))
        before = float_accuracies(model, data)
        loop = Loop(
            model, data, recipe, learning_rate=recipe.learning_rate, epochs=options.epochs, seed=0, teacher=teacher
        )
        while loop.epoch < loop.epochs:
            _show(kind, loop.epoch + 1, loop.epochs, loop.run_epoch())
        trained.append(_entry(kind, model.cpu(), data) | {"before": before})
    record = {
        "command": f"{COMMAND} {options.data.name} --epochs {options.epochs} --dense-epochs {options.dense_epochs}",
        "data": name,
        "digest_of_features": data.digest,
        "epochs": options.epochs,
        "layers": list(MASKED),
        "trained": trained,
    }
    write_aside(results / "masks-speech.json", json.dumps(record, indent=1) + "\n")
    say(str(results / "masks-speech.json"))


def with_masks(dense: nn.Sequential, kind: str, *, seed: int, images: Tensor) -> nn.Sequential:
    """The speech network with masks of ``kind`` (see the module) and what they leave of the weights of ``dense``, or
    with weights that are fitted to what it does on ``images`` (bytes ``[n, 1, 32, 32]``)."""
    model = speech_network("sparse-dense")
    seeds = itertools.count(seed)
    given = iter([layer.mask.numpy().reshape(layer.mask.shape[0], -1) != 0 for layer in _masked(model).values()])
    if kind == "fitted":
        take_weights(model, dense)
        fit_complementary(model, dense, images, progress=lambda layer: say_passing(f"fitting {layer}"))
    elif kind == "imposed":
        begin_as(model, dense, lambda magnitudes, nonzeros: next(given))
    else:
        begin_as(model, dense, lambda magnitudes, nonzeros: chosen_mask(magnitudes, kind, nonzeros, seed=next(seeds)))
    return model


def chosen_mask(magnitudes: NDArray[Any], kind: str, nonzeros: int, *, seed: int) -> NDArray[np.bool_]:
    """The mask of ``kind`` (see the module: not imposed, not fitted) over ``magnitudes`` ``[kernels, positions]``."""
    if kind == "assigned":
        return project_masks(magnitudes, nonzeros=nonzeros)
    if kind == "random":
        kernels, positions = magnitudes.shape
        return random_mask(kernels, positions, nonzeros, seed)
    return largest_of_each(magnitudes, nonzeros)


def _masked(model: nn.Sequential) -> dict[str, ComplementaryConv2d | ComplementaryLinear]:
    found = {}
    for name in MASKED:
        layer = model.get_submodule(name)
        assert isinstance(layer, ComplementaryConv2d | ComplementaryLinear)
        found[name] = layer
    return found


def _entry(kind: str, model: nn.Sequential, data: Data) -> dict[str, Any]:
    """Accuracies in float, and for sparse networks how each layer packs."""
    entry: dict[str, Any] = {"kind": kind, "accuracy": float_accuracies(model, data)}
    if kind != "dense":
        entry["layers"] = {
            name: {"nonzeros": layer.nonzeros} | packing(layer.mask.numpy().reshape(layer.mask.shape[0], -1) != 0)
            for name, layer in _masked(model).items()
        }
    return entry


def _show(phase: str, epoch: int, epochs: int, loss: float) -> None:
    say_passing(f"{phase}: epoch {epoch} of {epochs}, loss {loss:.3f}")


if __name__ == "__main__":
    sys.exit(main())
