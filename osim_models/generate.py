"""Writes ``bsm.osim`` from ``bsm_facts.yaml``: ``python -m hsmr_bio.osim_models.generate [FILE]``.

The bytes of the result depend on the table alone.

Source:
    Formulas of nimblephysics' ConstantCurvatureJoint and EllipsoidJoint (Werling 2022), which BSM (Keller et al. 2023)
    uses; the ellipsoid: Seth et al. 2016, PLoS ONE 11:e0141028.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from math import cos, pi, radians, sin
from pathlib import Path
from typing import Any

import yaml

from hsmr_bio.osim.arcs import arc_remainder
from hsmr_bio.osim.build import (
    AxisSpec,
    CoordinateSpec,
    JointSpec,
    linear,
    model_element,
    multivariate,
    polynomial,
    sine,
    to_bytes,
)
from hsmr_bio.osim.parts import OsimBody, OsimMarker, triple
from hsmr_bio.osim.polynomial_fit import Interval, fit_polynomial

FOLDER = Path(__file__).resolve().parent
"""The folder of this module, with the table."""
_ARC_ORDER = 8
"""Total degree for the arcs: error 0.008 mm over the ranges of BSM, with the pivot in the middle of the arc."""
_ELLIPSOID_ORDER = 6
"""Total degree for the ellipsoid: error below 0.001 mm over the ranges."""
_FIT_MARGIN_RAD = 0.15
"""Polynomials are fitted this far beyond the range of a coordinate; chosen."""
_UNIT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_MIDLINE = ("pelvis", "lumbar_body", "thorax", "head")
_BODY_ORDER = (
    "pelvis",
    *(f"{b}_{s}" for s in "rl" for b in ("femur", "tibia", "talus", "calcn", "toes")),
    *("lumbar_body", "thorax", "head"),
    *(f"{b}_{s}" for s in "rl" for b in ("scapula", "humerus", "ulna", "radius", "hand")),
)
_JOINT_ORDER = (
    "ground_pelvis",
    *(f"{j}_{s}" for s in "rl" for j in ("hip", "walker_knee", "ankle", "subtalar", "mtp")),
    *("lumbar", "thoracic_spine", "neck"),
    *(f"{j}_{s}" for s in "rl" for j in ("scapulothoracic", "GlenoHumeral", "elbow", "radioulnar", "wrist")),
)
_TITLE = "Biomechanical skeleton model for hsmr_bio, generated from bsm_facts.yaml (MIT licence)"
_CITE = (
    "Legs and masses: Rajagopal et al. 2016. Shoulder: Seth et al. 2016, 2019. Spine, names: Keller et al. 2023 (BSM). "
    "Knee: Lai et al. 2017. Trunk masses: Dumas and Wojtusch 2018."
)
Table = Mapping[str, Any]
Offset = tuple[tuple[float, ...], tuple[float, ...]]


def _sided(name: str, side: str) -> str:
    """Name on one side: femur -> femur_l, shoulder_#_x -> shoulder_l_x; midline names are unchanged."""
    if not side or name in (*_MIDLINE, "ground"):
        return name
    return name.replace("#", side) if "#" in name else f"{name}_{side}"


def _sides(body: str) -> tuple[str, ...]:
    return ("",) if body in _MIDLINE else ("r", "l")


def _offset(fact: Table, side: str) -> Offset:
    """Offset frame on a side; the left one is the mirror image of the right one in the plane z = 0."""
    translation = tuple(fact.get("at", (0.0, 0.0, 0.0)))
    angles = tuple(fact.get("turned", (0.0, 0.0, 0.0)))
    if side != "l":
        return translation, angles
    return (translation[0], translation[1], -translation[2]), (-angles[0], -angles[1], angles[2])


def _rotate_half(offset: Offset) -> Offset:
    """Rotate an offset frame by 180 degrees about its own z axis (its body-fixed XYZ angles end with z)."""
    translation, (x, y, z) = offset
    return translation, (x, y, z + pi)


