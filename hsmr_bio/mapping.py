"""Maps SKEL motion to OpenSim coordinates and back; markers of a moving model.

SKEL's angles and BSM's have the same names but other zeros, axis orders and joints, so values are never copied. The map places
every bone of the OpenSim model at SKEL's bone and reports the residual per joint in metres and radians. The twin's coordinates
are SKEL's angles; for it the map is exact.
"""

from __future__ import annotations

import numpy as np
import torch

from .body.body import Body
from .body.placing import SKEL_TO_WORLD, require_body
from .errors import InputError
from .kinematics.tree_fit import Bounds, MapResult, fit_tree
from .option_checks import check_arguments
from .osim.document import OsimDocument
from .osim.library import as_document
from .osim.placed import place_model
from .osim.twin import twin_motion, twin_to_skel
from .skeleton import DOF_NAMES, JOINT_NAMES, MAP_LIMITS_RAD, fit_bounds
from .types import FloatArray, Frame, Markers, OsimMotion, SkelMotion, Subject

_TO_WORLD: dict[Frame, FloatArray] = {
    "world": np.eye(3),
    "skel": SKEL_TO_WORLD,
    "camera": SKEL_TO_WORLD @ np.diag([1.0, -1.0, -1.0]),
}
"""Axes of a motion's frame -> ground. A camera is assumed level: a camera motion has no gravity."""
_SAME_BETAS = 1e-6
"""Largest difference of betas that are the same but for float32 files."""
_MISSING_SHARE = 0.1
"""Largest share of a model's coordinates that a motion may lack; chosen: a motion of another model lacks more."""


def to_coordinates(motion: SkelMotion, subject: Subject, body: Body, *, continuous: bool = True) -> OsimMotion:
    """Map a SKEL motion to the coordinates of a subject's model.

    Args:
        motion: any frame; ``world`` is OpenSim's ground, the others are rotated to it.
        subject: from ``scale_model`` or ``twin_model`` with the same body and betas.
        body: the motion's body.
        continuous: whether the frames are a motion; False for independent poses.

    Returns:
        All coordinates of the model over the motion's time, with the residual distance (T, 24) and angle (T, 24) per bone,
        and the motion's standard deviations.

    Raises:
        InputError: motion, subject and body do not belong together.
    """
    check_arguments(
        "to_coordinates(motion, subject, body)", motion=(motion, SkelMotion), subject=(subject, Subject), body=(body, Body)
    )
    require_body(motion, body)
    _require_subject(motion, subject)
    if subject.model == "twin":
        return twin_motion(motion, subject, body)
    document = as_document(subject)
    tree = document.tree()
    rows = [JOINT_NAMES.index(name) for name in tree.bodies]
    rotation = torch.as_tensor(_TO_WORLD[motion.frame])
    length_factor = subject.stature_m / body.stature_m(motion.betas)
    pose = body.tree(motion.betas).forward(motion.q)
    result = fit_tree(
        tree,
        pose.positions_m[:, rows] @ rotation.T * length_factor,
        rotation @ pose.rotations[:, rows],
        Bounds.of(document.ranges_si),
        continuous=continuous,
    )
    return OsimMotion(
        time_s=motion.time_s,
        coordinates=tree.coordinates,
        values_si=result.q,
        rotational=document.rotational,
        residual_m=result.residual_m,
        residual_rad=result.residual_rad,
        bodies=tree.bodies,
        sd_si=deviations(motion, tree.coordinates),
    )


