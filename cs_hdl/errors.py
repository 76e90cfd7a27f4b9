"""The error classes of cs-hdl. The command line catches :class:`CsHdlError`, once."""

__all__ = ["INTERRUPTED", "CsHdlError", "InputError", "ResultError", "ToolError"]

#: The exit code after Ctrl-C, as a shell has it for SIGINT.
INTERRUPTED = 130


class CsHdlError(Exception):
    """Root of every error that a user can cause or meet.

    ``exit_code`` is what the command line returns: 1 the result is wrong, 2 the
    user's input or options are wrong, 3 a tool is missing or failed.
    """

    exit_code = 2


class InputError(CsHdlError):
    """The user's input or options are wrong; the message names the file, layer and value."""

    exit_code = 2


class ResultError(CsHdlError):
    """The work was done and its result is wrong: a mismatch, or timing that was missed."""

    exit_code = 1


class ToolError(CsHdlError):
    """An external tool is missing or failed; the message says how to get it or shows its error."""

    exit_code = 3
