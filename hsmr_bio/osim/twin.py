"""The twin: a person's OpenSim model whose coordinates are SKEL's own 46 angles.

Its bodies are SKEL's bones, its joints SKEL's joints: fixed frames ``Rk_p^T Rk_c Ra_c^T``, moving frames ``Ra_c^T``, SKEL's
axes in reverse order (OpenSim's first axis stands next to the parent, SKEL's first angle acts first), and the spine's arcs and
the scapulae's ellipsoid as power series of the angles, exact to 1e-4 mm over all that a person can do.

Ground is OpenSim's: x forward, y up, z right; at ``pelvis_rotation = 0`` the model faces +x. SKEL's rest axes are turned into
it by +90 degrees about y. ``pelvis_tx, pelvis_ty, pelvis_tz`` are the position of the pelvis in ground.

Source:
    Keller et al. 2023 (SKEL 1.1.1) for the joints; OpenSim 4.6 for the meaning of CustomJoint.
"""

from __future__ import annotations

from collections.abc import Callable
from math import cos, factorial, pi, sin
from typing import Any

import numpy as np
import torch

from ..body.body import Body
from ..errors import InputError
from ..kinematics.rotations import about_axis, to_xyz
from ..option_checks import check_file_name
from ..skeleton import DOF_NAMES, JOINT_AXES, JOINT_DOFS, JOINT_NAMES, LIMITS_WITH_REST_RAD, PARENTS
from ..types import FloatArray, OsimMotion, Sex, SkelMotion, Subject, readonly
from .build import (
    AxisSpec,
    BodySpec,
    CoordinateSpec,
    JointSpec,
    MarkerSpec,
    linear,
    model_element,
    multivariate,
    polynomial,
)
from .document import OsimDocument
from .factors import body_factors, body_marker_vertices, subject_size
from .geometry import mesh_list
from .library import bsm
from .masses import scaled_masses
from .person import Geometry
from .skin_markers import place_markers

ROOT_TRANSLATIONS: tuple[str, ...] = ("pelvis_tx", "pelvis_ty", "pelvis_tz")
COORDINATES: tuple[str, ...] = DOF_NAMES + ROOT_TRANSLATIONS
"""The twin's coordinates as :func:`twin_motion` gives them."""
SERIES_ORDER = 12
"""Highest power of the series. Error at 1.2 rad: 1e-9 of the arc's length; of the ellipsoid at 1 rad twice: 2e-7."""
_QUARTER = pi / 4
_TO_GROUND = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
"""SKEL's rest axes (facing +z) -> ground (facing +x): +90 degrees about y."""
_SPINE = ("lumbar_body", "thorax", "head")
_SCAPULAE = ("scapula_r", "scapula_l")


