"""Keypoints, landmarks and bone-scaling pairs of the open body from ``landmarks.yaml``, as plain JSON values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

TABLE = yaml.safe_load((Path(__file__).parent / "landmarks.yaml").read_text("utf-8"))


def _other(name: str) -> str:
    return name[:-2] + "_r" if name.endswith("_l") else name


def blazepose33(names: tuple[str, ...], mirror: np.ndarray) -> list[dict[str, Any]]:
    """The 33 keypoints: bone, joint, offset over stature, sigmas in metres, vertices and weights."""
    by_name = {item["name"]: item for item in TABLE["blazepose33"]}
    out = []
    for item in TABLE["blazepose33"]:
        origin = by_name[item.get("mirror_of", item["name"])]
        mirrored = origin is not item
        offset = list(origin["offset_over_stature"])
        vertices, weights = list(origin["hm08"]), list(origin["w"])
        if mirrored:
            offset[0] = -offset[0]
            vertices = [int(mirror[v]) for v in vertices]
        if origin.get("symmetrise"):
            vertices, weights = vertices + [int(mirror[v]) for v in vertices], [w / 2 for w in weights] * 2
        total = sum(weights)
        side = _other if mirrored else str
        out.append(
            {
                "name": item["name"],
                "body": names.index(side(origin["body"])),
                "joint": names.index(side(origin["joint"])),
                "offset_over_stature": offset,
                "sigma_2d_m": origin["sigma_2d_mm"] / 1000,
                "sigma_z_m": origin["sigma_z_mm"] / 1000,
                "vertices": vertices,
                "weights": [round(w / total, 6) for w in weights],
            }
        )
    return out


def anatomical(mirror: np.ndarray) -> dict[str, int]:
    """Landmark name -> skin vertex, both sides."""
    out = {}
    for name, item in TABLE["anatomical"].items():
        out[name] = int(item["hm08"])
        if name.startswith("L"):
            out["R" + name[1:]] = int(mirror[item["hm08"]])
    return out


def scale_pairs(names: tuple[str, ...], marks: dict[str, int], extra: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Bone-scaling pairs: the table's, their mirrors, and ``extra`` ones (same keys)."""
    out = []
    for item in [*TABLE["bone_scaling_pairs"], *extra]:
        pairs = [item["pair"]] + ([item["other_pair"]] if "other_pair" in item else [])
        bodies = [item["body"]]
        if item["body"].endswith("_l") and not any(o["body"] == _other(item["body"]) for o in TABLE["bone_scaling_pairs"]):
            bodies.append(_other(item["body"]))
        for body in bodies:
            swap = body != item["body"]
            vertices = [[marks[_swap(n) if swap else n] for n in pair] for pair in pairs]
            out.append(
                {
                    "bone": names.index(body),
                    "bone_axis": int(item["bone_axis"]),
                    "rest_axis": int(item["rest_axis"]),
                    "vertex_pairs": vertices,
                }
            )
    return out


def _swap(name: str) -> str:
    return {"L": "R", "R": "L"}[name[0]] + name[1:] if name[:2] in ("L_", "R_") else name
