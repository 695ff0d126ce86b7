"""Skeletons with the bone names of animation programs: bones without a counterpart are merged into their parents.

Source:
    Names of Mixamo's rig and of SMPL's joints (Loper et al. 2015), as facts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np

from hsmr_bio.errors import InputError
from hsmr_bio.option_checks import check_choice

from .animation import Animation, from_world

BoneNames = Literal["own", "mixamo", "smpl"]
BONE_NAMES: tuple[str, ...] = get_args(BoneNames)
_SIDES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "mixamo": {
        "femur": ("LeftUpLeg", "RightUpLeg"),
        "tibia": ("LeftLeg", "RightLeg"),
        "talus": ("LeftFoot", "RightFoot"),
        "toes": ("LeftToeBase", "RightToeBase"),
        "scapula": ("LeftShoulder", "RightShoulder"),
        "humerus": ("LeftArm", "RightArm"),
        "ulna": ("LeftForeArm", "RightForeArm"),
        "hand": ("LeftHand", "RightHand"),
    },
    "smpl": {
        "femur": ("L_Hip", "R_Hip"),
        "tibia": ("L_Knee", "R_Knee"),
        "talus": ("L_Ankle", "R_Ankle"),
        "toes": ("L_Foot", "R_Foot"),
        "scapula": ("L_Collar", "R_Collar"),
        "humerus": ("L_Shoulder", "R_Shoulder"),
        "ulna": ("L_Elbow", "R_Elbow"),
        "hand": ("L_Wrist", "R_Wrist"),
    },
}
_MIDDLE: Mapping[str, Mapping[str, str]] = {
    "mixamo": {"pelvis": "Hips", "lumbar_body": "Spine", "thorax": "Spine2", "torso": "Spine2", "head": "Head"},
    "smpl": {"pelvis": "Pelvis", "lumbar_body": "Spine1", "thorax": "Spine3", "torso": "Spine3", "head": "Head"},
}
_TURNS_WITH = {"talus_r": "calcn_r", "talus_l": "calcn_l"}
"""Bone -> bone whose turn it takes: the foot of these rigs begins at the ankle and turns as the heel does."""
_PREFIX = {"mixamo": "mixamorig:", "smpl": ""}


def named(animation: Animation, names: BoneNames) -> tuple[Animation, tuple[str, ...]]:
    """Rename the bones of an animation, and merge those without a counterpart.

    Args:
        animation: with our names of bones, or those of BSM.
        names: whose names; ``own``: unchanged.

    Returns:
        The animation, joints and turns in the world as before; and what it does not hold.

    Raises:
        InputError: an unknown set of names, or not one bone of a person among them.
    """
    check_choice("bone_names (--bone-names)", names, BONE_NAMES)
    if names == "own":
        return animation, ()
    table = _table(names)
    kept = [index for index, bone in enumerate(animation.names) if bone in table]
    if animation.names[0] not in table:
        raise InputError(f"--bone-names {names}: the root bone is {animation.names[0]!r}; pelvis is expected")
    merged = [bone for index, bone in enumerate(animation.names) if index not in kept]
    positions, turns = animation.world()
    for bone, other in _TURNS_WITH.items():
        if bone in animation.names and other in animation.names:
            turns[:, animation.names.index(bone)] = turns[:, animation.names.index(other)]
    parents = tuple(_kept_parent(animation, index, kept) for index in kept)
    result = from_world(
        animation.time_s,
        tuple(_PREFIX[names] + table[animation.names[index]] for index in kept),
        parents,
        rest_m=animation.rest_m[kept],
        rest_rotations=np.broadcast_to(np.eye(3), (len(kept), 3, 3)),
        positions_m=positions[:, kept],
        rotations=turns[:, kept],
    )
    return result, (f"bones without a counterpart: {', '.join(merged)}",) if merged else ()


def _table(names: str) -> dict[str, str]:
    sides = {f"{bone}_{side}": word for bone, words in _SIDES[names].items() for side, word in zip("lr", words, strict=True)}
    return {**_MIDDLE[names], **sides}


def _kept_parent(animation: Animation, index: int, kept: list[int]) -> int:
    """Place among the kept bones of the nearest ancestor that is kept; -1 for the root."""
    parent = animation.parents[index]
    while parent >= 0 and parent not in kept:
        parent = animation.parents[parent]
    return kept.index(parent) if parent >= 0 else -1
