"""The ``cs-hdl`` program: its commands, and the one place where errors become exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from cs_hdl import __version__
from cs_hdl.commands.benchmark import benchmark
from cs_hdl.commands.build import build
from cs_hdl.commands.console import end_with_us, errors, print_json, show_error
from cs_hdl.commands.demo import demo
from cs_hdl.commands.device_table import DeviceError, needs_table
from cs_hdl.commands.doctor import doctor
from cs_hdl.commands.estimate import estimate
from cs_hdl.commands.evaluate import evaluate
from cs_hdl.commands.generate import generate
from cs_hdl.commands.lists import boards, models
from cs_hdl.commands.live import live
from cs_hdl.commands.program import program
from cs_hdl.commands.report import report
from cs_hdl.commands.run import run as run_board
from cs_hdl.commands.simulate import simulate
from cs_hdl.commands.sweep import sweep
from cs_hdl.errors import INTERRUPTED, CsHdlError

__all__ = ["app", "main", "run"]

_EPILOG = "Exit codes: 0 done, 1 the result is wrong, 2 wrong input or options, 3 a tool is missing or failed."

app = typer.Typer(
    name="cs-hdl",
    help="Neural-network accelerators for FPGAs that use Complementary Sparsity.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_NEED_ARGUMENTS = (generate, simulate, estimate, evaluate, build, program, report, sweep)
for _command in (*_NEED_ARGUMENTS, live, boards, models, doctor, demo):
    app.command(no_args_is_help=_command in _NEED_ARGUMENTS)(_command)
app.command(name="run", no_args_is_help=True)(run_board)
#: For who works on cs-hdl itself: scripts/benchmark.
app.command(hidden=True)(benchmark)


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"cs-hdl {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


def run(arguments: Sequence[str]) -> int:
    """Run the program with ``arguments``; gives the exit code. Only bugs raise."""
    as_json = "--json" in arguments
    try:
        code = app(list(arguments), prog_name="cs-hdl", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except DeviceError as error:
        if not as_json:
            errors().print(needs_table(error.details))
        return _fail(str(error), error.exit_code, as_json=as_json, details=error.details)
    except CsHdlError as error:
        return _fail(str(error), error.exit_code, as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", INTERRUPTED, as_json=as_json)
    except Exception as error:
        # What typer finds wrong with the options; its classes moved between its versions.
        if not hasattr(error, "format_message"):
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.stderr.write(f"{error.format_message()}\n")
            return CsHdlError.exit_code
        return _fail(f"{error.format_message()} (see cs-hdl --help)", CsHdlError.exit_code, as_json=as_json)


def _fail(message: str, code: int, *, as_json: bool, details: dict[str, Any] | None = None) -> int:
    if as_json:
        print_json({"error": message, "exit_code": code, **(details or {})})
    show_error(message)
    return code


def main() -> None:
    """Entry point of the ``cs-hdl`` program."""
    end_with_us()
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
