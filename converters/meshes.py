"""The body as one mesh per frame (.ply), for programs that read nothing else.

Source:
    G. Turk 1994, The PLY Polygon File Format (binary little endian 1.0).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from hsmr_bio.errors import InputError
from hsmr_bio.io.atomic import new_folder
from hsmr_bio.types import FloatArray, Progress, SkelMotion, quiet

from .animation import as_numpy

_FRAMES_AT_ONCE = 32


def write_meshes(
    folder: str | os.PathLike[str],
    body: Any,
    motion: SkelMotion,
    *,
    part: str = "skin",
    every: int = 1,
    overwrite: bool = False,
    progress: Progress = quiet,
) -> tuple[Path, ...]:
    """Write the surface of some frames as ``skin_000000.ply`` ..., in metres and in the motion's axes.

    Pose blend shapes are in them, where the body has any. Memory does not grow with the number of frames.

    Args:
        folder: made if it is missing.
        body: the :class:`~hsmr_bio.body.body.Body` that the motion names.
        motion: T frames; a file's number is the frame's.
        part: ``"skin"`` or ``"bones"``.
        every: write every n-th frame.
        overwrite: whether files in the folder may be replaced.
        progress: told how many frames are written.

    Returns:
        The files.

    Raises:
        InputError: another body, an unknown part, ``every`` below 1, or a file exists.
    """
    if motion.body != body.name:
        raise InputError(f"the motion belongs to body {motion.body!r}, not to {body.name!r}: betas are not exchangeable")
    if part not in ("skin", "bones") or every < 1:
        raise InputError(f"part must be 'skin' or 'bones' and every 1 or more, got {part!r} and {every}")
    skin = part == "skin"
    faces = np.asarray(body.faces if skin else body.bone_faces)
    frames = np.arange(0, len(motion.time_s), every)
    betas = motion.betas.copy()
    with new_folder(folder, overwrite=overwrite) as place:
        for first in range(0, len(frames), _FRAMES_AT_ONCE):
            rows = frames[first : first + _FRAMES_AT_ONCE]
            pose = body.forward(motion.poses_rad[rows], betas, motion.trans_m[rows], skin=skin, skeleton=not skin)
            for frame, vertices in zip(rows, as_numpy(pose.skin_m if skin else pose.skeleton_m), strict=True):
                (place / f"{part}_{frame:06d}.ply").write_bytes(ply(vertices, faces))
            progress("meshes", first + len(rows), len(frames))
    return tuple(Path(folder) / f"{part}_{frame:06d}.ply" for frame in frames)


def ply(vertices_m: FloatArray, faces: Any) -> bytes:
    """A triangle mesh as the bytes of a binary .ply file; vertices (V, 3), faces (F, 3)."""
    header = (
        "ply\nformat binary_little_endian 1.0\ncomment metres\n"
        f"element vertex {len(vertices_m)}\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    table = np.empty(len(faces), dtype=[("count", "u1"), ("corners", "<i4", 3)])
    table["count"], table["corners"] = 3, faces
    return header.encode() + np.asarray(vertices_m, dtype="<f4").tobytes() + table.tobytes()