def twin_model(
    body: Body,
    betas: Any,
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
        mass_kg: of the person; by default the volume of the skin times the body's density.
        height_m: of the person; all lengths are then brought to it. By default the shape's own stature: only then are the
            joints exactly SKEL's.
        sex: whose mass fractions; by default the body's.
        name: of the model; also the beginning of the names of its mesh files.

    Returns:
        The model as the bytes of its ``.osim`` file. Its meshes are written by
        :func:`hsmr_bio.osim.geometry.write_geometry`.

    Raises:
        InputError: a mass or height that no person has, or a name that no file can have.
        ShapeError: betas are not (10,).
    """
    betas = readonly("betas", betas, (10,))
    stature, mass, source, length_factor = subject_size(body, betas, mass_kg, height_m)
    sex = sex or body.sex
    geometry = Geometry(bsm(), body, betas, length_factor)
    factors = body_factors(geometry)
    masses = scaled_masses(bsm(), factors, mass, sex, geometry.origin_shifts_m, geometry.alignments)
    bodies = [BodySpec(n, masses[n].mass_kg, masses[n].com_m, masses[n].inertia_kg_m2) for n in JOINT_NAMES]
    placed = place_markers(geometry, body_marker_vertices(body))
    markers = [MarkerSpec(m.name, m.body, m.position_m) for m in placed]
    root = model_element(
        check_file_name(name),
        bodies,
        _joints(body, betas, geometry),
        markers,
        credits_text=f"SKEL-exact twin of {body.name}; its coordinates are SKEL's pose parameters. Bones: {body.data.source}",
        publications="Keller et al. 2023, From Skin to Skeleton, ACM Trans. Graph. 42(6)",
    )
    document = OsimDocument(root, f"{name}.osim").with_meshes(mesh_list(name))
    return Subject(
        name=name,
        body=body.name,
        betas=betas,
        sex=sex,
        mass_kg=mass,
        stature_m=stature,
        mass_source=source,
        scale_factors=factors,
        osim_xml=document.to_bytes(),
        model="twin",
    )


def _joints(body: Body, betas: FloatArray, geometry: Geometry) -> list[JointSpec]:
    """All joints; the frames are those of the body's own tree."""
    tree = body.tree(betas)
    floor = float(geometry.origins_m[0, 1] - geometry.skin_m[:, 1].min())
    joints = []
    for j, joint in enumerate(tree.joints):
        name, parent = JOINT_NAMES[j], PARENTS[j]
        fixed, moving = _unit(joint.parent_rotation), _unit(joint.child_rotation)
        at = np.asarray(joint.parent_translation_m) * geometry.length_factor
        along = np.array([np.asarray(axis) for axis, _ in joint.translations])
        if parent < 0:
            fixed, at = _TO_GROUND @ fixed, np.zeros(3)
            along = fixed  # row i is ground axis i in the joint's fixed frame
        dofs = tuple(reversed(JOINT_DOFS[j]))
        axes = [
            AxisSpec(f"rotation{i + 1}", axis, (DOF_NAMES[dof],), linear(1.0))
            for i, (dof, axis) in enumerate(zip(dofs, reversed(JOINT_AXES[j]), strict=True))
        ]
        coordinates = [_angle(dof) for dof in dofs]
        if parent < 0:
            axes += [AxisSpec(f"translation{i + 1}", along[i], (n,), linear(1.0)) for i, n in enumerate(ROOT_TRANSLATIONS)]
            ranges = ((-100.0, 100.0), (-100.0, 100.0), (-100.0, 100.0))
            defaults = (0.0, floor, 0.0)
            coordinates += [CoordinateSpec(n, r, d) for n, r, d in zip(ROOT_TRANSLATIONS, ranges, defaults, strict=True)]
        else:
            functions = _translations(name, geometry)
            axes += [AxisSpec(f"translation{i + 1}", along[i], inputs, f) for i, (inputs, f) in enumerate(functions)]
        joints.append(
            JointSpec(
                geometry.generic_joints[name].name,
                JOINT_NAMES[parent] if parent >= 0 else "ground",
                name,
                tuple(coordinates),
                tuple(axes),
                parent_offset=(at.tolist(), _angles(fixed)),
                child_offset=((0.0, 0.0, 0.0), _angles(moving)),
            )
        )
    return joints


def _angle(dof: int) -> CoordinateSpec:
    """A coordinate with SKEL's limits and its rest pose inside; not clamped, so that any SKEL pose can be shown."""
    low, high = LIMITS_WITH_REST_RAD[dof]
    free = not np.isfinite(low)
    return CoordinateSpec(DOF_NAMES[dof], (-pi, pi) if free else (float(low), float(high)))


def _translations(name: str, geometry: Geometry) -> list[tuple[tuple[str, ...], Any]]:
    """Coordinates and function of the translation along each of the parent's rest axes."""
    if name not in _SPINE + _SCAPULAE:
        return []
    origins = dict(zip(JOINT_NAMES, geometry.origins_m, strict=True))
    dofs = [DOF_NAMES[dof] for dof in JOINT_DOFS[JOINT_NAMES.index(name)]]
    first, second = dofs[0], dofs[1]
    if name in _SPINE:
        length = abs(float((origins[name] - origins[JOINT_NAMES[PARENTS[JOINT_NAMES.index(name)]]])[1]))
        side = polynomial([-length * c for c in reversed(_arc_series())])
        back = polynomial([-length * c for c in reversed(_arc_series())])
        return [((first,), side), ((first, second), multivariate(_arc_height(length), SERIES_ORDER)), ((second,), back)]
    sign = 1.0 if name == "scapula_r" else -1.0
    width = sign * float(np.linalg.norm(origins["scapula_l"] - origins["scapula_r"])) / 4
    height = sign * float(np.linalg.norm(origins["thorax"] - origins["lumbar_body"])) / 2
    phase = -sign * _QUARTER
    return [
        ((first, second), multivariate(_ellipsoid_side(-width, phase), SERIES_ORDER)),
        ((second,), polynomial(_sine_series(-height, phase))),
        ((first,), polynomial(_sine_series(width, 0.0))),
    ]


def _arc_series() -> list[float]:
    """(1 - cos a) / a, constant first."""
    order = SERIES_ORDER + 5
    return [(-1) ** ((n - 1) // 2) / factorial(n + 1) if n % 2 else 0.0 for n in range(order + 1)]


def _arc_height(length: float) -> list[float]:
    """Series of length (sinc b + sinc e - 2) in the order of OpenSim's coefficients; no mixed powers."""

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
    order = SERIES_ORDER + 5
    slopes = (sin(phase), cos(phase), -sin(phase), -cos(phase))
    return [scale * slopes[n % 4] / factorial(n) if n else 0.0 for n in range(order, -1, -1)]


def _table(term: Callable[[int, int], float]) -> list[float]:
    return [term(p, r) for p in range(SERIES_ORDER + 1) for r in range(SERIES_ORDER + 1 - p)]


def _unit(matrix: Any) -> FloatArray:
    """The rotation nearest to a matrix that is one up to rounding."""
    left, _, right = np.linalg.svd(np.asarray(matrix))
    return np.asarray(left @ right)


def _angles(rotation: FloatArray) -> list[float]:
    return [float(angle) for angle in to_xyz(torch.as_tensor(rotation))]


def twin_motion(motion: SkelMotion, subject: Subject, body: Body) -> OsimMotion:
    """SKEL motion as coordinates of the twin: the angles as they are, but for the root, which is turned into ground.

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
        raise InputError("the motion is in camera axes; bring it into the world first")
    values = motion.q
    factor = subject.stature_m / body.stature_m(subject.betas)
    values[:, 46:] = (values[:, 46:] + body.rest(motion.betas).joints_m[0]) * factor
    if motion.frame == "skel":
        values[:, 46:] = values[:, 46:] @ _TO_GROUND.T
    else:
        values[:, :3] = _turned_root(body, motion.poses_rad[:, :3], _TO_GROUND.T)
    return OsimMotion(
        time_s=motion.time_s,
        coordinates=COORDINATES,
        values_si=values,
        rotational=np.arange(49) < 46,
    )


def twin_to_skel(motion: OsimMotion, subject: Subject, body: Body) -> SkelMotion:
    """Coordinates of the twin as SKEL motion in the world frame: the inverse of :func:`twin_motion`.

    Raises:
        InputError: another body or no twin.
        UnknownCoordinateError: a coordinate of the twin is missing.
    """
    _check(subject.body, subject.betas, subject, body)
    values = np.stack([motion.column(name) for name in COORDINATES], axis=1)
    factor = subject.stature_m / body.stature_m(subject.betas)
    poses = values[:, :46].copy()
    poses[:, :3] = _turned_root(body, poses[:, :3], _TO_GROUND)
    return SkelMotion(
        time_s=motion.time_s,
        poses_rad=poses,
        trans_m=values[:, 46:] / factor - body.rest(subject.betas).joints_m[0],
        betas=subject.betas,
        body=body.name,
        frame="world",
        source=f"coordinates of the twin {subject.name}",
    )


def _check(name: str, betas: FloatArray, subject: Subject, body: Body) -> None:
    if subject.model != "twin":
        raise InputError(f"the model {subject.name!r} is a {subject.model}, not a twin; use to_coordinates")
    if not name == body.name == subject.body:
        raise InputError(f"betas of one body mean nothing to another: motion {name}, body {body.name}, twin {subject.body}")
    if not np.allclose(betas, subject.betas, rtol=0, atol=1e-9):
        raise InputError("the twin was made with other betas than the motion has; make it again with these")


def _turned_root(body: Body, angles_rad: FloatArray, turn: FloatArray) -> FloatArray:
    """Root angles (T, 3) of the body turned by ``turn`` in its world; continuous in time."""
    c = _root_frame(body)
    now = torch.tensor(angles_rad)
    z, x, y = (about_axis(axis, now[:, i]) for i, axis in enumerate(JOINT_AXES[0]))
    m = (c.T @ turn @ c) @ (y @ x @ z).numpy()
    list_rad = -np.arctan2(m[:, 1, 2], np.hypot(m[:, 0, 2], m[:, 2, 2]))
    rotation, tilt = np.arctan2(m[:, 0, 2], m[:, 2, 2]), np.arctan2(m[:, 1, 0], m[:, 1, 1])
    return _nearest_branch(np.stack([tilt, list_rad, rotation], axis=1), angles_rad)


def _root_frame(body: Body) -> FloatArray:
    return _unit(body.data.per_joint_rot[0] @ body.data.apose_rel_transfo[0, :3, :3].T)


def _nearest_branch(angles: FloatArray, before: FloatArray) -> FloatArray:
    """Of the two Euler solutions and their full turns, the one whose tilt and list stay nearest to what they were."""
    other = np.stack([angles[:, 0] + pi, pi - angles[:, 1], angles[:, 2] + pi], axis=1)
    best = []
    for option in (angles, other):
        turned = option.copy()
        turned[:, :2] += 2 * pi * np.round((before - option)[:, :2] / (2 * pi))
        turned[:, 2] = np.unwrap(turned[:, 2])
        best.append(turned)
    far = [np.abs(option[:, :2] - before[:, :2]).sum(axis=1) for option in best]
    chosen = np.where((far[0] <= far[1])[:, None], best[0], best[1])
    chosen[:, 2] = np.unwrap(chosen[:, 2])
    return chosen
