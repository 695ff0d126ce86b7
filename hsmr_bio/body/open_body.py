"""Read the shipped open body: a small quantised archive per sex, written by ``tools/open_body``.

One half of the symmetric body is stored; the other half is its mirror image, exactly.
"""

from __future__ import annotations

import hashlib
import io
import json
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from hsmr_bio.errors import InputError, ModelError
from hsmr_bio.skeleton import PARENTS
from hsmr_bio.types import Sex

from .data_model import JOINT_COUNT, SEXES, BodyData, Keypoint, ScalePair

MIRROR_JOINT: tuple[int, ...] = (0, *range(6, 11), *range(1, 6), 11, 12, 13, *range(19, 24), *range(14, 19))
"""Joint on the other side of each joint."""

_HASHES = "open_body.sha256"
_SHARE = 65535.0
_FLIP_REST = np.array([-1.0, 1.0, 1.0])
_FLIP_BONE = np.array([1.0, 1.0, -1.0])

Arrays = dict[str, npt.NDArray[Any]]


@cache
def load_open_body(sex: Sex = "neutral") -> BodyData:
    """The open body of one sex.

    Made from openly licensed parts (see ``NOTICE`` and ``docs/open_body.md``). Beta 1 follows stature, beta 2 the body-mass
    index; all ten have unit variance among US Army adults of 2012; beyond +-3 the shape is an extrapolation.
    Bone axes are the body frames of the BSM model in the same posture.

    Args:
        sex: ``"male"``, ``"female"``, or ``"neutral"`` (both, pooled).

    Raises:
        InputError: unknown sex.
        ModelError: the installed file is damaged (its hash differs).
    """
    if sex not in SEXES:
        raise InputError(f"sex must be one of {', '.join(SEXES)}, got {sex!r}")
    name = f"open_{sex}.npz"
    folder = resources.files("hsmr_bio.body").joinpath("data")
    data = folder.joinpath(name).read_bytes()
    digest = checked_digest(name, data, folder.joinpath(_HASHES).read_text("ascii"))
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        arrays: Arrays = {key: archive[key] for key in archive.files}
    return _body(arrays, sex, f"open-{sex}@{digest[:8]}")


def checked_digest(name: str, data: bytes, listing: str) -> str:
    """SHA-256 of a file's bytes, if a listing in the format of ``sha256sum`` has the same.

    Raises:
        ModelError: the listing has another one, or none.
    """
    digest = hashlib.sha256(data).hexdigest()
    expected = {line.split()[1]: line.split()[0] for line in listing.splitlines() if line.strip()}
    if digest != expected.get(name):
        raise ModelError(f"{name} is damaged: its SHA-256 {digest[:8]}... is not the one in {_HASHES}. Install hsmr_bio again")
    return digest


def _body(arrays: Arrays, sex: Sex, name: str) -> BodyData:
    meta: dict[str, Any] = json.loads(arrays["meta"].tobytes())
    mirror = _undo(arrays["mirror"])
    half = np.flatnonzero(np.arange(len(mirror)) <= mirror)
    template = _whole(_undo(arrays["template"]).T * meta["template_step_m"], half, mirror)
    steps = np.array(meta["shapedirs_steps_m"])
    directions = _whole(_undo(arrays["shapedirs"]).transpose(2, 1, 0) * steps, half, mirror)
    vertices, faces, rigid, soft = _bones(arrays, meta["template_step_m"])
    return BodyData(
        name=name,
        sex=sex,
        skin_template_m=template,
        skin_faces=_undo(arrays["faces"]).T,
        shapedirs=directions,
        joint_regressor=_regressor(arrays, mirror),
        per_joint_rot=arrays["per_joint_rot"],
        apose_rel_transfo=arrays["apose_rel_transfo"],
        skin_weights=_skin_weights(arrays, half, mirror),
        bone_template_m=vertices,
        bone_faces=faces,
        bone_weights=soft,
        bone_weights_rigid=rigid,
        scale_pairs=tuple(_scale_pair(item) for item in meta["scale_pairs"]),
        stature_vertices=(meta["stature_vertices"][0], meta["stature_vertices"][1]),
        density_kg_m3=meta["density_kg_m3"],
        parents=PARENTS,
        rest_joints_m=arrays["joints"],
        rest_joint_shapedirs=arrays["joint_directions"],
        keypoints={key: tuple(_keypoint(item) for item in items) for key, items in meta["keypoints"].items()},
        landmarks=meta["landmarks"],
        topology=meta["topology"],
        source=meta["source"],
    )


