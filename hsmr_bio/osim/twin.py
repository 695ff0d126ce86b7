"""The twin: a person's OpenSim model whose coordinates are SKEL's own 46 angles.

Its bodies are SKEL's bones, its joints SKEL's joints: fixed frames ``Rk_p^T Rk_c Ra_c^T``, moving frames ``Ra_c^T``, SKEL's
axes in reverse order (OpenSim's first axis is fixed to the parent, SKEL's first angle acts first). The spine's arcs and the
scapulae's ellipsoid are power series of the angles, exact to 1e-4 mm over the range of human motion.

Ground is OpenSim's: x forward, y up, z right; at ``pelvis_rotation = 0`` the model faces +x. A rotation of +90 degrees about
y takes SKEL's rest axes to ground. ``pelvis_tx, pelvis_ty, pelvis_tz`` are the position of the pelvis in ground.

Source:
    Keller et al. 2023 (SKEL 1.1.1) for the joints; OpenSim 4.6 for the meaning of CustomJoint.
"""

from __future__ import annotations

from collections.abc import Callable
from math import cos, factorial, pi, sin

import numpy as np
import numpy.typing as npt

from ..body.body import Body
from ..body.forward import LUMBAR, SCAPULA_L, SCAPULA_R, SCAPULA_REST_RAD, THORAX
from ..body.placing import SKEL_TO_WORLD, rotate_motion
from ..errors import InputError
from ..kinematics.tree import Joint
from ..option_checks import check_file_name
from ..skeleton import DOF_NAMES, JOINT_AXES, JOINT_DOFS, JOINT_NAMES, LIMITS_WITH_REST_RAD, PARENTS
from ..types import FloatArray, OsimMotion, Sex, SkelMotion, Subject
from .build import AxisSpec, CoordinateSpec, JointSpec, linear, model_element, multivariate, polynomial
from .document import OsimDocument
from .factors import scale_person
from .geometry import mesh_list
from .joints import orientation_of
from .parts import Element
from .person import TPose

ROOT_TRANSLATIONS: tuple[str, ...] = ("pelvis_tx", "pelvis_ty", "pelvis_tz")
COORDINATES: tuple[str, ...] = DOF_NAMES + ROOT_TRANSLATIONS
"""The twin's coordinates as :func:`twin_motion` gives them."""
SERIES_ORDER = 12
"""Highest total degree of the series in two angles. Error: 1e-9 of the arc's length at 1.2 rad; 2e-7 of the ellipsoid's radii
with both angles 1 rad."""
_SERIES_ORDER_OF_ONE = SERIES_ORDER + 5
"""Degree of the series in one angle, which have few coefficients."""
_FAR_M = 100.0
"""Range of the pelvis' translations on both sides of 0: no limit in practice."""
_SAME_BETAS = 1e-9
"""Largest difference of betas that are the same but for rounding."""
_SPINE = ("lumbar_body", "thorax", "head")
_SCAPULAE = ("scapula_r", "scapula_l")


def twin_model(
    body: Body,
    betas: npt.ArrayLike,
    *,
    mass_kg: float | None = None,
    height_m: float | None = None,
    sex: Sex | None = None,
    name: str = "subject",
) -> Subject:
    """Make a person's SKEL-exact OpenSim model.

    Args:
        body: whose betas are given.
        betas: (10,) shape.
        mass_kg: of the person; None for the volume of the skin times the body's density.
        height_m: of the person, to which all lengths are scaled; None for the shape's own stature: only then are the joints
            exactly SKEL's.
        sex: whose mass fractions; None for the body's.
        name: of the model; also the prefix of its mesh files.

    Returns:
        The model as the bytes of its ``.osim`` file. :func:`hsmr_bio.osim.geometry.write_geometry` writes its meshes.

    Raises:
        InputError: a mass or height that no person has, or a name that no file can have.
        ShapeError: betas are not (10,).
    """
    scaled = scale_person(body, betas, mass_kg, height_m, sex)
    root = model_element(
        check_file_name(name),
        [scaled.bodies[joint] for joint in JOINT_NAMES],
        [_joint(scaled.t_pose, j, joint) for j, joint in enumerate(scaled.t_pose.skel_joints)],
        scaled.markers,
        credits_text=f"SKEL-exact twin of {body.name}; its coordinates are SKEL's pose parameters. Bones: {body.data.source}",
        publications="Keller et al. 2023, From Skin to Skeleton, ACM Trans. Graph. 42(6)",
    )
    return scaled.subject(OsimDocument(root, f"{name}.osim").with_meshes(mesh_list(name)), "twin")


