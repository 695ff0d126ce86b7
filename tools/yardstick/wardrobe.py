"""Clothes, hair and skin of a person: colours, patterns and thickness on the vertices of a coarse mesh."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from cameras import Array
from coarse_mesh import CoarseMesh
from raster import Floats
from scenery import noise_tile

from hsmr_bio.skeleton import JOINT_NAMES

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo"))
import render_demo

SKIN_TONES = ((0.92, 0.75, 0.65), (0.82, 0.62, 0.5), (0.68, 0.48, 0.36), (0.5, 0.34, 0.24), (0.33, 0.22, 0.16))
HAIR_TONES = ((0.1, 0.08, 0.07), (0.25, 0.16, 0.1), (0.5, 0.36, 0.2), (0.75, 0.62, 0.4), (0.6, 0.6, 0.6))
PATTERNS = {"plain": 0.5, "rings": 0.15, "stripes": 0.1, "checks": 0.1, "blotches": 0.15}
SLEEVES, LEGS = {"none": 0.15, "short": 0.5, "long": 0.35}, {"short": 0.3, "knee": 0.2, "long": 0.5}
_TEXTURE = 256
_TEXTURE_M = 0.5
"""Side of a pattern's tile."""
_SLEEVE_END = {"none": 0.02, "short": 0.55, "long": 1.95}
"""Where a sleeve ends: 0 shoulder, 1 elbow, 2 wrist."""
_LEG_END = {"short": 0.45, "knee": 1.1, "long": 1.93}
"""Where a trouser leg ends: 0 hip, 1 knee, 2 ankle."""
_TRUNK = ("pelvis", "lumbar_body", "thorax", "scapula_r", "scapula_l")


@dataclass(frozen=True, eq=False)
class Outfit:
    """What a person wears."""

    colours: Floats
    """(V, 3) in [0, 1]."""
    thickness_m: Array
    """(V,) on the skin."""
    texture: Floats
    """(3, 256, 256) brightness of skin, top and trousers."""
    layer: npt.NDArray[np.int32]
    """(V,) which texture."""
    places: Floats
    """(V, 2) in the texture, in its pixels."""


def outfit(mesh: CoarseMesh, rng: np.random.Generator) -> Outfit:
    """Dress a body at random."""
    rest = mesh.body.rest(np.zeros(10))
    points = rest.skin_m[mesh.vertices]
    drawn, bone = _features(mesh)
    joints = dict(zip(JOINT_NAMES, rest.joints_m, strict=True))
    top, trousers = _top(points, bone, joints, rng), _trousers(points, bone, joints, rng)
    feet = np.isin(bone, [f"{name}_{side}" for name in ("talus", "calcn", "toes") for side in "rl"]) & ~trousers
    hair = (drawn == render_demo._HAIR).all(axis=1)
    skin = SKIN_TONES[rng.integers(len(SKIN_TONES))] * rng.uniform(0.92, 1.06, 3)
    colours = np.tile(skin, (len(points), 1))
    for feature in (render_demo._LIPS, render_demo._WHITE, render_demo._IRIS):
        mine = (drawn == feature).all(axis=1)
        colours[mine] = np.array(feature) * (skin / SKIN_TONES[0] if feature == render_demo._LIPS else 1.0)
    bald = rng.uniform() < 0.12
    if not bald:
        colours[hair] = HAIR_TONES[rng.integers(len(HAIR_TONES))]
    colours[top], colours[trousers], colours[feet] = _cloth(rng), _cloth(rng), _cloth(rng)
    thickness = np.zeros(len(points))
    thickness[top], thickness[trousers], thickness[feet] = rng.uniform(0.002, 0.018), rng.uniform(0.002, 0.018), 0.005
    thickness[hair] = 0.0 if bald else rng.uniform(0.0, 0.03)
    layer = np.where(top, 1, np.where(trousers, 2, 0)).astype(np.int32)
    around = points[:, 0] + points[:, 2]  # across the front and along the sides
    places = np.stack([around, points[:, 1]], axis=1) / _TEXTURE_M * _TEXTURE
    textures = np.stack([_texture("blotches", 0.03, rng), *(_texture(_pick(PATTERNS, rng), 0.3, rng) for _ in range(2))])
    return Outfit(np.clip(colours, 0, 1).astype(np.float32), thickness, textures, layer, places.astype(np.float32))


