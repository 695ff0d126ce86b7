"""Masses, centres and inertias of a person's segments.

Source:
    Fractions of body mass: Dumas and Wojtusch 2018, Handbook of Human Motion, as listed in ``osim_models/bsm_facts.yaml``
    under D18. Inertia follows the generic model's: mass times length squared along each axis.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..types import FloatArray, Sex
from .document import OsimDocument
from .parts import OsimBody, Triple

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


def scaled_masses(
    generic: OsimDocument,
    factors: Mapping[str, Triple],
    mass_kg: float,
    sex: Sex,
    origin_shifts_m: Mapping[str, FloatArray],
    alignments: Mapping[str, FloatArray],
) -> dict[str, OsimBody]:
    """Mass properties of a person.

    Each segment gets its share of the mass (shares are brought to a sum of 1); bodies of one segment share it as in the
    generic model. The second moments of the mass about the centre scale with mass and with the square of the factor
    along each axis, so that every inertia tensor of a valid generic model stays valid.

    Args:
        generic: the model with the generic bodies.
        factors: body -> scale along its x, y, z axes.
        mass_kg: of the whole person.
        sex: whose fractions.
        origin_shifts_m: body -> (3,) place of the person's body origin in the generic body.
        alignments: body -> (3, 3) turn from the generic body's axes to the person's.

    Returns:
        Body name -> its mass properties; the masses sum to ``mass_kg``.
    """
    percent = SEGMENT_PERCENT[sex]
    segments = segment_bodies()
    total = sum(percent[key] for key, _ in segments.values())
    made = {}
    for key, bodies in segments.values():
        together = sum(generic.bodies[name].mass_kg for name in bodies)
        for name in bodies:
            body = generic.bodies[name]
            mass = mass_kg * percent[key] / total * body.mass_kg / together
            made[name] = scaled_body(body, factors[name], mass, origin_shifts_m[name], alignments[name])
    return made


def scaled_body(body: OsimBody, factors: Triple, mass_kg: float, origin_shift_m: FloatArray, alignment: FloatArray) -> OsimBody:
    """A body of another mass: its origin moved, its axes turned, then stretched along them."""
    s = np.array(factors)
    com = s * (alignment @ (np.array(body.com_m) - origin_shift_m))
    turned = alignment @ second_moments(body.inertia_kg_m2) @ alignment.T
    moments = turned * np.outer(s, s) * (mass_kg / body.mass_kg)
    tensor = np.trace(moments) * np.eye(3) - moments
    inertia = (tensor[0, 0], tensor[1, 1], tensor[2, 2], tensor[0, 1], tensor[0, 2], tensor[1, 2])
    return OsimBody(body.name, mass_kg, _triple(com), tuple(float(v) for v in inertia))  # type: ignore[arg-type]


def second_moments(inertia_kg_m2: tuple[float, ...]) -> np.ndarray:
    """Integral of x x^T dm (3, 3) of an inertia tensor; a tensor is physical where this is positive semidefinite."""
    xx, yy, zz, xy, xz, yz = inertia_kg_m2
    tensor = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    return np.asarray(np.trace(tensor) / 2 * np.eye(3) - tensor)


def _triple(values: np.ndarray) -> Triple:
    return float(values[0]), float(values[1]), float(values[2])
