"""``python -m cs_hdl.datasets.make_speech OUT`` (or ``scripts/make-speech OUT``): writes the synthetic speech set."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cs_hdl.datasets.speech_synthesis import Recipe, synthesise
from cs_hdl.errors import InputError
from cs_hdl.script import run_script, say, say_passing

__all__ = ["main"]

COMMAND = "scripts/make-speech"


def main(arguments: list[str] | None = None) -> int:
    """Write the set; returns the exit code."""
    default = Recipe()
    parser = argparse.ArgumentParser(prog=COMMAND, description="Make a synthetic speech set (Speech Commands layout).")
    parser.add_argument("out", type=Path, help="the folder to write")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--speakers", type=int, default=default.speakers)
    parser.add_argument("--clips", type=int, default=default.clips_per_word, help="of each of the ten words")
    parser.add_argument("--other-clips", type=int, default=default.clips_per_other_word, help="of each other word")
    options = parser.parse_args(arguments)
    return run_script(COMMAND, lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    if options.seed < 0 or min(options.speakers, options.clips, options.other_clips) < 1:
        raise InputError("--speakers, --clips and --other-clips must be at least 1, --seed at least 0")
    recipe = Recipe(
        seed=options.seed,
        speakers=options.speakers,
        clips_per_word=options.clips,
        clips_per_other_word=options.other_clips,
    )
    synthesise(options.out, recipe, progress=_show)
    say(f"{options.out}: made by eSpeak NG; synthetic speech, not recordings")


def _show(done: int, total: int) -> None:
    if done % (50 if sys.stderr.isatty() else 2000) == 0 or done == total:
        say_passing(f"{done} of {total} clips")


if __name__ == "__main__":
    sys.exit(main())
