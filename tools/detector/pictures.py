"""Pictures of the open body in everyday postures, seen by BlazePose: what ``train_depth.py`` learns from."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo"))
from render_demo import clothes
from renderer import Scene, View

from hsmr_bio.body.body import Body
from hsmr_bio.body.keypoint_table import keypoints_of
from hsmr_bio.body.load import load_body
from hsmr_bio.estimators.pose_networks import PoseNetworks
from hsmr_bio.estimators.regions import Region
from hsmr_bio.fitting.core.body_points import SEGMENTS
from hsmr_bio.fitting.video.bone_depth import DETECTOR_SET, DETECTOR_STATURE_M, mirror_image, mirrored
from hsmr_bio.osim.masses import SEGMENT_PERCENT
from hsmr_bio.skeleton import DOF_NAMES, JOINT_NAMES, LIMITS_RAD

Array = npt.NDArray[np.float64]
SIZE_PX = (432, 512)
_ARM = [("shoulder", "_x"), ("shoulder", "_y"), ("shoulder", "_z"), ("elbow_flexion", "")]
ARM_ANGLES = [f"{name}_{side}{axis}" for side in "rl" for name, axis in _ARM]
_BETA_SD = 0.8
_BALANCED = 0.7
"""Share of the pictures whose body could stand so."""
_TIPPED_RAD, _FURTHEST_LEAN_RAD, _FOOT_UP_M = np.radians(4.0), np.radians(75.0), 0.03
_WRONG_M = 0.09
"""Pictures whose landmarks are on average further off are left out: the detector saw something else."""


def posture(rng: np.random.Generator) -> tuple[Array, Array]:
    """(46,) angles of a body that stands, bows, squats, steps or balances, and its lean forward and sideways; radians."""
    degrees = _trunk(rng)
    lean = _legs(rng, degrees)
    alike = rng.uniform() < 0.4
    state = rng.bit_generator.state
    for side in "rl":
        if alike:  # both arms do the same, nearly
            rng.bit_generator.state = state
        _arm(rng, side, degrees)
    for name in ARM_ANGLES:
        degrees[name] += rng.normal(0, 6)
    for name, share in (("lumbar_extension", 0.2), ("thorax_extension", 0.15)):
        degrees[name] -= share * lean
    angles = np.radians([degrees.get(name, 0.0) for name in DOF_NAMES])
    low, high = np.sort(LIMITS_RAD, axis=1).T
    clipped = np.where(np.isnan(low), angles, np.clip(angles, low, high))
    sideways = rng.normal(0, rng.choice([2, 10, 20]))
    return clipped, np.radians([0.65 * lean + rng.normal(0, 5), sideways])


def balanced(joints_m: Array, lean_rad: Array) -> Array:
    """The lean forward and sideways, from a first guess, that puts the centre of mass over the lower foot or both feet."""
    at = {name: joints_m[j] for j, name in enumerate(JOINT_NAMES)}
    shares = np.array([SEGMENT_PERCENT["male"][row] for _, _, _, row in SEGMENTS])
    middles = np.array([at[bone] + way * (at[far] - at[bone]) for bone, far, way, _ in SEGMENTS])
    centre = shares @ middles / shares.sum()
    feet = np.array([(at[f"talus_{side}"] + at[f"toes_{side}"]) / 2 for side in "rl"])
    lean, sideways = lean_rad
    for _ in range(6):
        turn = Rotation.from_euler("XZ", [lean, sideways]).as_matrix()
        placed, soles = turn @ centre, feet @ turn.T
        weight = np.exp(-(soles[:, 1] - soles[:, 1].min()) / _FOOT_UP_M)
        off = placed - weight @ soles / weight.sum()
        lean, sideways = lean - 0.7 * np.arctan2(off[2], off[1]), sideways + 0.7 * np.arctan2(off[0], off[1])
    return np.clip([lean, sideways], -_FURTHEST_LEAN_RAD, _FURTHEST_LEAN_RAD)


def _trunk(rng: np.random.Generator) -> dict[str, float]:
    wide = 1.0 if rng.uniform() < 0.6 else 2.2
    spreads = {"bending": 6.0 * wide, "extension": 6.0, "twist": 6.0 * wide}
    degrees = {f"{part}_{name}": rng.normal(0, sd) for part in ("lumbar", "thorax") for name, sd in spreads.items()}
    return degrees | {"head_bending": rng.normal(0, 6), "head_extension": rng.normal(0, 10), "head_twist": rng.normal(0, 12)}


def _legs(rng: np.random.Generator, degrees: dict[str, float]) -> float:
    """Fill in the legs; returns the forward lean of the pelvis in degrees."""
    kind, lean = rng.choice(["stand", "bow", "squat", "squat", "step", "step", "stride", "one leg", "one leg"]), 0.0
    depth, raised, bow = rng.uniform(), rng.choice(["r", "l"]), rng.uniform(0, 70)
    wide = rng.choice([8, 16])
    for side in "rl":
        if kind == "stand":
            leg = rng.normal(0, 6), abs(rng.normal(0, 8)), rng.normal(0, 6)
        elif kind == "bow":
            leg, lean = (bow + rng.normal(0, 6), abs(rng.normal(0, 15)), rng.normal(0, 6)), bow
        elif kind == "squat":
            leg = 100 * depth + rng.normal(0, 8), max(0, 115 * depth + rng.normal(0, 6)), 33 * depth + rng.normal(0, 5)
            lean = depth * bow
        elif kind == "step":
            leg = rng.uniform(-20, 65), rng.uniform(0, 100) * rng.uniform(), rng.uniform(-20, 25)
            lean = rng.uniform(-8, 25)
        elif kind == "stride":
            leg, lean = (rng.uniform(-30, 100), rng.uniform(0, 120), rng.uniform(-30, 30)), rng.uniform(0, 40)
        elif side == raised:
            leg = rng.uniform(-30, 95), rng.uniform(0, 110), rng.uniform(-30, 15)
        else:
            leg, lean = (rng.uniform(-5, 60), rng.uniform(0, 75), rng.uniform(-5, 30)), rng.uniform(-10, 35)
        names = ("hip_flexion", "knee_angle", "ankle_angle")
        degrees |= {f"{name}_{side}": value for name, value in zip(names, leg, strict=True)}
        degrees |= {f"hip_adduction_{side}": rng.normal(0, wide), f"hip_rotation_{side}": rng.normal(0, wide)}
        degrees |= {f"{name}_{side}": rng.normal(0, 5) for name in ("subtalar_angle", "mtp_angle")}
    return lean


def _arm(rng: np.random.Generator, side: str, degrees: dict[str, float]) -> None:
    arm = rng.choice(["hangs", "reaches", "folded", "free"], p=[0.25, 0.25, 0.2, 0.3])
    if arm == "hangs":
        x, y, z, elbow = 75 + rng.normal(0, 8), rng.normal(0, 15), rng.normal(0, 15), abs(rng.normal(0, 20)) + 5
    elif arm == "reaches":
        x, y, z, elbow = rng.uniform(10, 75), rng.uniform(-40, 40), rng.uniform(0, 85), rng.uniform(0, 110)
    elif arm == "folded":
        x, y, z, elbow = rng.uniform(-50, 75), rng.uniform(-95, 10), rng.uniform(0, 90), rng.uniform(50, 140)
    else:
        x, y, z, elbow = rng.uniform(-60, 85), rng.uniform(-95, 45), rng.uniform(-40, 90), rng.uniform(0, 130)
    sign = 1.0 if side == "r" else -1.0
    degrees |= {f"shoulder_{side}_x": sign * x, f"shoulder_{side}_y": sign * y, f"shoulder_{side}_z": z}
    degrees |= {
        f"elbow_flexion_{side}": elbow,
        f"pro_sup_{side}": rng.normal(0, 25),
        f"wrist_flexion_{side}": rng.normal(0, 12),
    }


@dataclass(frozen=True)
class ReadRegion:
    """What the detector said of one picture."""

    px: Array
    """(33, 2)."""
    world_m: Array
    """(33, 3)."""


@dataclass(frozen=True)
class Sample:
    """One picture: the truth, what the detector said of it, and what it said of its mirror image (turned back)."""

    true_m: Array
    """(33,) depth of the landmarks' places along the viewing ray, of a person of 1.65 m."""
    looks: tuple[ReadRegion, ReadRegion]


