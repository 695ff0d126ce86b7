"""The arrays of one body in SKEL's schema, checked once.

:class:`BodyData` holds all data of a body from either source: the shipped open body (:mod:`hsmr_bio.body.open_body`) or the
user's licensed SKEL file (:mod:`hsmr_bio.body.skel_file`). Shapes: V skin vertices, F triangles, K vertices of the bone mesh.

Axes: *rest* axes are y up, the body faces +z, its left is +x (T pose). *Bone* axes are x to the front, y along the
bone towards its proximal end, z to the body's right; the joint is the origin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import sparse

from hsmr_bio.arrays import freeze, readonly
from hsmr_bio.errors import InputError, ShapeError
from hsmr_bio.option_checks import check_choice
from hsmr_bio.skeleton import JOINT_NAMES
from hsmr_bio.skeleton import PARENTS as SKEL_PARENTS
from hsmr_bio.types import SEXES, FloatArray, Sex

IntArray = npt.NDArray[np.int64]

JOINT_COUNT = 24
"""Joints of SKEL, and of SMPL."""
BETA_COUNT = 10
"""Shape components that are used, as in SKEL."""
POSE_FEATURES = 207
"""Columns of the pose blend shapes: 23 rotation matrices minus the identity, row by row (SMPL)."""
_WEIGHT_ERROR = 0.02
"""Largest error of the sum of a row of skinning weights; chosen."""


@dataclass(frozen=True, kw_only=True)
class ScalePair:
    """One axis of one bone that takes its scale from the skin: the ratio of a distance between two vertices.

    The scale is the smallest of ``(v[i] - v[k])[rest_axis] / (v0[i] - v0[k])[rest_axis]`` over the pairs (i, k), with v
    the shaped and v0 the mean skin in the T pose. The ratio keeps its sign, as in SKEL.
    """

    bone: int
    """Index of the bone, 0..23."""
    bone_axis: int
    """Bone axis that is scaled: 0 front, 1 up, 2 side."""
    rest_axis: int
    """Rest axis along which the distance is taken: 0 x (left), 1 y (up), 2 z (front)."""
    vertex_pairs: tuple[tuple[int, int], ...]
    """Skin vertices (i, k)."""


@dataclass(frozen=True, kw_only=True)
class Keypoint:
    """A detector's point on the body.

    It has two forms: fixed to a bone, ``J[joint] + offset_over_stature * stature`` in the T pose; and, if ``vertices`` is not
    empty, a weighted mean of skin vertices, which deforms with the skin. Both describe the same point.
    """

    name: str
    body: int
    """Bone that the point moves with, 0..23."""
    joint: int
    """Joint that is the origin of the offset, 0..23."""
    offset_over_stature: tuple[float, float, float]
    """Offset in rest axes, divided by the stature."""
    sigma_2d_m: float
    """Standard deviation of the detector's image position, in metres at the depth of the person."""
    vertices: tuple[int, ...] = ()
    """Skin vertices, in the numbering of the body that holds this keypoint."""
    weights: tuple[float, ...] = ()
    """Their weights; the sum is 1."""


SMPL_SCALE_PAIRS: tuple[ScalePair, ...] = (
    ScalePair(bone=13, bone_axis=0, rest_axis=2, vertex_pairs=((410, 384),)),
    ScalePair(bone=13, bone_axis=1, rest_axis=1, vertex_pairs=((414, 384),)),
    ScalePair(bone=13, bone_axis=2, rest_axis=0, vertex_pairs=((196, 3708),)),
    ScalePair(bone=18, bone_axis=0, rest_axis=1, vertex_pairs=((6179, 6137),)),
    ScalePair(bone=18, bone_axis=1, rest_axis=0, vertex_pairs=((5670, 5906),)),
    ScalePair(bone=18, bone_axis=2, rest_axis=0, vertex_pairs=()),
    ScalePair(bone=23, bone_axis=0, rest_axis=1, vertex_pairs=((6179, 6137),)),
    ScalePair(bone=23, bone_axis=1, rest_axis=0, vertex_pairs=((5670, 5906),)),
    ScalePair(bone=23, bone_axis=2, rest_axis=0, vertex_pairs=()),
    ScalePair(bone=12, bone_axis=0, rest_axis=2, vertex_pairs=((3027, 3495), (3027, 3506))),
    ScalePair(bone=11, bone_axis=0, rest_axis=2, vertex_pairs=((3027, 3495), (3027, 3506))),
)
"""SKEL's own pairs, by SMPL vertex number (Keller et al. 2023, SKEL 1.1.1). No pairs: scale 1."""

