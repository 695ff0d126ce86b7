"""Measures how BlazePose's depth relates to the truth (``fitting/detector_depth.py``): python tools/detector/measure_depth.py.

Renders the open body in everyday postures from all sides, runs the detector on each picture, and regresses the true depth
difference over each bone on the detector's. Takes about ten minutes; prints one line per bone.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo"))
from render_demo import clothes
from renderer import Scene, View

from hsmr_bio.body.body import Body
from hsmr_bio.body.keypoint_table import keypoints_of
from hsmr_bio.body.load import load_body
from hsmr_bio.estimators.pose_graph import PoseGraph, Region
from hsmr_bio.fitting.detector_depth import DETECTOR_STATURE_M, SLANTS, facing_camera
from hsmr_bio.skeleton import DOF_NAMES, LIMITS_RAD

Array = npt.NDArray[np.float64]
SIZE_PX = (540, 640)
_BETA_SD, _ROBUST = 0.8, 2.5
_WRONG_M = 0.09
"""Pictures whose landmarks are on average further off are left out: the detector saw something else."""


def posture(rng: np.random.Generator) -> tuple[Array, float]:
    """(46,) angles of a standing, squatting, stepping or one-legged body, and the forward lean of its pelvis; radians."""
    degrees: dict[str, float] = {}

    def spread(sd: float) -> float:
        return float(rng.normal(0, sd))

    kind, lean = rng.choice(["stand", "squat", "step", "step", "one leg"]), 0.0
    depth, raised = rng.uniform(), rng.choice(["r", "l"])
    for side in "rl":
        if kind == "stand":
            leg = spread(6), abs(spread(8)), spread(6)
        elif kind == "squat":
            leg, lean = (100 * depth + spread(8), max(0, 115 * depth + spread(6)), 33 * depth + spread(5)), depth * 30
        elif kind == "step":
            leg, lean = (rng.uniform(-20, 65), rng.uniform(0, 100) * rng.uniform(), rng.uniform(-20, 25)), rng.uniform(-8, 25)
        elif side == raised:
            leg = rng.uniform(-20, 90), rng.uniform(0, 110), rng.uniform(-30, 15)
        else:
            leg, lean = (rng.uniform(-5, 30), rng.uniform(0, 45), rng.uniform(-5, 20)), rng.uniform(-10, 30)
        degrees |= {
            f"{name}_{side}": value for name, value in zip(("hip_flexion", "knee_angle", "ankle_angle"), leg, strict=True)
        }
        degrees |= {f"{name}_{side}": spread(8) for name in ("hip_adduction", "hip_rotation")}
        degrees |= {f"{name}_{side}": spread(5) for name in ("subtalar_angle", "mtp_angle")}
        arm = rng.choice(["hangs", "forward", "free"])
        sign = 1.0 if side == "r" else -1.0
        if arm == "hangs":
            x, y, z, elbow = 75 + spread(8), spread(15), spread(15), abs(spread(20)) + 5
        elif arm == "forward":
            x, y, z, elbow = rng.uniform(10, 75), rng.uniform(-40, 40), rng.uniform(0, 85), rng.uniform(0, 110)
        else:
            x, y, z, elbow = rng.uniform(-55, 75), rng.uniform(-45, 45), rng.uniform(-40, 70), rng.uniform(0, 130)
        degrees |= {f"shoulder_{side}_x": sign * x, f"shoulder_{side}_y": sign * y, f"shoulder_{side}_z": -sign * z}
        degrees |= {f"elbow_flexion_{side}": elbow, f"pro_sup_{side}": spread(25), f"wrist_flexion_{side}": spread(12)}
    for name, share in (("lumbar", 0.2), ("thorax", 0.15)):
        degrees |= {f"{name}_bending": spread(6), f"{name}_extension": spread(6) - share * lean, f"{name}_twist": spread(6)}
    degrees |= {"head_bending": spread(6), "head_extension": spread(10), "head_twist": spread(12)}
    angles = np.radians([degrees.get(name, 0.0) for name in DOF_NAMES])
    low, high = np.sort(LIMITS_RAD, axis=1).T
    return np.where(np.isnan(low), angles, np.clip(angles, low, high)), float(np.radians(0.65 * lean + spread(3)))


@dataclass(frozen=True)
class Sample:
    """One picture: depth differences are along the viewing ray."""

    true_m: Array
    """(33,) depth of the landmarks' places on the body, of a person of 1.65 m."""
    seen_m: Array
    """(33,) the detector's."""
    facing: float


