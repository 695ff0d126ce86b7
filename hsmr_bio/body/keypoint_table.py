"""The shipped table of keypoint sets, and what a body adds to it."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import yaml

from hsmr_bio.errors import InputError
from hsmr_bio.skeleton import JOINT_NAMES

from .data_model import BodyData, Keypoint

Mix = tuple[str, tuple[int, ...]]
"""Name of a point, and the parts that it is the mean of."""


def keypoint_sets() -> tuple[str, ...]:
    """Names of the shipped sets."""
    return tuple(name for name in _table() if name != "version")


def keypoints_of(data: BodyData, set_name: str) -> tuple[list[Keypoint], list[Mix]]:
    """The parts of a set on a body, and how the set's points are made of them.

    Args:
        data: a body; a set of its own (``data.keypoints``) goes before the shipped one of that name.
        set_name: of the set.

    Raises:
        InputError: neither the body nor the table has such a set.
    """
    if set_name in data.keypoints:
        points = list(data.keypoints[set_name])
        return points, [(point.name, (index,)) for index, point in enumerate(points)]
    table = _table()
    if set_name not in table or set_name == "version":
        known = sorted({*keypoint_sets(), *data.keypoints})
        raise InputError(f"unknown keypoint set {set_name!r}; known are {', '.join(known)}")
    entry = table[set_name]
    if isinstance(entry, list):
        points = [_keypoint(item, entry, data.topology) for item in entry]
        return points, [(point.name, (index,)) for index, point in enumerate(points)]
    parts, mix = keypoints_of(data, entry["of"])
    if "first" in entry:
        return parts[: entry["first"]], mix[: entry["first"]]
    index = {part.name: i for i, part in enumerate(parts)}
    return parts, [(point["name"], tuple(index[name] for name in point["mean"])) for point in entry["points"]]


@cache
def _table() -> dict[str, Any]:
    text = resources.files("hsmr_bio.body").joinpath("data/keypoints.yaml").read_text("utf-8")
    table: dict[str, Any] = yaml.safe_load(text)
    return table


def _keypoint(item: dict[str, Any], entries: list[dict[str, Any]], topology: str) -> Keypoint:
    origin = item
    if "mirror_of" in item:
        origin = next(entry for entry in entries if entry["name"] == item["mirror_of"])
    mirrored = origin is not item
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