SMPL_STATURE_VERTICES: tuple[int, int] = (411, 3466)
"""Top of the head and a heel on SMPL's mesh; their height difference in the T pose is the stature (SMPL-X measurements)."""


def readonly_ints(name: str, value: npt.ArrayLike, shape: tuple[int | None, ...], *, high: int) -> IntArray:
    """Copy indices to a read-only int64 array.

    Args:
        name: of the field, for the message.
        value: whole numbers.
        shape: expected sizes; None for any size.
        high: entries are in [0, high).

    Returns:
        The array.

    Raises:
        ShapeError: wrong shape, fractions, or an entry out of range.
    """
    array = readonly(name, value, shape)
    whole = array.astype(np.int64)
    if not np.array_equal(whole, array):
        raise ShapeError(f"{name} must hold whole numbers")
    if whole.size and (whole.min() < 0 or whole.max() >= high):
        raise ShapeError(f"{name} must lie in [0, {high}), got {whole.min()} to {whole.max()}")
    whole.flags.writeable = False
    return whole


def readonly_sparse(name: str, value: object, shape: tuple[int, int]) -> sparse.csr_array:
    """Copy a matrix to a read-only CSR array; repeated entries add up.

    Args:
        name: of the field, for the message.
        value: scipy-sparse or dense matrix.
        shape: expected shape.

    Returns:
        The matrix.

    Raises:
        ShapeError: wrong shape, or values that are not finite numbers.
    """
    try:
        matrix = sparse.csr_array(value, dtype=np.float64, copy=True)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{name} must be a matrix of numbers: {error}") from None
    if matrix.shape != shape:
        raise ShapeError(f"{name} must have shape {shape}, got {matrix.shape}")
    matrix.sum_duplicates()
    if not np.isfinite(matrix.data).all():
        raise ShapeError(f"{name} must be finite, but {int((~np.isfinite(matrix.data)).sum())} entries are not")
    for part in (matrix.data, matrix.indices, matrix.indptr):
        part.flags.writeable = False
    return matrix


