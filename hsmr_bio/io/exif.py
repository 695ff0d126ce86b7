"""Orientation of a photo from its Exif data.

Sources:
    Exif 2.32 (CIPA DC-008-2019), tag Orientation; where the block is: JPEG segment APP1 (Exif 2.32, 4.5.2), PNG chunk eXIf
    (PNG, third edition, 11.3.4.5), WebP chunk EXIF (WebP container specification); TIFF 6.0 for the block itself.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

_ORIENTATION_TAG = 0x0112
_JPEG, _PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*")
_EXIF_HEADER = b"Exif\0\0"
_APP1, _START_OF_SCAN, _END_OF_IMAGE = 0xE1, 0xDA, 0xD9
_AS_STORED, _ORIENTATIONS = 1, range(1, 9)


def exif_orientation(path: Path) -> int:
    """Read the orientation of a JPEG, PNG, WebP or TIFF file.

    Returns:
        1 (as stored) to 8; 1 for a file without a readable orientation.
    """
    content = path.read_bytes()
    try:
        found = [_orientation(block) for block in _exif_blocks(content)]
    except (struct.error, IndexError):  # cut off: the decoder judges the picture
        return _AS_STORED
    return next((value for value in found if value in _ORIENTATIONS), _AS_STORED)


def _exif_blocks(content: bytes) -> Iterator[bytes]:
    """Yield the Exif blocks of a file, each with the structure of a TIFF file."""
    if content.startswith(_JPEG):
        yield from _jpeg_blocks(content)
    elif content.startswith(_PNG):
        yield from (data for name, data in _png_chunks(content) if name == b"eXIf")
    elif content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        yield from (data.removeprefix(_EXIF_HEADER) for name, data in _riff_chunks(content) if name == b"EXIF")
    elif content.startswith(_TIFF):
        yield content


def _jpeg_blocks(content: bytes) -> Iterator[bytes]:
    at = len(_JPEG)
    while content[at] == 0xFF and (marker := content[at + 1]) not in (_START_OF_SCAN, _END_OF_IMAGE):
        (size,) = struct.unpack_from(">H", content, at + 2)
        data = content[at + 4 : at + 2 + size]
        if marker == _APP1 and data.startswith(_EXIF_HEADER):
            yield data.removeprefix(_EXIF_HEADER)
        at += 2 + size


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_PNG)
    while at + 8 <= len(content):
        (size,) = struct.unpack_from(">I", content, at)
        yield content[at + 4 : at + 8], content[at + 8 : at + 8 + size]
        at += 12 + size  # length, name, data, checksum


def _riff_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(content):
        (size,) = struct.unpack_from("<I", content, at + 4)
        yield content[at : at + 4], content[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _orientation(block: bytes) -> int:
    """Find the tag among the entries (tag, type, count, value) of the first directory."""
    if not block.startswith(_TIFF):
        return _AS_STORED
    order = "<" if block.startswith(b"II") else ">"
    (at,) = struct.unpack_from(f"{order}I", block, 4)
    (entries,) = struct.unpack_from(f"{order}H", block, at)
    for entry in range(entries):
        tag, _, _, value = struct.unpack_from(f"{order}HHIH", block, at + 2 + 12 * entry)
        if tag == _ORIENTATION_TAG:
            return int(value)
    return _AS_STORED
