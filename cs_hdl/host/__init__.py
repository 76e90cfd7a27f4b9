"""The host's driver for a board."""

from cs_hdl.host.accelerator import Accelerator, Link, open_serial
from cs_hdl.host.design import check_identity
from cs_hdl.host.protocol import ErrorCode, Frame, FrameDecoder, FrameType, Identity, encode_frame
from cs_hdl.host.self_benchmark import BenchmarkFigures, checksum, stored_values
from cs_hdl.host.values import pack_values, unpack_values

__all__ = [
    "Accelerator",
    "BenchmarkFigures",
    "ErrorCode",
    "Frame",
    "FrameDecoder",
    "FrameType",
    "Identity",
    "Link",
    "check_identity",
    "checksum",
    "encode_frame",
    "open_serial",
    "pack_values",
    "stored_values",
    "unpack_values",
]