@dataclass(frozen=True, eq=False, kw_only=True)
class BodyData:
    """A body in SKEL's schema: mean shape, ten shape directions, weights, frames; checked when built.

    Raises:
        ShapeError: an array has the wrong shape, is not finite, or has an index out of range.
        InputError: parents, weights or names that do not describe a body.
    """

    name: str
    """Name that stored betas refer to: ``"open-neutral@<8 hex digits>"``, ``"skel_male@1.1.1"``."""
    sex: Sex
    skin_template_m: FloatArray
    """(V, 3) mean skin in the T pose, rest axes."""
    skin_faces: IntArray
    """(F, 3) triangles, zero based, counter-clockwise from outside."""
    shapedirs: FloatArray
    """(V, 3, 10) metres per unit of beta."""
    joint_regressor: sparse.csr_array
    """(24, V) joints from the skin (SKEL's J_regressor_osim)."""
    per_joint_rot: FloatArray
    """(24, 3, 3) bone axes -> rest axes for the mean body."""
    apose_rel_transfo: FloatArray
    """(24, 4, 4) each bone relative to its parent in the default pose of the OpenSim model."""
    skin_weights: sparse.csr_array
    """(V, 24); rows sum to 1."""
    bone_template_m: FloatArray
    """(K, 3) bone mesh; every bone in its own bone axes, its joint at the origin."""
    bone_faces: IntArray
    """(Fb, 3) triangles."""
    bone_weights: sparse.csr_array
    """(K, 24) soft weights (blends along the spine)."""
    bone_weights_rigid: sparse.csr_array
    """(K, 24) one-hot: the bone of each vertex."""
    scale_pairs: tuple[ScalePair, ...]
    """Bone scales that are taken from the skin; they override the length ratios."""
    stature_vertices: tuple[int, int]
    """Skin vertices at the top of the head and under the heel; their height difference in the T pose is the stature."""
    density_kg_m3: float
    """Mass over enclosed volume of the skin."""
    posedirs: FloatArray | None = None
    """(V, 3, 207) pose blend shapes, or None for a body without any."""
    parents: tuple[int, ...] = SKEL_PARENTS
    """(24) parent of each joint, -1 for the root; parents come before their children."""
    rest_joints_m: FloatArray | None = None
    """(24, 3) joints of the mean body, or None: the regressor applied to the mean skin."""
    rest_joint_shapedirs: FloatArray | None = None
    """(24, 3, 10) metres per unit of beta, or None: the regressor applied to ``shapedirs``."""
    keypoints: Mapping[str, tuple[Keypoint, ...]] = field(default_factory=dict)
    """Keypoint sets defined on this body (``"blazepose33"``, ``"coco17"``); other sets come from the shipped table, with
    points fixed to bones."""
    landmarks: Mapping[str, int] = field(default_factory=dict)
    """Anatomical skin landmarks -> vertex (``"L_ASIS"`` ...), for measurements and markers."""
    topology: str = ""
    """``"smpl"`` for the 6890-vertex mesh of SMPL, ``"hm08"`` for the open body."""
    source: str = ""
    """Origin and licence of the arrays, for reports."""

    def __post_init__(self) -> None:
        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        check_choice("sex", self.sex, SEXES)
        if not self.name:
            raise InputError("a body needs a name: stored betas refer to it")
        freeze(self, {"skin_template_m": (None, 3), "bone_template_m": (None, 3)})
        skin, bone = len(self.skin_template_m), len(self.bone_template_m)
        shapes: dict[str, tuple[int, ...]] = {
            "shapedirs": (skin, 3, BETA_COUNT),
            "posedirs": (skin, 3, POSE_FEATURES),
            "per_joint_rot": (JOINT_COUNT, 3, 3),
            "apose_rel_transfo": (JOINT_COUNT, 4, 4),
            "rest_joints_m": (JOINT_COUNT, 3),
            "rest_joint_shapedirs": (JOINT_COUNT, 3, BETA_COUNT),
        }
        freeze(self, shapes)
        if (self.rest_joints_m is None) != (self.rest_joint_shapedirs is None):
            raise InputError("rest_joints_m and rest_joint_shapedirs belong together: give both or neither")
        put("skin_faces", readonly_ints("skin_faces", self.skin_faces, (None, 3), high=skin))
        put("bone_faces", readonly_ints("bone_faces", self.bone_faces, (None, 3), high=bone))
        put("joint_regressor", readonly_sparse("joint_regressor", self.joint_regressor, (JOINT_COUNT, skin)))
        put("skin_weights", _weights("skin_weights", self.skin_weights, skin))
        put("bone_weights", _weights("bone_weights", self.bone_weights, bone))
        put("bone_weights_rigid", _weights("bone_weights_rigid", self.bone_weights_rigid, bone))
        put("parents", _parents(self.parents))
        if not (np.isfinite(self.density_kg_m3) and self.density_kg_m3 > 0):
            raise InputError(f"density_kg_m3 must be positive, got {self.density_kg_m3}")
        self._check_vertices(skin)

    def _check_vertices(self, count: int) -> None:
        used = {"stature_vertices": self.stature_vertices, "landmarks": tuple(self.landmarks.values())}
        used |= {f"scale pair of {JOINT_NAMES[p.bone]}": sum(p.vertex_pairs, ()) for p in self.scale_pairs}
        used |= {
            f"keypoint {point.name} of {name}": point.vertices for name, points in self.keypoints.items() for point in points
        }
        for what, vertices in used.items():
            if any(not 0 <= vertex < count for vertex in vertices):
                raise ShapeError(f"{what}: vertices must lie in [0, {count}), got {vertices}")

    @property
    def stature_line(self) -> tuple[float, FloatArray]:
        """Stature of the mean body, and its change (10,) per unit of each beta; exact, as the skin is linear in betas."""
        top, heel = self.stature_vertices
        return float(self.skin_template_m[top, 1] - self.skin_template_m[heel, 1]), self.shapedirs[top, 1] - self.shapedirs[
            heel, 1
        ]

    @property
    def bone_of_vertex(self) -> IntArray:
        """(K,) bone that each vertex of the bone mesh belongs to."""
        return np.asarray(self.bone_weights_rigid.toarray().argmax(axis=1), dtype=np.int64)


def _weights(name: str, value: object, rows: int) -> sparse.csr_array:
    matrix = readonly_sparse(name, value, (rows, JOINT_COUNT))
    worst = float(np.abs(np.asarray(matrix.sum(axis=1)).ravel() - 1).max(initial=0.0))
    if worst > _WEIGHT_ERROR:
        raise InputError(f"{name}: every row must sum to 1, but one is off by {worst:.3g}")
    return matrix


def _parents(value: Iterable[int]) -> tuple[int, ...]:
    parents = tuple(int(p) for p in value)
    if len(parents) != JOINT_COUNT or parents[0] != -1:
        raise InputError(f"parents must be {JOINT_COUNT} numbers that start with -1 (the root), got {parents}")
    if any(not 0 <= parent < joint for joint, parent in enumerate(parents) if joint):
        raise InputError(f"parents must come before their children, got {parents}")
    return parents
