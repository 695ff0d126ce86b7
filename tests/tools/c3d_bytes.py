"""Write C3D files byte by byte, in the three byte orders and with groups that libraries do not write.

Source:
    The C3D File Format, Motion Lab Systems 2008; the ROTATION group: Visual3D documentation, rotation data type.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

INTEL, DEC, MIPS = 84, 85, 86
_BLOCK = 512


def _words(values: Any, kind: int) -> bytes:
    return np.asarray(values, dtype=">i2" if kind == MIPS else "<i2").tobytes()


def _floats(values: Any, kind: int) -> bytes:
    plain = np.asarray(values, dtype=np.float32)
    if kind == MIPS:
        return plain.astype(">f4").tobytes()
    if kind == INTEL:
        return plain.tobytes()
    scaled = (np.atleast_1d(plain) * 4).astype("<f4")  # VAX F: four times the value, its 16-bit halves swapped
    return np.ascontiguousarray(scaled).view("<u2").reshape(-1, 2)[:, ::-1].tobytes()


def _value(value: Any, kind: int) -> bytes:
    """Type, dimensions and data of a parameter."""
    if isinstance(value, str):
        text = value.encode("latin-1")
        return struct.pack("bBB", -1, 1, len(text)) + text
    if isinstance(value, Sequence) and value and isinstance(value[0], str):
        width = max(len(text) for text in value)
        return struct.pack("bBBB", -1, 2, width, len(value)) + "".join(text.ljust(width) for text in value).encode("latin-1")
    array = np.asarray(value)
    sizes = [] if array.ndim == 0 else list(array.shape[::-1])  # the first index runs fastest
    head = struct.pack("bB" + "B" * len(sizes), 2 if array.dtype.kind in "iu" else 4, len(sizes), *sizes)
    return head + (_words(array, kind) if array.dtype.kind in "iu" else _floats(array, kind))


def _parameters(groups: Mapping[str, Mapping[str, Any]], kind: int, orphan: str) -> bytes:
    entries: list[tuple[int, str, bytes]] = [(-n, name, b"") for n, name in enumerate(groups, start=1)]
    for number, (_, values) in enumerate(groups.items(), start=1):
        entries += [(number, name, _value(value, kind)) for name, value in values.items()]
    if orphan:
        entries.append((77, orphan, _value(np.int16(3), kind)))
    data = b""
    for place, (number, name, content) in enumerate(entries):
        rest = content + b"\0"  # an empty description
        following = 0 if place == len(entries) - 1 else len(rest) + 2
        data += struct.pack("bb", len(name), number) + name.encode("latin-1") + _words(following, kind) + rest
    return data


def c3d_bytes(
    points_mm: np.ndarray,
    labels: Sequence[str],
    *,
    kind: int = INTEL,
    rate_hz: float = 100.0,
    point: Mapping[str, Any] | None = None,
    groups: Mapping[str, Mapping[str, Any]] | None = None,
    rotations: np.ndarray | None = None,
    rotation_labels: Sequence[str] = (),
    first: int = 1,
    orphan: str = "",
) -> bytes:
    """Build a file.

    Args:
        points_mm: (T, P, 3); NaN where not seen.
        labels: P names.
        kind: ``INTEL``, ``DEC`` or ``MIPS``.
        rate_hz: of the frames.
        point: further parameters of POINT.
        groups: further groups.
        rotations: (T, S, 4, 4), or None.
        rotation_labels: S names.
        first: number of the first frame, from 1.
        orphan: name of a parameter of a group that does not exist.

    Returns:
        The bytes.
    """
    frames, count = points_mm.shape[:2]

    def section(point_start: int, rotation_start: int) -> bytes:
        values: dict[str, Any] = {
            "USED": np.int16(count),
            "SCALE": np.float32(-1),
            "RATE": np.float32(rate_hz),
            "DATA_START": np.int16(point_start),
            "FRAMES": np.int16(frames),
            "UNITS": "mm",
            **({"LABELS": list(labels)} if count else {}),
            **(point or {}),
        }
        all_groups = {"POINT": values, **(groups or {})}
        if rotations is not None:
            all_groups["ROTATION"] = {
                "USED": np.int16(rotations.shape[1]),
                "DATA_START": np.int16(rotation_start),
                "RATE": np.float32(rate_hz),
                "RATIO": np.int16(1),
                "LABELS": list(rotation_labels),
            }
        body = _parameters(all_groups, kind, orphan)
        blocks = -(-(len(body) + 4) // _BLOCK)
        return (struct.pack("4B", 1, 80, blocks, kind) + body).ljust(blocks * _BLOCK, b"\0")

    blocks = len(section(0, 0)) // _BLOCK
    seen = np.isfinite(points_mm).all(axis=-1)
    rows = np.concatenate([np.nan_to_num(points_mm), np.where(seen, 0.0, -1.0)[..., None]], axis=-1)
    data = _floats(rows, kind)
    data = data.ljust(-(-len(data) // _BLOCK) * _BLOCK, b"\0")
    start = blocks + 2
    rotation_start = start + len(data) // _BLOCK
    header = struct.pack("BB", 2, 80) + _words([count, 0, first, first + frames - 1, 0], kind) + _floats([-1.0], kind)
    header += _words([start, 0], kind) + _floats([rate_hz], kind)
    turns = b""
    if rotations is not None:
        columns = np.swapaxes(rotations, -1, -2).reshape(frames, rotations.shape[1], 16)  # column by column
        turns = _floats(np.concatenate([columns, np.zeros((*columns.shape[:2], 1))], axis=-1), kind)
        turns = turns.ljust(-(-len(turns) // _BLOCK) * _BLOCK, b"\0")
    return header.ljust(_BLOCK, b"\0") + section(start, rotation_start) + data + turns
