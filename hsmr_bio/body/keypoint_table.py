"""Keypoint sets on a body: of the shipped table, of the body, or of an estimator."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import yaml

from hsmr_bio.errors import InputError
from hsmr_bio.option_checks import check_choice
from hsmr_bio.skeleton import JOINT_NAMES
from hsmr_bio.types import FloatArray, KeypointPlace, KeypointSet

from .data_model import BodyData, Keypoint
from .forward import rest_joints

Mix = tuple[str, tuple[int, ...]]
"""Name of a point, and the parts whose mean it is."""
LANDMARK_OF_JOINT = {"femur": "hip", "tibia": "knee", "talus": "ankle", "humerus": "shoulder", "ulna": "elbow", "hand": "wrist"}
"""Joint, without its side -> name of a landmark there in the shipped sets."""
AT_JOINT = 0.03
"""Largest distance of a landmark from its joint, in statures: detectors' hips and shoulders are within 0.02."""


def keypoint_sets() -> tuple[str, ...]:
    """Names of the shipped sets."""
    return tuple(name for name in _table() if name != "version")


def point_names(name: str) -> tuple[str, ...]:
    """Names of the points of a shipped set, in order.

    Raises:
        InputError: there is no such set.
    """
    check_choice("keypoint set", name, keypoint_sets())
    entry = _table()[name]
    if isinstance(entry, list):
        return tuple(item["name"] for item in entry)
    if "first" in entry:
        return point_names(entry["of"])[: entry["first"]]
    return tuple(name for name, _ in _means(entry["points"]))


def keypoints_of(data: BodyData, wanted: str | KeypointSet) -> tuple[list[Keypoint], list[Mix]]:
    """Parts of a keypoint set on a body, and the points as means of parts.

    Args:
        data: a body; its own set (``data.keypoints``) takes precedence over the shipped one of that name.
        wanted: name of a set, or an estimator's own set. The fit knows landmarks by the names of the shipped sets
            (``left_hip`` ...): a point of an own set at a joint gets their name for it.

    Returns:
        The parts, and a mix of parts for each point of the set.

    Raises:
        InputError: neither the body nor the table has such a set; or a point names no joint, bone or vertex of the body.
    """
    if isinstance(wanted, KeypointSet):
        return _unmixed(_own_points(data, wanted))
    if wanted in data.keypoints:
        return _unmixed(list(data.keypoints[wanted]))
    if wanted not in keypoint_sets():
        known = sorted({*keypoint_sets(), *data.keypoints})
        raise InputError(f"unknown keypoint set {wanted!r}; known are {', '.join(known)}")
    entry = _table()[wanted]
    if isinstance(entry, list):
        return _unmixed([_keypoint(item, entry, data.topology) for item in entry])
    parts, mix = keypoints_of(data, entry["of"])
    if "first" in entry:
        return parts[: entry["first"]], mix[: entry["first"]]
    own = entry.get("parts", [])
    parts = [*parts, *(_keypoint(item, own, data.topology) for item in own)]
    index = {part.name: i for i, part in enumerate(parts)}
    return parts, [(name, tuple(index[part] for part in mean)) for name, mean in _means(entry["points"])]


def _means(points: list[str | dict[str, list[str]]]) -> list[tuple[str, list[str]]]:
    """Each point's name and the parts whose mean it is: a name alone is the part of that name."""
    return [(point, [point]) if isinstance(point, str) else next(iter(point.items())) for point in points]


def _unmixed(points: list[Keypoint]) -> tuple[list[Keypoint], list[Mix]]:
    return points, [(point.name, (index,)) for index, point in enumerate(points)]


def _own_points(data: BodyData, own: KeypointSet) -> list[Keypoint]:
    joints, (stature_m, _) = rest_joints(data)[0], data.stature_line
    points = [_own_point(data, place, joints, stature_m) for place in own.points]
    rest = np.array([joints[point.joint] + stature_m * np.array(point.offset_over_stature) for point in points])
    names = [point.name for point in points]
    for side, letter in (("left", "l"), ("right", "r")):
        for bone, landmark in LANDMARK_OF_JOINT.items():
            distance_m = np.linalg.norm(rest - joints[JOINT_NAMES.index(f"{bone}_{letter}")], axis=1)
            if distance_m.min() < AT_JOINT * stature_m:
                names[int(distance_m.argmin())] = f"{side}_{landmark}"
    return [replace(point, name=name) for point, name in zip(points, names, strict=True)]


def _own_point(data: BodyData, place: KeypointPlace, joints: FloatArray, stature_m: float) -> Keypoint:
    """A place as a point fixed to a bone; a point on the skin is taken from the mean body."""
    for name in (place.joint, place.bone):
        if name and name not in JOINT_NAMES:
            raise InputError(f"keypoint {place.name!r}: there is no joint or bone {name!r}; known are {', '.join(JOINT_NAMES)}")
    if any(not 0 <= vertex < len(data.skin_template_m) for vertex in place.vertices):
        raise InputError(f"keypoint {place.name!r}: the skin of {data.name} has vertices 0 to {len(data.skin_template_m) - 1}")
    weights = np.array(place.weights or [1 / max(len(place.vertices), 1)] * len(place.vertices))
    offset, bone = place.offset_over_stature, place.bone or place.joint
    if place.vertices:
        vertices = list(place.vertices)
        share = np.asarray(weights @ data.skin_weights[vertices].toarray())
        bone = place.bone or JOINT_NAMES[int(share.argmax())]
        x, y, z = (weights @ data.skin_template_m[vertices] - joints[JOINT_NAMES.index(bone)]) / stature_m
        offset = float(x), float(y), float(z)
    return Keypoint(
        name=place.name,
        body=JOINT_NAMES.index(bone),
        joint=JOINT_NAMES.index(place.joint or bone),
        offset_over_stature=offset,
        sigma_2d_m=place.sigma_m,
        vertices=place.vertices,
        weights=tuple(float(weight) for weight in weights),
    )


@cache
def _table() -> dict[str, Any]:
    text = resources.files("hsmr_bio.body").joinpath("data/keypoints.yaml").read_text("utf-8")
    table: dict[str, Any] = yaml.safe_load(text)
    return table


def _keypoint(item: dict[str, Any], entries: list[dict[str, Any]], topology: str) -> Keypoint:
    mirrored = "mirror_of" in item
    origin = next(entry for entry in entries if entry["name"] == item["mirror_of"]) if mirrored else item
    x, y, z = origin["offset"]
    vertex = item.get("smpl") if topology == "smpl" else None
    return Keypoint(
        name=item["name"],
        body=JOINT_NAMES.index(_side(origin["body"], mirrored)),
        joint=JOINT_NAMES.index(_side(origin["joint"], mirrored)),
        offset_over_stature=(-x if mirrored else x, y, z),
        sigma_2d_m=origin["sigma"][0],
        vertices=() if vertex is None else (vertex,),
        weights=() if vertex is None else (1.0,),
    )


def _side(name: str, mirrored: bool) -> str:
    return name[:-2] + "_r" if mirrored and name.endswith("_l") else name