def _joint(t_pose: TPose, j: int, joint: Joint) -> JointSpec:
    """One joint; its frames are those of the body's own tree."""
    name, parent = JOINT_NAMES[j], PARENTS[j]
    fixed, moving = _unit(joint.parent_rotation), _unit(joint.child_rotation)
    dofs = tuple(reversed(JOINT_DOFS[j]))
    coordinates = [_angle(dof) for dof in dofs]
    if parent < 0:
        fixed, offset_m = SKEL_TO_WORLD @ fixed, np.zeros(3)
        along = fixed.tolist()  # row i is ground axis i in the joint's fixed frame
        functions: list[tuple[tuple[str, ...], Element]] = [((name,), linear(1.0)) for name in ROOT_TRANSLATIONS]
        defaults = (0.0, t_pose.pelvis_height_m, 0.0)
        coordinates += [CoordinateSpec(n, (-_FAR_M, _FAR_M), d) for n, d in zip(ROOT_TRANSLATIONS, defaults, strict=True)]
    else:
        offset_m = np.asarray(joint.parent_translation_m) * t_pose.length_factor
        along = [np.asarray(axis).tolist() for axis, _ in joint.translations]
        functions = _translations(name, t_pose)
    axes = [
        AxisSpec(f"rotation{i + 1}", axis, (DOF_NAMES[dof],), linear(1.0))
        for i, (dof, axis) in enumerate(zip(dofs, reversed(JOINT_AXES[j]), strict=True))
    ]
    axes += [
        AxisSpec(f"translation{i + 1}", axis, inputs, function)
        for i, (axis, (inputs, function)) in enumerate(zip(along, functions, strict=True))
    ]
    return JointSpec(
        t_pose.generic_joints[name].name,
        JOINT_NAMES[parent] if parent >= 0 else "ground",
        name,
        tuple(coordinates),
        tuple(axes),
        parent_offset=(offset_m.tolist(), orientation_of(fixed)),
        child_offset=((0.0, 0.0, 0.0), orientation_of(moving)),
    )


def _angle(dof: int) -> CoordinateSpec:
    """A coordinate with SKEL's limits, rest pose included; not clamped, so that any SKEL pose can be shown."""
    low, high = LIMITS_WITH_REST_RAD[dof]
    free = not np.isfinite(low)
    return CoordinateSpec(DOF_NAMES[dof], (-pi, pi) if free else (float(low), float(high)))


def _translations(name: str, t_pose: TPose) -> list[tuple[tuple[str, ...], Element]]:
    """Coordinates and function of the translation along each of the parent's rest axes.

    Source:
        Keller et al. 2023 (SKEL 1.1.1): as :func:`hsmr_bio.body.forward.translations`.
    """
    if name not in _SPINE + _SCAPULAE:
        return []
    j, origins = JOINT_NAMES.index(name), t_pose.origins_m
    first, second = (DOF_NAMES[dof] for dof in JOINT_DOFS[j][:2])
    if name in _SPINE:
        length = abs(float((origins[j] - origins[PARENTS[j]])[1]))
        side, up = [-length * c for c in reversed(_arc_series())], multivariate(_arc_height(length), SERIES_ORDER)
        return [((first,), polynomial(side)), ((first, second), up), ((second,), polynomial(side))]
    sign = 1.0 if j == SCAPULA_R else -1.0
    width = sign * float(np.linalg.norm(origins[SCAPULA_L] - origins[SCAPULA_R])) / 4
    height = sign * float(np.linalg.norm(origins[THORAX] - origins[LUMBAR])) / 2
    phase = -sign * SCAPULA_REST_RAD
    return [
        ((first, second), multivariate(_ellipsoid_side(-width, phase), SERIES_ORDER)),
        ((second,), polynomial(_sine_series(-height, phase))),
        ((first,), polynomial(_sine_series(width, 0.0))),
    ]


