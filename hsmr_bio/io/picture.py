"""Decodes one picture."""

from __future__ import annotations

import os
from typing import BinaryIO

import numpy as np

from ..errors import FormatError, require
from .upright import RgbImage


def decode_picture(source: str | BinaryIO, path: str | os.PathLike[str], where: str | None = None) -> RgbImage:
    """Decode a picture as 8-bit RGB as stored, without its orientation tag.

    Args:
        source: path of the picture, or its bytes as a stream.
        path: of the file, for messages.
        where: place of the picture in the file, for messages.

    Returns:
        (H, W, 3).

    Raises:
        FormatError: it cannot be decoded.
    """
    av = require("av", feature="reading images")
    try:
        with av.open(source) as container:
            frame = next(container.decode(video=0), None)
            if frame is not None:
                return np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
    except (av.error.FFmpegError, IndexError) as error:
        raise FormatError(path, where, f"this image cannot be decoded ({error})") from None
    raise FormatError(path, where, "this image cannot be decoded")