@lru_cache(maxsize=4)
def _features(mesh: CoarseMesh) -> tuple[Array, npt.NDArray[np.str_]]:
    """Colours (V, 3) of the demo's person, by which face and hair are known, and the bone (V,) of each vertex."""
    bone = np.asarray(mesh.body.data.skin_weights.todense())[mesh.vertices].argmax(axis=1)
    return render_demo.clothes(mesh.body)[mesh.vertices], np.array(JOINT_NAMES)[bone]


def _pick(shares: dict[str, float], rng: np.random.Generator) -> str:
    return str(rng.choice(list(shares), p=list(shares.values())))


def _cloth(rng: np.random.Generator) -> Array:
    """A colour: grey in half of the cases."""
    grey = rng.uniform(0.05, 0.92)
    return np.asarray(np.clip(grey + (rng.uniform() < 0.5) * rng.uniform(-0.35, 0.35, 3), 0.03, 0.97))


def _top(
    points: Array, bone: npt.NDArray[np.str_], joints: dict[str, Array], rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    end = _SLEEVE_END[_pick(SLEEVES, rng)]
    shoulder, elbow, wrist = (abs(joints[f"{name}_r"][0]) for name in ("humerus", "ulna", "hand"))
    along = np.interp(np.abs(points[:, 0]), [shoulder, elbow, wrist], [0.0, 1.0, 2.0])
    arm = np.isin(bone, [f"{name}_{side}" for name in ("humerus", "ulna", "radius") for side in "rl"])
    collar = joints["thorax"][1] + rng.uniform(0.6, 1.0) * (joints["head"][1] - joints["thorax"][1])
    hem = joints["pelvis"][1] + rng.uniform(-0.08, 0.08)
    trunk = np.isin(bone, _TRUNK) & (points[:, 1] > hem) & (points[:, 1] < collar)
    return np.asarray((trunk | arm) & (along <= end) | (trunk & (along <= 0)))


def _trousers(
    points: Array, bone: npt.NDArray[np.str_], joints: dict[str, Array], rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    end = _LEG_END[_pick(LEGS, rng)]
    hip, knee, ankle = (joints[f"{name}_r"][1] for name in ("femur", "tibia", "talus"))
    along = np.interp(-points[:, 1], [-hip, -knee, -ankle], [0.0, 1.0, 2.0])
    legs = np.isin(bone, ["pelvis", "lumbar_body", *(f"{name}_{side}" for name in ("femur", "tibia") for side in "rl")])
    return np.asarray(legs & (points[:, 1] < joints["pelvis"][1] + 0.1) & (along < end))


def _texture(pattern: str, strength: float, rng: np.random.Generator) -> Floats:
    """(256, 256) brightness about 1, with folds."""
    u, v = np.meshgrid(np.arange(_TEXTURE), np.arange(_TEXTURE))
    width = int(rng.choice([8, 16, 32]))
    drawn = {
        "plain": np.zeros((_TEXTURE, _TEXTURE)),
        "rings": (v // width) % 2 - 0.5,
        "stripes": (u // width) % 2 - 0.5,
        "checks": ((u // width) % 2 + (v // width) % 2) / 2 - 0.5,
        "blotches": 0.5 * noise_tile(int(rng.integers(8)), 8.0),
    }[pattern]
    folds = 0.05 * noise_tile(int(rng.integers(8)), 5.0)
    return np.clip(1 + rng.uniform(0.3, 1.0) * strength * drawn + folds, 0.3, 1.5).astype(np.float32)