def _move_up(offset: Offset, distance_m: float) -> Offset:
    """Move an offset frame, which is rotated about z only, along its own y axis."""
    (x, y, z), angles = offset
    return (x - distance_m * sin(angles[2]), y + distance_m * cos(angles[2]), z), angles


def _range(fact: Table) -> tuple[float, float]:
    low, high = fact["range_rad"] if "range_rad" in fact else (radians(v) for v in fact["range"])
    return low, high


def _coordinate(table: Table, name: str, side: str) -> CoordinateSpec:
    fact = table["coordinates"][name]
    low, high = fact["range"] if name in ("pelvis_tx", "pelvis_ty", "pelvis_tz") else _range(fact)
    if side == "l" and fact.get("mirrored"):
        low, high = -high, -low
    limits = (round(low, 8), round(high, 8))
    return CoordinateSpec(_sided(name, side), limits, fact.get("default", 0.0), fact.get("clamped", False))


def _fit_range(table: Table, name: str) -> tuple[float, float]:
    """Range over which a polynomial must hold: the union of ours and the published BSM's."""
    fact = table["coordinates"][name]
    low, high = _range(fact)
    return min(low, fact["bsm_rad"][0]), max(high, fact["bsm_rad"][1])


def _axis(component: str, fact: Table, side: str, mirror: bool) -> AxisSpec:
    """One axis; mirrored, a rotation axis changes the sign of x and y, and a translation along z changes its sign."""
    axis = tuple(float(v) for v in fact["axis"])
    left = side == "l" and mirror
    sign = 1.0
    if left and component.startswith("rotation"):
        axis = (-axis[0], -axis[1], axis[2])
    elif left and axis[2]:
        sign = -1.0
    function = linear(sign * fact["slope"]) if "slope" in fact else polynomial([sign * c for c in fact["poly"]])
    return AxisSpec(component, axis, (_sided(fact["of"], side),), function)


def _widened(interval: Interval) -> Interval:
    return interval[0] - _FIT_MARGIN_RAD, interval[1] + _FIT_MARGIN_RAD


def _arc_axes(
    coordinates: Sequence[str], length_m: float, neutral_rad: Sequence[float], bending: Interval, extension: Interval
) -> tuple[AxisSpec, ...]:
    """Axes of a spine joint whose parent and child frames meet in the middle of the arc.

    Args:
        coordinates: names of bending (about x), extension (about z), twist (about y).
        length_m: of the arc; the caller moves the parent frame by +length/2 and the child frame by -length/2 along
            their own y.
        neutral_rad: angles at which the three coordinates are zero.
        bending: range of bending over which the polynomials must hold, rad.
        extension: range of extension, rad.

    Returns:
        Three rotations and three translations.
    """
    names = tuple(coordinates[:2])
    x, y, z = _UNIT
    rotations = zip((x, z, y), coordinates, neutral_rad, strict=True)
    axes = [AxisSpec(f"rotation{i + 1}", axis, (name,), linear(1.0, n)) for i, (axis, name, n) in enumerate(rotations)]
    for i, axis in enumerate(_UNIT):

        def remainder(b: float, e: float, i: int = i) -> float:
            return length_m * arc_remainder(b + neutral_rad[0], e + neutral_rad[1])[i]

        fitted = fit_polynomial(remainder, _widened(bending), _widened(extension), _ARC_ORDER)
        axes.append(AxisSpec(f"translation{i + 1}", axis, names, multivariate(fitted, _ARC_ORDER)))
    return tuple(axes)


