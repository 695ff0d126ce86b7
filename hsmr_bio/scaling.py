"""Makes a person's OpenSim model from ten betas.

Joints lie at the body's joint centres, markers on the skin. Masses follow published fractions; the inertia of a segment
follows its mass and its lengths.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy.typing as npt

from .body.body import Body
from .option_checks import check_file_name
from .osim.build import element, numbers, to_bytes
from .osim.factors import scale_person
from .osim.geometry import mesh_list
from .osim.library import bsm
from .osim.placement import place_joints
from .osim.skel_joints import ball_ranges, skel_joints
from .types import JointShapes, Sex, Subject


def scale_model(
    body: Body,
    betas: npt.ArrayLike,
    *,
    mass_kg: float | None = None,
    height_m: float | None = None,
    sex: Sex | None = None,
    name: str = "subject",
    joints: JointShapes = "bsm",
) -> Subject:
    """Make a person's BSM model.

    Args:
        body: whose betas are given.
        betas: (10,) shape.
        mass_kg: of the person; None for the volume of the skin times the body's density.
        height_m: of the person, to which all lengths are scaled; None for the shape's own stature.
        sex: whose mass fractions; None for the body's.
        name: of the model; also the prefix of its mesh files.
        joints: ``"bsm"`` for BSM's rolling knees, which rotate inwards as they bend; ``"skel"`` for SKEL's hinges, with
            ranges that include SKEL's limits: the map is then exact. All other joints follow the body in both
            (:mod:`hsmr_bio.osim.placement`).

    Returns:
        The model as the bytes of its ``.osim`` file, with the factors per body.
        :func:`hsmr_bio.osim.geometry.write_geometry` writes its meshes.

    Raises:
        InputError: a mass or height that no person has, or a name that no file can have.
        ShapeError: betas are not (10,).
    """
    scaled = scale_person(body, betas, mass_kg, height_m, sex)
    t_pose = scaled.t_pose
    placement = place_joints(t_pose, scaled.factors)
    document = (
        bsm()
        .renamed(check_file_name(name))
        .with_bodies(scaled.bodies.values())
        .with_frames(placement.frames)
        .with_translation_scales(placement.translation_scales)
        .with_joints(placement.joints)
        .with_markers(scaled.markers)
        .with_defaults({"pelvis_ty": t_pose.pelvis_height_m})
        .with_meshes(mesh_list(name))
    )
    if joints == "skel":
        document = document.with_joints(skel_joints(t_pose, placement.t_pose_si)).with_ranges(ball_ranges(t_pose))
    return scaled.subject(document, "bsm")


def scale_set(subject: Subject) -> bytes:
    """The person's factors as an OpenSim ScaleSet, for OpenSim's own ``Model.scale``."""
    scales = (
        element("Scale", element("scales", numbers(factors)), element("segment", name), element("apply", "true"), name=name)
        for name, factors in subject.scale_factors.items()
    )
    root = element("OpenSimDocument", element("ScaleSet", element("objects", *scales), element("groups"), name=subject.name))
    root.set("Version", "40000")
    return to_bytes(root)


def write_scale_set(path: str | PathLike[str], subject: Subject) -> Path:
    """Write the person's factors as an OpenSim ScaleSet.

    Args:
        path: of the XML file.
        subject: the person.

    Returns:
        The path.
    """
    target = Path(path)
    target.write_bytes(scale_set(subject))
    return target
