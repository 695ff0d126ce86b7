"""The body as one mesh a frame (.ply), for programs that read nothing else.

Source:
    G. Turk 1994, The PLY Polygon File Format (binary little endian 1.0).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from hsmr_bio.body import Body
from hsmr_bio.body.data_model import IntArray
from hsmr_bio.body.placing import require_body
from hsmr_bio.errors import InputError
from hsmr_bio.io.atomic import new_folder
from hsmr_bio.types import FloatArray, Progress, SkelMotion, quiet

from .gltf import surface

_FRAMES_AT_ONCE = 32
"""Frames that are posed together: it bounds the memory that a long motion takes."""


def write_meshes(
    folder: str | os.PathLike[str],
    body: Body,
    motion: SkelMotion,
    *,
    part: str = "skin",
    every: int = 1,
    overwrite: bool = False,
    progress: Progress = quiet,
) -> tuple[Path, ...]:
    """Write the surface of some frames as ``skin_000000.ply`` ..., in metres and in the motion's axes.

    The meshes include pose blend shapes, if the body has any.

    Args:
        folder: created if it does not exist.
        body: that the motion names.
        motion: T frames; the number of a file is that of its frame.
        part: ``"skin"`` or ``"bones"``.
        every: write every n-th frame.
        overwrite: whether files in the folder may be replaced.
        progress: called with the number of frames written.

    Returns:
        The files.

    Raises:
        InputError: another body, an unknown part, ``every`` below 1, or a file exists.
    """
    require_body(motion, body)
    if part not in ("skin", "bones") or every < 1:
        raise InputError(f"part must be 'skin' or 'bones' and every 1 or more, got {part!r} and {every}")
    faces = body.faces if part == "skin" else body.bone_faces
    frames = np.arange(0, len(motion.time_s), every)
    with new_folder(folder, overwrite=overwrite) as place:
        for first in range(0, len(frames), _FRAMES_AT_ONCE):
            rows = frames[first : first + _FRAMES_AT_ONCE]
            posed = surface(body, motion.poses_rad[rows], motion.betas, motion.trans_m[rows], part)
            for frame, vertices in zip(rows, posed, strict=True):
                (place / f"{part}_{frame:06d}.ply").write_bytes(_ply(vertices, faces))
            progress("meshes", first + len(rows), len(frames))
    return tuple(Path(folder) / f"{part}_{frame:06d}.ply" for frame in frames)


def _ply(vertices_m: FloatArray, faces: IntArray) -> bytes:
    """Bytes of a binary .ply file with a triangle mesh; vertices (V, 3), faces (F, 3)."""
    header = (
        "ply\nformat binary_little_endian 1.0\ncomment metres\n"
        f"element vertex {len(vertices_m)}\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    table = np.empty(len(faces), dtype=[("count", "u1"), ("corners", "<i4", 3)])
    table["count"], table["corners"] = 3, faces
    return header.encode() + np.asarray(vertices_m, dtype="<f4").tobytes() + table.tobytes()