def sample(body: Body, betas: Array, rng: np.random.Generator, networks: PoseNetworks) -> Sample | None:
    """Render one picture and look at it; None if the detector sees something else."""
    angles, leans = posture(rng)
    posed = body.forward(torch.tensor(angles)[None], betas, torch.zeros(1, 3), skin=True)
    yaw = rng.uniform(-np.pi, np.pi) if rng.uniform() < 0.6 else rng.normal(0, 0.6)
    skin, joints, bones = (np.asarray(array)[0] for array in (posed.skin_m, posed.joints_m, posed.joints_ori))
    if rng.uniform() < _BALANCED:
        leans = balanced(joints, leans) + rng.normal(0, _TIPPED_RAD, 2)
    turn = Rotation.from_euler("YXZ", [yaw, *leans]).as_matrix()
    skin, joints, bones = skin @ turn.T, joints @ turn.T, turn @ bones
    floor = np.array([0, skin[:, 1].min(), 0])
    skin, joints = skin - floor, joints - floor
    focal = rng.uniform(0.7, 1.2) * SIZE_PX[1]
    middle = (skin.max(axis=0) + skin.min(axis=0)) / 2
    distance = max(focal * np.ptp(skin[:, 1]) / (SIZE_PX[1] * rng.uniform(0.45, 0.85)), 2.0)
    pitch = np.radians(rng.normal(9, 10))
    eye = middle + distance * np.array([0, np.sin(pitch), np.cos(pitch)])
    aside = rng.normal(0, 0.08 if rng.uniform() < 0.9 else 0.5, 3) * [1, 1, 0]  # one in ten may be cut off by the edge
    view = View.looking(np.maximum(eye, [-np.inf, 0.2, -np.inf]), middle + aside, focal, SIZE_PX)
    picture = _as_filmed(Scene(view, fine=1).draw(skin, body.faces, _dressed(body, rng)), rng)
    stature, rest = body.stature_m(betas), body.rest(np.zeros(10)).bone_rotations
    keypoints = keypoints_of(body.data, DETECTOR_SET)[0]
    places = np.array(
        [joints[k.joint] + bones[k.body] @ rest[k.body].T @ np.array(k.offset_over_stature) * stature for k in keypoints]
    )
    px, _ = view.project(places)
    looks = _looks(networks, picture, px, view.project(skin)[0], tuple(k.name for k in keypoints))
    if looks is None or np.linalg.norm(looks[0].px - px, axis=1)[11:].mean() * distance / focal > _WRONG_M:
        return None
    camera = places @ view.rotation.T + view.translation_m
    ray = camera[[23, 24]].mean(axis=0)
    return Sample(camera @ ray / np.linalg.norm(ray) * DETECTOR_STATURE_M / stature, looks)


