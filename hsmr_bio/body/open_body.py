"""Reads the shipped open body: a quantised archive per sex, written by ``tools/open_body``.

One half of the symmetric body is stored; the other half is its exact mirror image.
"""

from __future__ import annotations

import hashlib
import io
import json
from functools import cache
from importlib import resources
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import sparse

from hsmr_bio.errors import ModelError
from hsmr_bio.option_checks import check_choice
from hsmr_bio.skeleton import PARENTS
from hsmr_bio.types import SEXES, FloatArray, Sex

from .data_model import JOINT_COUNT, BodyData, IntArray, Keypoint, ScalePair

MIRROR_JOINT: tuple[int, ...] = (0, *range(6, 11), *range(1, 6), 11, 12, 13, *range(19, 24), *range(14, 19))
"""Joint on the other side of each joint."""

_HASHES = "open_body.sha256"
_SHARE = 65535.0
"""Stored weights are 16-bit integers over this."""
_FLIP_REST = np.array([-1.0, 1.0, 1.0])
"""Mirror image of a vector in rest axes."""
_FLIP_BONE = np.array([1.0, 1.0, -1.0])
"""Mirror image of a vector in bone axes."""

Arrays = dict[str, npt.NDArray[Any]]
_T = TypeVar("_T")


@cache
def load_open_body(sex: Sex = "neutral") -> BodyData:
    """Read the open body of one sex.

    It is made from openly licensed parts (see ``NOTICE`` and ``docs/open_body.md``). Beta 1 follows stature, beta 2 the
    body-mass index; all ten have unit variance among US Army adults of 2012; beyond +-3 the shape is an extrapolation.
    Bone axes are the body frames of the BSM model in the same posture.

    Args:
        sex: ``"male"``, ``"female"``, or ``"neutral"`` (both, pooled).

    Returns:
        The body's arrays.

    Raises:
        InputError: unknown sex.
        ModelError: the installed file is damaged (its hash differs).
    """
    check_choice("sex", sex, SEXES)
    name = f"open_{sex}.npz"
    folder = resources.files("hsmr_bio.body").joinpath("data")
    data = folder.joinpath(name).read_bytes()
    digest = checked_digest(name, data, folder.joinpath(_HASHES).read_text("ascii"))
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        arrays: Arrays = {key: archive[key] for key in archive.files}
    return _body(arrays, sex, f"open-{sex}@{digest[:8]}")


def checked_digest(name: str, data: bytes, listing: str) -> str:
    """Compute the SHA-256 of a file and compare it with a listing.

    Args:
        name: of the file.
        data: its bytes.
        listing: in the format of ``sha256sum``.

    Returns:
        The hexadecimal digest.

    Raises:
        ModelError: the listing has another digest for the file, or none.
    """
    digest = hashlib.sha256(data).hexdigest()
    expected = {line.split()[1]: line.split()[0] for line in listing.splitlines() if line.strip()}
    if digest != expected.get(name):
        raise ModelError(f"{name} is damaged: its SHA-256 {digest[:8]}... is not the one in {_HASHES}. Install hsmr_bio again")
    return digest


def _body(arrays: Arrays, sex: Sex, name: str) -> BodyData:
    meta: dict[str, Any] = json.loads(arrays["meta"].tobytes())
    mirror = _from_differences(arrays["mirror"])
    half = np.flatnonzero(np.arange(len(mirror)) <= mirror)
    template = _with_mirror(_from_differences(arrays["template"]).T * meta["template_step_m"], half, mirror)
    steps = np.array(meta["shapedirs_steps_m"])
    directions = _with_mirror(_from_differences(arrays["shapedirs"]).transpose(2, 1, 0) * steps, half, mirror)
    vertices, faces, rigid, soft = _bones(arrays, meta["template_step_m"])
    return BodyData(
        name=name,
        sex=sex,
        skin_template_m=template,
        skin_faces=_from_differences(arrays["faces"]).T,
        shapedirs=directions,
        joint_regressor=_regressor(arrays, mirror),
        per_joint_rot=arrays["per_joint_rot"],
        apose_rel_transfo=arrays["apose_rel_transfo"],
        skin_weights=_skin_weights(arrays, half, mirror),
        bone_template_m=vertices,
        bone_faces=faces,
        bone_weights=soft,
        bone_weights_rigid=rigid,
        scale_pairs=tuple(_record(ScalePair, item) for item in meta["scale_pairs"]),
        stature_vertices=tuple(meta["stature_vertices"]),
        density_kg_m3=meta["density_kg_m3"],
        parents=PARENTS,
        rest_joints_m=arrays["joints"],
        rest_joint_shapedirs=arrays["joint_directions"],
        keypoints={key: tuple(_record(Keypoint, item) for item in items) for key, items in meta["keypoints"].items()},
        landmarks=meta["landmarks"],
        topology=meta["topology"],
        source=meta["source"],
    )