def to_skel(motion: OsimMotion, subject: Subject, body: Body, *, continuous: bool = True) -> SkelMotion:
    """Map coordinates of a subject's model to a SKEL motion: the inverse of :func:`to_coordinates`.

    Args:
        motion: coordinates of the subject's model, at least its 46 angles and the pelvis' translation.
        subject: the model, with its betas.
        body: the body of the betas.
        continuous: whether the frames are a motion; False for independent poses.

    Returns:
        The motion in the world frame. Motion that SKEL lacks (the rolling of BSM's knee) is in the residuals in
        ``notes["map"]``.

    Raises:
        InputError: the motion lacks coordinates of the model, or the subject is another body's.
    """
    check_arguments(
        "to_skel(motion, subject, body)", motion=(motion, OsimMotion), subject=(subject, Subject), body=(body, Body)
    )
    if subject.model == "twin":
        return twin_to_skel(motion, subject, body)
    if subject.body != body.name:
        raise InputError(f"the subject was made from {subject.body!r}, but the body given is {body.name!r}")
    document = as_document(subject)
    _require_coordinates(motion, document)
    placed = place_model(motion, document)
    placed.place(rotations=True)
    rows = [placed.bodies.index(name) for name in JOINT_NAMES]
    length_factor = subject.stature_m / body.stature_m(subject.betas)
    target = body.tree(subject.betas)
    bounds = Bounds.of(fit_bounds(MAP_LIMITS_RAD))
    positions_m, rotations = (torch.as_tensor(part[:, rows]) for part in (placed.positions_m, placed.rotations))
    result = fit_tree(target, positions_m / length_factor, rotations, bounds, continuous=continuous)
    return SkelMotion(
        time_s=motion.time_s,
        poses_rad=result.q[:, : len(DOF_NAMES)],
        trans_m=result.q[:, len(DOF_NAMES) :],
        betas=subject.betas,
        body=body.name,
        frame="world",
        source="OpenSim coordinates",
        notes={"map": _summary(result)},
    )


def virtual_markers(motion: OsimMotion, subject: Subject) -> Markers:
    """Positions of the markers of a subject's model during a motion.

    Args:
        motion: coordinates of the model.
        subject: a model with markers.

    Returns:
        All markers on bodies of the model (BSM: 105), in ground.

    Raises:
        InputError: the arguments are swapped.
        UnknownCoordinateError: the motion has a coordinate that the model has not.
    """
    check_arguments("virtual_markers(motion, subject)", motion=(motion, OsimMotion), subject=(subject, Subject))
    placed = place_model(motion, as_document(subject))
    return Markers(time_s=motion.time_s, names=placed.marker_names, positions_m=placed.markers_m)


def _require_coordinates(motion: OsimMotion, document: OsimDocument) -> None:
    missing = [name for name in document.coordinates if name not in motion.coordinates]
    if len(missing) > len(document.coordinates) * _MISSING_SHARE:
        raise InputError(
            f"the motion lacks {len(missing)} of the model's {len(document.coordinates)} coordinates "
            f"({', '.join(missing[:5])} ...): it belongs to another model"
        )


def _require_subject(motion: SkelMotion, subject: Subject) -> None:
    if subject.body != motion.body:
        raise InputError(f"the subject was made from {subject.body!r}, but the motion belongs to {motion.body!r}")
    if not np.allclose(subject.betas, motion.betas, atol=_SAME_BETAS):
        raise InputError("the subject was made from other betas than the motion's: scale the model from the motion's betas")


def deviations(motion: SkelMotion, coordinates: tuple[str, ...]) -> FloatArray | None:
    """Give the coordinates with the names of SKEL's angles the standard deviations of these: their changes are the same.

    Args:
        motion: SKEL motion of T frames.
        coordinates: N names of a model's coordinates.

    Returns:
        (T, N) standard deviations, 0 for other names; None if the motion has none.
    """
    if motion.poses_sd_rad is None:
        return None
    named = dict(zip(DOF_NAMES, motion.poses_sd_rad.T, strict=True))
    return np.stack([named.get(name, np.zeros(len(motion.time_s))) for name in coordinates], axis=1)


def _summary(result: MapResult) -> dict[str, dict[str, float]]:
    """RMS of the map's residuals per bone."""
    centre = np.sqrt(np.square(result.residual_m).mean(axis=0)) * 1e3
    angle = np.degrees(np.sqrt(np.square(result.residual_rad).mean(axis=0)))
    return {
        "centre_rms_mm": dict(zip(JOINT_NAMES, map(float, centre), strict=True)),
        "orientation_rms_deg": dict(zip(JOINT_NAMES, map(float, angle), strict=True)),
    }