def _arc_series() -> list[float]:
    """Series of (1 - cos a) / a, constant first."""
    return [(-1) ** ((n - 1) // 2) / factorial(n + 1) if n % 2 else 0.0 for n in range(_SERIES_ORDER_OF_ONE + 1)]


def _arc_height(length: float) -> list[float]:
    """Series of length (sinc b + sinc e - 2) in the order of OpenSim's coefficients; it has no mixed powers."""

    def term(p: int, r: int) -> float:
        n = p + r
        if (p and r) or n == 0 or n % 2:
            return 0.0
        return (length if n % 4 == 0 else -length) / factorial(n + 1)

    return _table(term)


def _ellipsoid_side(scale: float, phase: float) -> list[float]:
    """Series of scale (cos(e + phase) cos a - cos(phase)), inputs (a, e)."""

    def term(p: int, r: int) -> float:
        if p % 2 or p + r == 0:
            return 0.0
        by_a = (1.0 if p % 4 == 0 else -1.0) / factorial(p)
        by_e = (cos(phase), -sin(phase), -cos(phase), sin(phase))[r % 4] / factorial(r)
        return scale * by_a * by_e

    return _table(term)


def _sine_series(scale: float, phase: float) -> list[float]:
    """Series of scale (sin(q + phase) - sin(phase)), highest power first."""
    slopes = (sin(phase), cos(phase), -sin(phase), -cos(phase))
    return [scale * slopes[n % 4] / factorial(n) if n else 0.0 for n in range(_SERIES_ORDER_OF_ONE, -1, -1)]


def _table(term: Callable[[int, int], float]) -> list[float]:
    return [term(p, r) for p in range(SERIES_ORDER + 1) for r in range(SERIES_ORDER + 1 - p)]


def _unit(matrix: npt.ArrayLike) -> FloatArray:
    """Nearest rotation to a matrix that is a rotation but for rounding."""
    left, _, right = np.linalg.svd(np.asarray(matrix))
    return np.asarray(left @ right)


def twin_motion(motion: SkelMotion, subject: Subject, body: Body) -> OsimMotion:
    """SKEL motion as coordinates of the twin: the same angles, with the root rotated into ground.

    Args:
        motion: in the world or the skel frame.
        subject: made by :func:`twin_model` of the same body and betas.
        body: of the motion.

    Returns:
        49 coordinates, ``COORDINATES``.

    Raises:
        InputError: another body, other betas, no twin, or a motion in the camera frame.
    """
    _check(motion.body, motion.betas, subject, body)
    if motion.frame == "camera":
        raise InputError("the motion is in camera axes; transform it to the world first")
    factor = subject.stature_m / body.stature_m(subject.betas)
    values = (motion if motion.frame == "skel" else rotate_motion(motion, body, SKEL_TO_WORLD.T, frame="skel")).q
    values[:, 46:] = (values[:, 46:] + body.rest(motion.betas).joints_m[0]) * factor @ SKEL_TO_WORLD.T
    return OsimMotion(
        time_s=motion.time_s, coordinates=COORDINATES, values_si=values, rotational=np.arange(len(COORDINATES)) < 46
    )


def twin_to_skel(motion: OsimMotion, subject: Subject, body: Body) -> SkelMotion:
    """Coordinates of the twin as SKEL motion in the world frame: the inverse of :func:`twin_motion`.

    Args:
        motion: coordinates of the twin.
        subject: made by :func:`twin_model`.
        body: that the twin was made from.

    Returns:
        The motion.

    Raises:
        InputError: another body or no twin.
        UnknownCoordinateError: a coordinate of the twin is missing.
    """
    _check(subject.body, subject.betas, subject, body)
    values = np.stack([motion.column(name) for name in COORDINATES], axis=1)
    factor = subject.stature_m / body.stature_m(subject.betas)
    upright = SkelMotion(
        time_s=motion.time_s,
        poses_rad=values[:, :46],
        trans_m=values[:, 46:] @ SKEL_TO_WORLD / factor - body.rest(subject.betas).joints_m[0],
        betas=subject.betas,
        body=body.name,
        frame="skel",
        source=f"coordinates of the twin {subject.name}",
    )
    return rotate_motion(upright, body, SKEL_TO_WORLD, frame="world")


def _check(name: str, betas: FloatArray, subject: Subject, body: Body) -> None:
    if subject.model != "twin":
        raise InputError(f"the model {subject.name!r} is a {subject.model}, not a twin; use to_coordinates")
    if not name == body.name == subject.body:
        raise InputError(f"betas of one body mean nothing to another: motion {name}, body {body.name}, twin {subject.body}")
    if not np.allclose(betas, subject.betas, rtol=0, atol=_SAME_BETAS):
        raise InputError("the twin was made with other betas than the motion's; make it again with these")
