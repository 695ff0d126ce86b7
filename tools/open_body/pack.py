"""Write a body as a small, deterministic ``.npz``: quantised, only one half of what is symmetric.

Layout (read by ``hsmr_bio/body/open_body.py``):
    meta                UTF-8 JSON: version, sex, density, steps, keypoints, landmarks, scale pairs, source
    mirror              (V,) int16, mirror vertex; stored as differences
    template            (3, h) int32 steps, differences along the half; the half are the vertices v <= mirror[v]
    shapedirs           (10, 3, h) int16, differences; step per beta in meta
    faces               (3, F) int16, differences
    skin_count, skin_index, skin_value    nonzero weights of the half: (h,) uint8, uint8 bodies, uint16 / 65535
    regressor_*         COO of the joint regressor of the left and middle joints, float64
    joints, joint_directions              float64, rounded
    per_joint_rot, apose_rel_transfo      float64, rounded
    bone_vertices, bone_faces             (3, k) int32 and (3, f) int32, differences; right and middle bodies in body order
    bone_sizes          (24, 2) int32 vertices and faces per body; 0 for the left ones
    bone_second, bone_share               (k,) uint8 body and uint16 share / 65535 of the second body
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from assets import Floats, Ints

STEP_M = 1e-5
"""Quantum of template and bone vertices."""


@dataclass(frozen=True, eq=False)
class Bones:
    """Bone mesh of the right and middle bodies, each in its bone axes."""

    vertices: list[Floats]
    """24 arrays (k, 3); empty for left bodies."""
    faces: list[Ints]
    second: list[Ints]
    """24 arrays (k,) second body of each vertex."""
    share: list[Floats]
    """24 arrays (k,) its soft weight."""


def _differences(values: np.ndarray, dtype: str) -> np.ndarray:
    return np.diff(values, axis=-1, prepend=0).astype(dtype)


def halves(mirror: Ints) -> Ints:
    """Vertices that are stored: v <= mirror[v]."""
    return np.flatnonzero(np.arange(len(mirror)) <= mirror)


def quantise_shape(template: Floats, directions: Floats) -> tuple[Ints, Ints, Floats]:
    """Whole steps of the template (V, 3) and the directions (V, 3, 10), and the step of each direction."""
    steps = np.ceil(np.abs(directions).max(axis=(0, 1)) / 16000 * 1e9) / 1e9
    return np.rint(template / STEP_M).astype(np.int64), np.rint(directions / steps).astype(np.int64), steps


def pack(
    *,
    meta: dict[str, Any],
    mirror: Ints,
    template_steps: Ints,
    direction_steps: Ints,
    faces: Ints,
    weights: Floats,
    regressor: Floats,
    joints: Floats,
    joint_directions: Floats,
    per_joint_rot: Floats,
    relative: Floats,
    bones: Bones,
) -> bytes:
    """The bytes of the ``.npz``."""
    half = halves(mirror)
    row, column = np.nonzero(weights[half])
    left = np.array([0, 6, 7, 8, 9, 10, 11, 12, 13, 19, 20, 21, 22, 23])
    joint, vertex = np.nonzero(regressor[left])
    sizes = np.array([[len(v), len(f)] for v, f in zip(bones.vertices, bones.faces, strict=True)])
    bone_vertices = np.rint(np.concatenate(bones.vertices) / STEP_M).astype(np.int64)
    arrays = {
        "meta": np.frombuffer(json.dumps(meta, sort_keys=True).encode(), dtype=np.uint8),
        "mirror": _differences(mirror, "<i2"),
        "template": _differences(template_steps[half].T, "<i4"),
        "shapedirs": _differences(direction_steps[half].transpose(2, 1, 0), "<i2"),
        "faces": _differences(faces.T, "<i2"),
        "skin_count": np.bincount(row, minlength=len(half)).astype(np.uint8),
        "skin_index": column.astype(np.uint8),
        "skin_value": np.rint(weights[half][row, column] * 65535).astype("<u2"),
        "regressor_joint": left[joint].astype(np.uint8),
        "regressor_vertex": vertex.astype("<u2"),
        "regressor_value": np.round(regressor[left][joint, vertex], 9).astype("<f8"),
        "joints": np.round(joints, 7).astype("<f8"),
        "joint_directions": np.round(joint_directions, 8).astype("<f8"),
        "per_joint_rot": np.round(per_joint_rot, 12).astype("<f8"),
        "apose_rel_transfo": np.round(relative, 12).astype("<f8"),
        "bone_vertices": _differences(bone_vertices.T, "<i4"),
        "bone_faces": _differences(np.concatenate(bones.faces).T, "<i4"),
        "bone_sizes": sizes.astype("<i4"),
        "bone_second": np.concatenate(bones.second).astype(np.uint8),
        "bone_share": np.rint(np.concatenate(bones.share) * 65535).astype("<u2"),
    }
    return _archive(arrays)


def _archive(arrays: dict[str, np.ndarray]) -> bytes:
    """A zip of .npy members with fixed times and attributes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(arrays[name]), version=(1, 0), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            info.create_system = 3
            archive.writestr(info, member.getvalue(), compresslevel=9)
    return out.getvalue()


def write_all(folder: Path, files: dict[str, bytes]) -> None:
    """Write the artefacts and ``open_body.sha256`` (one line a file, as sha256sum prints it)."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, data in sorted(files.items()):
        (folder / name).write_bytes(data)
        lines.append(f"{hashlib.sha256(data).hexdigest()}  {name}\n")
    (folder / "open_body.sha256").write_text("".join(lines))
