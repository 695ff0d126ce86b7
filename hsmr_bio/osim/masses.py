"""Masses, centres of mass and inertias of a person's segments.

Source:
    Fractions of body mass: Dumas and Wojtusch 2018, Handbook of Human Motion, as listed in ``osim_models/bsm_facts.yaml``
    under D18. Inertia scales from the generic model's with mass times length squared along each axis.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..types import FloatArray, Sex
from .parts import OsimBody, Triple, triple
from .person import TPose

_MALE = {
    "head": 6.7,
    "thorax": 30.4,
    "lumbar_body": 2.9,
    "pelvis": 14.2,
    "arm": 2.4,
    "forearm": 1.7,
    "hand": 0.6,
    "thigh": 12.3,
    "shank": 4.8,
    "foot": 1.2,
}
_FEMALE = {
    "head": 6.7,
    "thorax": 26.3,
    "lumbar_body": 4.1,
    "pelvis": 14.7,
    "arm": 2.3,
    "forearm": 1.4,
    "hand": 0.5,
    "thigh": 14.6,
    "shank": 4.5,
    "foot": 1.0,
}
SEGMENT_PERCENT: Mapping[Sex, Mapping[str, float]] = {
    "male": _MALE,
    "female": _FEMALE,
    "neutral": {name: (value + _FEMALE[name]) / 2 for name, value in _MALE.items()},
}
"""Percent of body mass per segment (limbs: one side), D18; neutral is the mean of both. Sums are 100.2 and 100.4."""

_LIMBS: dict[str, tuple[str, ...]] = {
    "arm": ("humerus",),
    "forearm": ("ulna", "radius"),
    "hand": ("hand",),
    "thigh": ("femur",),
    "shank": ("tibia",),
    "foot": ("talus", "calcn", "toes"),
}


def segment_bodies() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Segment (with its side) -> (key of ``SEGMENT_PERCENT``, bodies that share its mass)."""
    segments: dict[str, tuple[str, tuple[str, ...]]] = {
        "head": ("head", ("head",)),
        "thorax": ("thorax", ("thorax", "scapula_r", "scapula_l")),
        "lumbar_body": ("lumbar_body", ("lumbar_body",)),
        "pelvis": ("pelvis", ("pelvis",)),
    }
    for side in "rl":
        for name, bodies in _LIMBS.items():
            segments[f"{name}_{side}"] = (name, tuple(f"{body}_{side}" for body in bodies))
    return segments


def scaled_masses(t_pose: TPose, factors: Mapping[str, Triple], mass_kg: float, sex: Sex) -> dict[str, OsimBody]:
    """Mass properties of a person.

    Each segment gets its share of the mass, shares normalised to a sum of 1; bodies of one segment divide it as in the
    generic model. The second moments of the mass about its centre scale with mass and with the square of the factor
    along each axis, so that every inertia tensor of a valid generic model stays valid.

    Args:
        t_pose: of the person.
        factors: body -> scale along its x, y, z axes.
        mass_kg: of the whole person.
        sex: whose fractions.

    Returns:
        Body name -> its mass properties; the masses sum to ``mass_kg``.
    """
    percent = SEGMENT_PERCENT[sex]
    segments = segment_bodies()
    total = sum(percent[key] for key, _ in segments.values())
    made = {}
    for key, bodies in segments.values():
        generic = [t_pose.generic.bodies[name] for name in bodies]
        together = sum(body.mass_kg for body in generic)
        for body in generic:
            mass = mass_kg * percent[key] / total * body.mass_kg / together
            made[body.name] = _scaled_body(t_pose, body, factors[body.name], mass)
    return made


def _scaled_body(t_pose: TPose, body: OsimBody, factors: Triple, mass_kg: float) -> OsimBody:
    """Move a generic body's origin, turn its axes, scale it along them and give it another mass."""
    scale, alignment = np.array(factors), t_pose.alignment(body.name)
    turned = alignment @ second_moments(body.inertia_kg_m2) @ alignment.T
    moments = turned * np.outer(scale, scale) * (mass_kg / body.mass_kg)
    tensor = np.trace(moments) * np.eye(3) - moments
    inertia = tuple(float(tensor[i, j]) for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)))
    return OsimBody(body.name, mass_kg, triple(scale * t_pose.from_generic_m(body.name, body.com_m)), inertia)


def second_moments(inertia_kg_m2: tuple[float, ...]) -> FloatArray:
    """(3, 3) integral of x x^T dm of an inertia tensor; the tensor is physical where this is positive semidefinite."""
    xx, yy, zz, xy, xz, yz = inertia_kg_m2
    tensor = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    return np.asarray(np.trace(tensor) / 2 * np.eye(3) - tensor)
