"""Data sets that the shipped models are trained and tested on, split by fixed rules."""

from cs_hdl.datasets.digits import Split, load_digits_split

__all__ = ["Split", "load_digits_split"]