def _ellipsoid_axes(
    coordinates: Sequence[str], radii_m: Sequence[float], abduction: Interval, elevation: Interval
) -> tuple[AxisSpec, ...]:
    """Axes of a scapulothoracic joint: R = Ry(a) R-x(e) Rz(u), t = (rx cos e sin a, ry sin e, rz cos e cos a).

    Args:
        coordinates: names of abduction a, elevation e, upward rotation u.
        radii_m: (rx, ry, rz); negative on the left side, whose frames are rotated by Rz(180).
        abduction: range of a, rad.
        elevation: range of e, rad.

    Returns:
        Three rotations and three translations.
    """
    names = tuple(coordinates[:2])
    domain = (_widened(abduction), _widened(elevation), _ELLIPSOID_ORDER)
    along_x = fit_polynomial(lambda a, e: radii_m[0] * cos(e) * sin(a), *domain)
    along_z = fit_polynomial(lambda a, e: radii_m[2] * cos(e) * cos(a), *domain)
    x, y, z = _UNIT
    return (
        AxisSpec("rotation1", y, (coordinates[0],), linear(1.0)),
        AxisSpec("rotation2", x, (coordinates[1],), linear(-1.0)),
        AxisSpec("rotation3", z, (coordinates[2],), linear(1.0)),
        AxisSpec("translation1", x, names, multivariate(along_x, _ELLIPSOID_ORDER)),
        AxisSpec("translation2", y, (coordinates[1],), sine(radii_m[1])),
        AxisSpec("translation3", z, names, multivariate(along_z, _ELLIPSOID_ORDER)),
    )


def _joint(table: Table, name: str, fact: Table, side: str) -> JointSpec:
    parent, child = (_offset(fact.get(end, {}), side) for end in ("parent", "child"))
    names = [_sided(c, side) for c in fact["coordinates"]]
    axes: tuple[AxisSpec, ...] = ()
    if fact["kind"] == "custom":
        mirror = fact.get("same_sign") != "axes"
        axes = tuple(_axis(component, line, side, mirror) for component, line in fact["axes"].items())
    elif fact["kind"] == "arc":
        fits = [_fit_range(table, c) for c in fact["coordinates"][:2]]
        axes = _arc_axes(names, fact["length"], fact["neutral"], *fits)
        parent, child = _move_up(parent, fact["length"] / 2), _move_up(child, -fact["length"] / 2)
    elif fact["kind"] == "ellipsoid":
        fits = [_fit_range(table, c) for c in fact["coordinates"][:2]]
        sign = -1.0 if side == "l" else 1.0
        axes = _ellipsoid_axes(names, [sign * r for r in fact["radii"]], *fits)
        if side == "l":
            parent, child = _rotate_half(parent), _rotate_half(child)
    return JointSpec(
        name=_sided(name, side),
        parent=_sided(fact["bodies"][0], side),
        child=_sided(fact["bodies"][1], side),
        coordinates=tuple(_coordinate(table, c, side) for c in fact["coordinates"]),
        axes=axes,
        kind="PinJoint" if fact["kind"] == "pin" else "CustomJoint",
        parent_offset=parent,
        child_offset=child,
    )


def _body(name: str, fact: Table, side: str) -> OsimBody:
    com, inertia = list(fact["com"]), list(fact["inertia"])
    if side == "l":
        com[2], inertia[4], inertia[5] = -com[2], -inertia[4], -inertia[5]
    return OsimBody(_sided(name, side), fact["mass"], triple(com), tuple(inertia))


def generate(table: Table) -> bytes:
    """Make the model file from the table of facts.

    Args:
        table: content of ``bsm_facts.yaml``.

    Returns:
        The bytes of ``bsm.osim``.
    """
    bodies = [_body(name, fact, side) for name, fact in table["bodies"].items() for side in _sides(name)]
    joints = [_joint(table, name, fact, side) for name, fact in table["joints"].items() for side in _sides(fact["bodies"][1])]
    return to_bytes(
        model_element(
            "bsm",
            sorted(bodies, key=lambda body: _BODY_ORDER.index(body.name)),
            sorted(joints, key=lambda joint: _JOINT_ORDER.index(joint.name)),
            [OsimMarker(name, body, triple(position)) for name, (body, *position, _) in table["markers"].items()],
            credits_text=_TITLE,
            publications=_CITE,
        )
    )


def main() -> int:
    """Write the model beside the table, or to the file named on the command line."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER / "bsm.osim"
    target.write_bytes(generate(yaml.safe_load((FOLDER / "bsm_facts.yaml").read_text(encoding="utf-8"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
