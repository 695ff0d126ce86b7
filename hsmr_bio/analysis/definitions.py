"""What each parameter is: unit, definition, source."""

from __future__ import annotations

from dataclasses import dataclass

_ZIFCHOCK = "Robinson 1987 (J Manipulative Physiol Ther 10:172)"
_HUXHAM = "Huxham 2006 (Gait Posture 23:159)"
_PERRY = "Perry and Burnfield 2010"


@dataclass(frozen=True)
class Definition:
    """One parameter."""

    unit: str
    text: str
    source: str = ""


def _d(unit: str, text: str, source: str = "") -> Definition:
    return Definition(unit, text, source)


DEFINITIONS: dict[str, Definition] = {
    # gait
    "speed": _d(
        "m/s", "stride length over stride time; where the clip shows no whole stride of places, way of the hips over it"
    ),
    "cadence": _d("steps/min", "120 over stride time"),
    "stride_length": _d(
        "m", "from one place of a foot to its next; the place is the mean heel while the foot is flat", _HUXHAM
    ),
    "stride_time": _d("s", "contact to next contact of the same foot; else off to next off"),
    "step_length": _d("m", "along the progression, from the other foot's place to that of the foot that lands", _HUXHAM),
    "step_time": _d("s", "contact of the other foot to contact of this foot"),
    "step_width": _d("m", "distance of a foot (origin of calcn) from the line through two places of the other", _HUXHAM),
    "stance": _d("%", "contact to off, of the stride time", _PERRY),
    "swing": _d("%", "off to next contact, of the stride time", _PERRY),
    "double_support": _d("%", "both double supports of the stride, of its time", _PERRY),
    "single_support": _d("%", "swing of the other foot, of the stride time", _PERRY),
    "walk_ratio": _d("mm/(steps/min)", "step length over cadence", "Murakami and Otaka 2017 (J Phys Ther Sci 29:1819)"),
    "toe_clearance": _d("m", "least height of the ball of the foot in mid swing above its resting height"),
    "foot_progression": _d("deg", "heel to ball against the progression while the foot is flat, toe out positive"),
    "foot_angle_at_contact": _d(
        "deg", "heel to ball against the floor at contact, less that of the flat foot; positive: heel first"
    ),
    "knee_flexion_loading_peak": _d("deg", "largest knee flexion in the first 30 % of the stride", _PERRY),
    "ankle_dorsiflexion_stance_peak": _d("deg", "largest dorsiflexion from 5 to 62 % of the stride", _PERRY),
    "trunk_lean_forward_mean": _d("deg", "hips to shoulders against the vertical, mean over the stride"),
    "trunk_lean_side_range": _d("deg", "range of the trunk's lean to the sides over the stride"),
    # squat
    "squats": _d("", "dips of the hips by a tenth of the leg and more"),
    "hip_drop": _d("m", "height of the hips at the start less that at the bottom"),
    "hip_drop_of_leg": _d("%", "hip drop over the length of the leg"),
    "down_time": _d("s", "start to bottom"),
    "up_time": _d("s", "bottom to end"),
    "peak_up_speed": _d("m/s", "largest upward speed of the hips"),
    "trunk_lean_at_bottom": _d("deg", "hips to shoulders against the vertical, forward positive, at the bottom"),
    "trunk_side_lean_at_bottom": _d("deg", "the same to the right"),
    "knee_flexion_at_bottom": _d("deg", "knee flexion at the bottom"),
    "hip_flexion_at_bottom": _d("deg", "hip flexion at the bottom"),
    "ankle_dorsiflexion_at_bottom": _d("deg", "ankle dorsiflexion at the bottom"),
    "thigh_angle_at_bottom": _d("deg", "thigh against the horizontal, hip above knee positive: parallel is 0"),
    "heel_lift": _d("m", "rise of the heel from start to bottom"),
    "knee_medial_distance": _d("cm", "distance of the knee from the line hip to ankle, inwards positive, at the bottom"),
    "knee_ankle_separation": _d("", "distance of the knees over that of the ankles at the bottom"),
    "pelvis_shift": _d("%", "shift of the hips to the right of the middle of the ankles, of their distance, at the bottom"),
    # sit to stand
    "rises": _d("", "rises of more than half the largest one", "30-s chair stand, Jones 1999 (Res Q Exerc Sport 70:113)"),
    "failed_rises": _d("", "rises of at most half the largest one"),
    "rise_time": _d(
        "s", "seat-off (hips 2 cm up or at 0.1 m/s) to their speed under 0.1 m/s", "Schenkman 1990 (Phys Ther 70:638)"
    ),
    "lower_time": _d("s", "hips sink at 0.1 m/s until they do so no more"),
    "rise_height": _d("m", "change of the hips' height while they rise at 0.1 m/s and more"),
    "trunk_lean_peak": _d("deg", "largest forward lean of the trunk from 1.5 s before seat-off to the end of the rise"),
    "trunk_lean_at_seat_off": _d("deg", "forward lean of the trunk at seat-off"),
    "ankle_behind_knee": _d("m", "horizontal distance of the ankle behind the knee at seat-off"),
    "arms_used": _d(
        "", "1 if a hand is within 10 cm of the thigh at seat-off and its elbow extends by 20 degrees; mean over rises"
    ),
    "five_stands_to_stand": _d("s", "first seat-off to the end of the fifth rise", "Bohannon 2012 names both ends"),
    "five_stands_to_seat": _d("s", "first seat-off to the fifth seat contact", "Bohannon 2012 names both ends"),
    # jump
    "flight_time": _d("s", "take-off to landing"),
    "jump_height_flight": _d("m", "g T^2 / 8 of the flight time", "Bosco 1983 (Eur J Appl Physiol 50:273)"),
    "jump_height_com": _d("m", "highest centre of mass less that at take-off"),
    "gravity_seen": _d("m/s2", "acceleration of the parabola through the centre of mass in the air: 9.81 if lengths are right"),
    "countermovement_depth": _d("m", "centre of mass at take-off less its lowest in the second before"),
    "contact_time": _d("s", "landing to the next take-off"),
    "reactive_strength": _d("m/s", "height by flight time over contact time"),
    "knee_flexion_at_landing": _d("deg", "knee flexion at landing"),
    "knee_flexion_after_landing": _d("deg", "largest knee flexion in the half second after landing"),
    "trunk_lean_after_landing": _d("deg", "largest forward lean of the trunk in the half second after landing"),
}
"""Parameters by name; those of every angle are made by :func:`definition_of`."""
_ENDINGS = {
    "_max": "largest value over the repetition",
    "_min": "least value over the repetition",
    "_range": "largest less least value over the repetition",
    "_at_contact": "value at foot contact",
}


def definition_of(name: str) -> Definition:
    """Look up a parameter.

    Args:
        name: of the parameter; also ``<angle>_max``, ``_min``, ``_range``, ``_at_contact``, and ``symmetry_`` or
            ``difference_`` before a name that has sides.

    Returns:
        Its unit, definition and source.
    """
    if name in DEFINITIONS:
        return DEFINITIONS[name]
    if name.startswith("symmetry_"):
        return Definition("%", f"(R - L) over their mean, of {name.removeprefix('symmetry_')}", _ZIFCHOCK)
    if name.startswith("difference_"):
        own = name.removeprefix("difference_")
        return Definition(definition_of(own).unit, f"right less left {own}")
    ending = next((ending for ending in _ENDINGS if name.endswith(ending)), "")
    return Definition("deg", f"{name.removesuffix(ending)}: {_ENDINGS.get(ending, 'angle')}")