def _from_differences(differences: npt.NDArray[Any]) -> IntArray:
    """Whole numbers from their differences along the last axis."""
    return np.asarray(np.cumsum(differences, axis=-1, dtype=np.int64))


def _with_mirror(values: FloatArray, half: IntArray, mirror: IntArray) -> FloatArray:
    """Vectors of both halves from those of the stored half."""
    out = np.empty((len(mirror), *values.shape[1:]))
    out[mirror[half]] = values * _FLIP_REST.reshape(1, 3, *[1] * (values.ndim - 2))
    out[half] = values
    return out


def _skin_weights(arrays: Arrays, half: IntArray, mirror: IntArray) -> sparse.csr_array:
    row = np.repeat(half, arrays["skin_count"])
    value = arrays["skin_value"] / _SHARE
    total = np.zeros(len(mirror))
    np.add.at(total, row, value)
    return _symmetric(value / total[row], row, arrays["skin_index"].astype(np.int64), mirror, np.array(MIRROR_JOINT))


def _regressor(arrays: Arrays, mirror: IntArray) -> sparse.csr_array:
    joint, vertex = (arrays[f"regressor_{name}"].astype(np.int64) for name in ("joint", "vertex"))
    return _symmetric(arrays["regressor_value"], joint, vertex, np.array(MIRROR_JOINT), mirror)


def _symmetric(
    value: FloatArray, row: IntArray, column: IntArray, row_mirror: IntArray, column_mirror: IntArray
) -> sparse.csr_array:
    """Matrix of entries and of their mirror images, where an entry's row is not its own mirror image."""
    paired = row_mirror[row] != row
    rows = np.concatenate([row, row_mirror[row][paired]])
    columns = np.concatenate([column, column_mirror[column][paired]])
    shape = (len(row_mirror), len(column_mirror))
    return sparse.csr_array((np.concatenate([value, value[paired]]), (rows, columns)), shape=shape)


def _bones(arrays: Arrays, step_m: float) -> tuple[FloatArray, IntArray, sparse.csr_array, sparse.csr_array]:
    """Vertices and faces of all 24 bones in body order, their rigid and soft weights; a bone may mirror the other side's."""
    points = _from_differences(arrays["bone_vertices"]).T * step_m
    faces = _from_differences(arrays["bone_faces"]).T
    sizes = arrays["bone_sizes"].astype(np.int64)
    first_vertex = np.concatenate([[0], np.cumsum(sizes[:, 0])])
    first_face = np.concatenate([[0], np.cumsum(sizes[:, 1])])
    second, share = arrays["bone_second"].astype(np.int64), arrays["bone_share"] / _SHARE
    parts = []
    start = 0
    for body in range(JOINT_COUNT):
        stored = body if sizes[body, 0] else MIRROR_JOINT[body]
        mirrored = stored != body
        pick = slice(first_vertex[stored], first_vertex[stored + 1])
        own = faces[first_face[stored] : first_face[stored + 1]]
        neighbour = np.array(MIRROR_JOINT)[second[pick]] if mirrored else second[pick]
        vertex = points[pick] * _FLIP_BONE if mirrored else points[pick]
        parts.append((vertex, (own[:, ::-1] if mirrored else own) + start, np.full(len(vertex), body), neighbour, share[pick]))
        start += len(vertex)
    vertices, triangles, body_of, neighbour_of, part_of = (np.concatenate(column) for column in zip(*parts, strict=True))
    rows, shape = np.arange(len(vertices)), (len(vertices), JOINT_COUNT)
    rigid = sparse.csr_array((np.ones(len(rows)), (rows, body_of)), shape=shape)
    entries = np.concatenate([rows, rows]), np.concatenate([body_of, neighbour_of])
    soft = sparse.csr_array((np.concatenate([1 - part_of, part_of]), entries), shape=shape)
    soft.eliminate_zeros()
    return vertices, triangles, rigid, soft


def _record(kind: type[_T], item: dict[str, Any]) -> _T:
    """A dataclass from stored fields, their lists as tuples; a field that the class has not is ignored."""
    return kind(**{name: _as_tuple(value) for name, value in item.items() if name in kind.__annotations__})


def _as_tuple(value: object) -> object:
    return tuple(_as_tuple(part) for part in value) if isinstance(value, list) else value
