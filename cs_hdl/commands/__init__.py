"""The commands of the ``cs-hdl`` program: they parse, call one stage after the other, and print."""
