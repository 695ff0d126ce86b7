"""From ten betas to a person's OpenSim model.

The model's joints go to the body's joint centres, its markers to the skin; masses follow published fractions and the
inertia of every segment its mass and its lengths.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from .body.body import Body
from .option_checks import check_file_name
from .osim.build import element, numbers, to_bytes
from .osim.factors import body_factors, body_marker_vertices, subject_size
from .osim.geometry import mesh_list
from .osim.library import bsm
from .osim.masses import scaled_masses
from .osim.person import Geometry
from .osim.placement import place_joints
from .osim.skel_joints import ball_ranges, skel_joints
from .osim.skin_markers import place_markers
from .types import JointShapes, Sex, Subject, readonly


def scale_model(
    body: Body,
    betas: Any,
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
        mass_kg: of the person; by default the volume of the skin times the body's density.
        height_m: of the person; all lengths are then brought to it. By default the shape's own stature.
        sex: whose mass fractions; by default the body's.
        name: of the model; also the beginning of the names of its mesh files.
        joints: ``"bsm"`` for BSM's rolling knees, which turn inwards as they bend; ``"skel"`` for SKEL's hinges instead, with
            ranges that hold SKEL's limits: the map is then exact. All other joints follow the body in both
            (:mod:`hsmr_bio.osim.placement`).

    Returns:
        The model as the bytes of its ``.osim`` file, with the factors per body. Its meshes are written by
        :func:`hsmr_bio.osim.geometry.write_geometry`.

    Raises:
        InputError: a mass or height that no person has, or a name that no file can have.
        ShapeError: betas are not (10,).
    """
    betas = readonly("betas", betas, (10,))
    stature, mass, source, length_factor = subject_size(body, betas, mass_kg, height_m)
    sex = sex or body.sex
    generic = bsm()
    geometry = Geometry(generic, body, betas, length_factor)
    factors = body_factors(geometry)
    placement = place_joints(geometry, factors)
    floor_m = float(geometry.origins_m[0, 1] - geometry.skin_m[:, 1].min())
    document = (
        generic.renamed(check_file_name(name))
        .with_bodies(scaled_masses(generic, factors, mass, sex, geometry.origin_shifts_m, geometry.alignments).values())
        .with_frames(placement.frames)
        .with_translation_scales(placement.translation_scales)
        .with_joints(placement.joints)
        .with_markers(place_markers(geometry, body_marker_vertices(body)))
        .with_defaults({"pelvis_ty": floor_m})
        .with_meshes(mesh_list(name))
    )
    if joints == "skel":
        document = document.with_joints(skel_joints(geometry, placement.t_pose_si)).with_ranges(ball_ranges(geometry))
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
    )


def scale_set(subject: Subject) -> bytes:
    """The person's factors as an OpenSim ScaleSet, for OpenSim's own ``Model.scale``."""
    scales = (
        element(
            "Scale",
            element("scales", numbers(factors)),
            element("segment", name),
            element("apply", "true"),
            name=name,
        )
        for name, factors in subject.scale_factors.items()
    )
    root = element("OpenSimDocument", element("ScaleSet", element("objects", *scales), element("groups"), name=subject.name))
    root.set("Version", "40000")
    return to_bytes(root)


def write_scale_set(path: str | PathLike[str], subject: Subject) -> Path:
    """Write the person's factors as an OpenSim ScaleSet; returns the path."""
    target = Path(path)
    target.write_bytes(scale_set(subject))
    return target