def _dressed(body: Body, rng: np.random.Generator) -> Array:
    """(V, 3) colours of clothes and skin: each garment darker or lighter and of another hue."""
    colours = clothes(body)
    _, garment = np.unique(colours, axis=0, return_inverse=True)
    shade = rng.uniform(0.4, 1.3, (garment.max() + 1, 1)) * rng.uniform(0.8, 1.2, (garment.max() + 1, 3))
    return np.clip(colours * shade[garment.ravel()], 0, 1)


def _as_filmed(picture: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """With another contrast, a blur of up to a pixel and a half, and grain."""
    soft = gaussian_filter(picture.astype(np.float64), (rng.uniform(0, 1.5),) * 2 + (0,))
    seen = 128 + (soft - 128) * rng.uniform(0.5, 1.1) + rng.normal(0, 20) + rng.normal(0, rng.uniform(0, 8), picture.shape)
    return np.clip(seen, 0, 255).astype(np.uint8)


def _looks(
    networks: PoseNetworks, picture: npt.NDArray[np.uint8], px: Array, skin_px: Array, names: tuple[str, ...]
) -> tuple[ReadRegion, ReadRegion] | None:
    """The picture as in a video, where the region comes from the frame before; and its mirror image."""
    hips = px[[23, 24]].mean(axis=0)
    up = px[[11, 12]].mean(axis=0) - hips
    reach = np.linalg.norm(skin_px - hips, axis=1).max()
    (first,) = networks.landmarks(picture, [Region(hips, 2.5 * reach, float(np.arctan2(up[0], -up[1])))])
    found = first and networks.landmarks(picture, [first.region])[0]
    if not first or not found:
        return None
    width, r = picture.shape[1], first.region
    (other,) = networks.landmarks(
        np.ascontiguousarray(picture[:, ::-1]),
        [Region(np.array([width - r.center_px[0], r.center_px[1]]), r.side_px, -r.rotation_rad)],
    )
    if not other:
        return None
    turned_px, turned_m = mirror_image(mirrored(names), other.px, other.world_m)
    return ReadRegion(found.px, found.world_m), ReadRegion(turned_px + np.array([width, 0]), turned_m)


def samples(seed: int, count: int) -> list[Sample]:
    """So many pictures, of three bodies and all shapes."""
    torch.set_num_threads(1)
    rng, found = np.random.default_rng(seed), []
    bodies = [load_body("open", sex) for sex in ("female", "male", "neutral")]
    with PoseNetworks(min_score=0.3) as networks:
        while len(found) < count:
            betas = np.clip(rng.normal(0, _BETA_SD, 10), -2, 2)
            one = sample(bodies[rng.integers(3)], betas, rng, networks)
            if one is not None:
                found.append(one)
    return found