def _undo(differences: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Whole numbers from their differences along the last axis."""
    return np.asarray(np.cumsum(differences, axis=-1, dtype=np.int64))


def _whole(values: npt.NDArray[Any], half: npt.NDArray[Any], mirror: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Vectors of the stored half and, mirrored, of the other."""
    out = np.empty((len(mirror), *values.shape[1:]))
    out[mirror[half]] = values * _FLIP_REST.reshape(1, 3, *[1] * (values.ndim - 2))
    out[half] = values
    return out


def _skin_weights(arrays: Arrays, half: npt.NDArray[Any], mirror: npt.NDArray[Any]) -> sparse.csr_array:
    row = np.repeat(half, arrays["skin_count"])
    column = arrays["skin_index"].astype(np.int64)
    value = arrays["skin_value"] / _SHARE
    total = np.zeros(len(mirror))
    np.add.at(total, row, value)
    value = value / total[row]
    twice = mirror[row] != row
    rows = np.concatenate([row, mirror[row][twice]])
    columns = np.concatenate([column, np.array(MIRROR_JOINT)[column][twice]])
    return sparse.csr_array((np.concatenate([value, value[twice]]), (rows, columns)), shape=(len(mirror), JOINT_COUNT))


def _regressor(arrays: Arrays, mirror: npt.NDArray[Any]) -> sparse.csr_array:
    joint = arrays["regressor_joint"].astype(np.int64)
    vertex = arrays["regressor_vertex"].astype(np.int64)
    value = arrays["regressor_value"]
    other = np.array(MIRROR_JOINT)[joint]
    twice = other != joint
    rows = np.concatenate([joint, other[twice]])
    columns = np.concatenate([vertex, mirror[vertex][twice]])
    return sparse.csr_array((np.concatenate([value, value[twice]]), (rows, columns)), shape=(JOINT_COUNT, len(mirror)))


def _bones(arrays: Arrays, step_m: float) -> tuple[npt.NDArray[Any], npt.NDArray[Any], sparse.csr_array, sparse.csr_array]:
    """Vertices and faces of all 24 bones in body order, their rigid and soft weights; left bones mirror right ones."""
    points = _undo(arrays["bone_vertices"]).T * step_m
    faces = _undo(arrays["bone_faces"]).T
    sizes = arrays["bone_sizes"].astype(np.int64)
    first_vertex = np.concatenate([[0], np.cumsum(sizes[:, 0])])
    first_face = np.concatenate([[0], np.cumsum(sizes[:, 1])])
    second, share = arrays["bone_second"].astype(np.int64), arrays["bone_share"] / _SHARE
    parts = []
    start = 0
    for body in range(JOINT_COUNT):
        left = body if sizes[body, 0] else MIRROR_JOINT[body]
        mirrored = left != body
        pick = slice(first_vertex[left], first_vertex[left + 1])
        own = faces[first_face[left] : first_face[left + 1]]
        other = np.array(MIRROR_JOINT)[second[pick]] if mirrored else second[pick]
        vertex = points[pick] * _FLIP_BONE if mirrored else points[pick]
        parts.append((vertex, (own[:, ::-1] if mirrored else own) + start, np.full(len(vertex), body), other, share[pick]))
        start += len(vertex)
    vertices, triangles, body_of, other_of, part_of = (np.concatenate(column) for column in zip(*parts, strict=True))
    rows, shape = np.arange(len(vertices)), (len(vertices), JOINT_COUNT)
    rigid = sparse.csr_array((np.ones(len(rows)), (rows, body_of)), shape=shape)
    both = np.concatenate([rows, rows]), np.concatenate([body_of, other_of])
    soft = sparse.csr_array((np.concatenate([1 - part_of, part_of]), both), shape=shape)
    soft.eliminate_zeros()
    return vertices, triangles, rigid, soft


def _scale_pair(item: dict[str, Any]) -> ScalePair:
    pairs = tuple((int(i), int(k)) for i, k in item["vertex_pairs"])
    return ScalePair(bone=item["bone"], bone_axis=item["bone_axis"], rest_axis=item["rest_axis"], vertex_pairs=pairs)


def _keypoint(item: dict[str, Any]) -> Keypoint:
    x, y, z = item["offset_over_stature"]
    return Keypoint(
        name=item["name"],
        body=item["body"],
        joint=item["joint"],
        offset_over_stature=(x, y, z),
        sigma_2d_m=item["sigma_2d_m"],
        vertices=tuple(item["vertices"]),
        weights=tuple(item["weights"]),
    )
