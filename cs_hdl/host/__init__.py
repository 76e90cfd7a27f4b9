"""The host's driver for a board."""

from cs_hdl.host.accelerator import Accelerator, Link, open_serial, pack_values, unpack_values
from cs_hdl.host.protocol import ErrorCode, Frame, FrameDecoder, FrameType, Identity, encode_frame

__all__ = [
    "Accelerator",
    "ErrorCode",
    "Frame",
    "FrameDecoder",
    "FrameType",
    "Identity",
    "Link",
    "encode_frame",
    "open_serial",
    "pack_values",
    "unpack_values",
]
