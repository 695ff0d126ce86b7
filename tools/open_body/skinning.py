"""Skinning weights of the 24 bodies, from the rig's 163 bones."""

from __future__ import annotations

import numpy as np
from assets import Floats, Mesh
from betas import MIRROR_JOINT
from tpose import part_of_bone

_TRUNK = {
    "root": {"pelvis": 1.0},
    "pelvis": {"pelvis": 1.0},
    "spine05": {"pelvis": 1.0},
    "spine04": {"pelvis": 0.4, "lumbar_body": 0.6},
    "spine03": {"lumbar_body": 0.85, "thorax": 0.15},
    "spine02": {"lumbar_body": 0.25, "thorax": 0.75},
    "spine01": {"thorax": 1.0},
    "breast": {"thorax": 1.0},
    "neck01": {"head": 0.3, "thorax": 0.7},
    "neck02": {"head": 0.6, "thorax": 0.4},
    "neck03": {"head": 0.9, "thorax": 0.1},
    "clavicle": {"thorax": 0.5, "scapula": 0.5},
    "shoulder01": {"scapula": 1.0},
}
MAX_BODIES = 6


def _share(bone: str) -> dict[str, float]:
    name = bone.split(".", maxsplit=1)[0]
    part = part_of_bone(bone)
    if part == "trunk":
        return _TRUNK.get(name, {"head": 1.0})
    if name.startswith("toe"):
        return {"toes": 1.0}
    return {
        {"upperarm": "humerus", "forearm": "forearm", "hand": "hand", "thigh": "femur", "shank": "tibia", "foot": "calcn"}[
            part
        ]: 1.0
    }


def skin_weights(mesh: Mesh, points: Floats, joints: Floats, names: tuple[str, ...]) -> Floats:
    """(V, 24) weights of the skin; rows sum to 1, at most six bodies a vertex, left and right exact mirrors.

    Args:
        mesh: with the rig's weights.
        points: (N, 3) mean body in the T pose.
        joints: (24, 3) its joints.
        names: the 24 bodies.
    """
    out = np.zeros((mesh.skin_count, len(names)))
    wrist, elbow = joints[names.index("hand_l"), 0], joints[names.index("ulna_l"), 0]
    ankle = joints[names.index("talus_l")]
    knee = joints[names.index("tibia_l")]
    for bone, (on_mesh, of_mesh) in mesh.bone_weights.items():
        inside = on_mesh < mesh.skin_count
        vertices, values = on_mesh[inside], of_mesh[inside]
        side = "_" + bone[-1].lower() if bone[-2:] in (".L", ".R") else ""
        for body, share in _share(bone).items():
            if body == "forearm":
                turn = np.clip((np.abs(points[vertices, 0]) - elbow) / (wrist - elbow), 0, 1)
                out[vertices, names.index("radius" + side)] += values * turn
                out[vertices, names.index("ulna" + side)] += values * (1 - turn)
            elif body == "calcn":
                above = np.clip((points[vertices, 1] - ankle[1]) / (0.12 * (knee[1] - ankle[1])) + 0.5, 0, 1)
                out[vertices, names.index("talus" + side)] += values * 0.6 * above
                out[vertices, names.index("calcn" + side)] += values * (1 - 0.6 * above)
            else:
                name = body if body in names else body + side
                out[vertices, names.index(name)] += values * share
    out[out.sum(axis=1) == 0, names.index("head")] = 1
    mirror = mesh.mirror[: mesh.skin_count]
    out = (out + out[mirror][:, MIRROR_JOINT]) / 2
    least = np.sort(out, axis=1)[:, -MAX_BODIES]
    out[out < np.maximum(least, 0.004)[:, None]] = 0
    return out / out.sum(axis=1, keepdims=True)