def sample(body: Body, betas: Array, rng: np.random.Generator, graph: PoseGraph) -> Sample | None:
    """Render one picture and look at it; None if the detector sees something else."""
    angles, lean = posture(rng)
    posed = body.forward(torch.tensor(angles)[None], betas, torch.zeros(1, 3), skin=True)
    yaw = rng.uniform(-np.pi, np.pi) if rng.uniform() < 0.6 else rng.normal(0, 0.6)
    c, s, cl, sl = np.cos(yaw), np.sin(yaw), np.cos(lean), np.sin(lean)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ np.array([[1, 0, 0], [0, cl, -sl], [0, sl, cl]])
    skin, joints, bones = (np.asarray(array)[0] for array in (posed.skin_m, posed.joints_m, posed.joints_ori))
    skin, joints, bones = skin @ turn.T, joints @ turn.T, turn @ bones
    floor = np.array([0, skin[:, 1].min(), 0])
    skin, joints = skin - floor, joints - floor
    focal = rng.uniform(0.7, 1.1) * SIZE_PX[1]
    middle = (skin.max(axis=0) + skin.min(axis=0)) / 2
    distance = max(focal * np.ptp(skin[:, 1]) / (SIZE_PX[1] * rng.uniform(0.45, 0.85)), 2.0)
    pitch = np.radians(rng.normal(8, 8))
    eye = middle + distance * np.array([0, np.sin(pitch), np.cos(pitch)])
    view = View.looking(np.maximum(eye, [-np.inf, 0.2, -np.inf]), middle + rng.normal(0, 0.08, 3) * [1, 1, 0], focal, SIZE_PX)
    picture = Scene(view, fine=1).draw(skin, body.faces, np.clip(clothes(body) * rng.uniform(0.5, 1.2, 3), 0, 1))
    keypoints = keypoints_of(body.data, "blazepose33")[0]
    stature = body.stature_m(betas)
    rest = body.rest(np.zeros(10)).bone_rotations
    places = np.array(
        [joints[k.joint] + bones[k.body] @ rest[k.body].T @ np.array(k.offset_over_stature) * stature for k in keypoints]
    )
    px, _ = view.project(places)
    reach = np.linalg.norm(view.project(skin)[0] - px[[23, 24]].mean(axis=0), axis=1).max()
    up = px[[11, 12]].mean(axis=0) - px[[23, 24]].mean(axis=0)
    first = graph.landmarks(picture, Region(px[[23, 24]].mean(axis=0), 2.5 * reach, float(np.arctan2(up[0], -up[1]))))
    found = first and graph.landmarks(picture, first.region)
    if not found or np.linalg.norm(found.px - px, axis=1)[11:].mean() * distance / focal > _WRONG_M:
        return None
    camera = places @ view.rotation.T + view.translation_m
    ray = camera[[23, 24]].mean(axis=0)
    names = tuple(k.name for k in keypoints)
    facing = facing_camera(names, found.world_m[None] * (1, -1, -1))[0]
    return Sample(camera @ ray / np.linalg.norm(ray) * DETECTOR_STATURE_M / stature, found.world_m[:, 2], float(facing))


def regression(true_m: Array, seen_m: Array, facing: Array) -> tuple[Array, float]:
    """Robust gain, bias and bias by facing of the truth on what is seen, and the spread of what is left."""
    columns, weight = np.stack([seen_m, np.ones_like(seen_m), facing], axis=1), np.ones(len(seen_m))
    for _ in range(10):
        root = np.sqrt(weight)
        found = np.linalg.lstsq(columns * root[:, None], true_m * root, rcond=None)[0]
        left = true_m - columns @ found
        spread = 1.4826 * float(np.median(np.abs(left)))
        weight = (1 + (left / (_ROBUST * spread)) ** 2) ** -2
    return found, spread


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=1600)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(args.seed)
    bodies = [load_body("open", sex) for sex in ("female", "male", "neutral")]
    with PoseGraph(min_score=0.3) as graph:
        tries = (
            sample(bodies[rng.integers(3)], np.clip(rng.normal(0, _BETA_SD, 10), -2, 2), rng, graph)
            for _ in range(args.pictures)
        )
        samples = [one for one in tries if one is not None]
    names = tuple(k.name for k in keypoints_of(bodies[0].data, "blazepose33")[0])
    sys.stdout.write(f"{len(samples)} of {args.pictures} pictures\n")
    for bone in SLANTS:
        pairs = [(s, far, near) for s in samples for far, near in bone.pairs(names)]
        true, seen = (np.array([getattr(s, n)[i] - getattr(s, n)[j] for s, i, j in pairs]) for n in ("true_m", "seen_m"))
        (gain, bias, by_facing), spread = regression(true, seen, np.array([s.facing for s, _, _ in pairs]))
        sys.stdout.write(
            f"{bone.far:>10} - {bone.near:<8} gain {gain:.2f} bias {bias:+.3f} by facing {by_facing:+.3f} left {spread:.3f} m\n"
        )


if __name__ == "__main__":
    main()
