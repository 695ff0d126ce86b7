"""Postures that are no standing or walking: pictures with exact truth, and how far grounding takes the model from them.

python tools/yardstick/postures.py OUT [--seed 0] [--only TEXT] [--sheet SHEET.png]: OUT gets a picture of each posture and
camera, its truth and what the built-in network sees in it; then fit and grounding run, and ``postures.json`` and
``postures.md`` are written. Pictures and observations that are there are kept. Even seeds are for choosing, odd ones for
confirming.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
from angles import centres, differences, point_angles
from cameras import Array, Shot, VirtualCamera, place_camera
from clips import truth_of, write_video
from coarse_mesh import CoarseMesh
from render import Studio
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import least_squares

from hsmr_bio.body.body import Body
from hsmr_bio.body.load import load_body
from hsmr_bio.body.placing import SKEL_TO_WORLD, rotate_motion
from hsmr_bio.errors import HsmrBioError
from hsmr_bio.estimators import estimate
from hsmr_bio.fitting.core.body_points import KeypointPoints, MassPoints, SolePoints, support_of
from hsmr_bio.fitting.video.fit_motion import fit_motion
from hsmr_bio.fitting.video.keypoints import FitOptions
from hsmr_bio.fitting.world.ground import to_world
from hsmr_bio.io.npz import load_motion, load_observation, save_motion, save_observation
from hsmr_bio.skeleton import DOF_NAMES, JOINT_NAMES
from hsmr_bio.types import Observation, Sex, SkelMotion

_ARMS_DOWN = {"shoulder_x": 80.0, "elbow_flexion": 15.0}
_ARMS_UP = {"shoulder_x": -78.0, "elbow_flexion": 12.0}
_ARMS_AHEAD = {"shoulder_x": 78.0, "shoulder_y": -85.0, "elbow_flexion": 15.0}
CAMERAS = (("side", "level"), ("oblique", "pitched"), ("front", "level"))
"""View and tilt of each posture's pictures."""
CLIP_S, CLIP_HZ = 2.0, 30.0
_SWAY_DEG, _SWAY_S = 1.5, 0.25
"""Size and smoothness of the movement of somebody who holds a posture (chosen)."""
_VARIED_DEG = 4.0
"""Deviation of a posture's angles from picture to picture."""
_BETAS_SD = 0.7
_LIMBS = (
    *((f"{near}_{s}", f"{far}_{s}") for s in "rl" for near, far in (("femur", "tibia"), ("tibia", "talus"))),
    *((f"{near}_{s}", f"{far}_{s}") for s in "rl" for near, far in (("humerus", "ulna"), ("ulna", "hand"))),
    ("pelvis", "thorax"),
)
"""Bones whose directions are compared."""


@dataclass(frozen=True)
class Posture:
    """A posture and what carries it."""

    angles_deg: Mapping[str, float]
    """By the name of an angle, or without its side for both sides; ``shoulder_x`` has the signs of each side."""
    tilt_deg: float = 0.0
    """Turn of the pelvis backwards: 90 lies on the back, -90 on the face."""
    feet: str = ""
    """Sides whose feet carry the body: it is balanced over them and they are made flat."""
    lowest_m: float = 0.0
    """Height of the lowest point of the skin above the floor."""
    moves_to: str = ""
    """Posture that a clip of it moves to and back from; else it is held."""

    @property
    def floor(self) -> bool:
        """Whether the body touches the floor."""
        return self.lowest_m == 0


POSTURES: Mapping[str, Posture] = {
    "standing": Posture(_ARMS_DOWN, feet="rl"),
    "tree": Posture(
        {**_ARMS_UP, "hip_flexion_r": 40, "hip_adduction_r": -42, "hip_rotation_r": -40, "knee_angle_r": 115}, feet="l"
    ),
    "squat": Posture(
        {**_ARMS_AHEAD, "hip_flexion": 95, "knee_angle": 105, "ankle_angle": 30}, -25, feet="rl", moves_to="standing"
    ),
    "box": Posture({**_ARMS_DOWN, "hip_flexion_r": 62, "knee_angle_r": 75, "ankle_angle_r": 12, "hip_flexion_l": -5}, feet="l"),
    "lunge": Posture(
        {**_ARMS_DOWN, "hip_flexion_r": 70, "knee_angle_r": 80, "hip_flexion_l": -15, "knee_angle_l": 45, "mtp_angle_l": 30},
        feet="r",
    ),
    "chair": Posture({**_ARMS_DOWN, "elbow_flexion": 70, "hip_flexion": 88, "knee_angle": 85}, 0),
    "long_sit": Posture({**_ARMS_AHEAD, "hip_flexion": 82, "knee_angle": 10, "ankle_angle": 0}, 0),
    "fold": Posture(
        {
            **_ARMS_AHEAD,
            "shoulder_y": -80,
            "hip_flexion": 125,
            "knee_angle": 5,
            "lumbar_extension": -25,
            "thorax_extension": -20,
        },
        -38,
    ),
    "sit_up": Posture(
        {**_ARMS_AHEAD, "hip_flexion": 75, "knee_angle": 85, "lumbar_extension": -15, "thorax_extension": -10},
        40,
        moves_to="supine_bent",
    ),
    "supine_bent": Posture({**_ARMS_DOWN, "hip_flexion": 40, "knee_angle": 85, "ankle_angle": 10}, 88),
    "supine": Posture(_ARMS_DOWN, 90),
    "plank": Posture({**_ARMS_AHEAD, "elbow_flexion": 5, "ankle_angle": 10, "mtp_angle": 30}, -72),
    "push_up": Posture({**_ARMS_AHEAD, "elbow_flexion": 5, "hip_flexion": 10, "mtp_angle": 30}, -75),
    "handstand": Posture({**_ARMS_UP, "ankle_angle": -20}, 178),
    "hanging": Posture({**_ARMS_UP, "ankle_angle": -30, "knee_angle": 10}, 0, lowest_m=0.4),
    "pull_up": Posture(
        {**_ARMS_UP, "shoulder_x": -20, "shoulder_y": -80, "elbow_flexion": 100, "ankle_angle": -30, "knee_angle": 50},
        0,
        lowest_m=0.5,
        moves_to="hanging",
    ),
    "upside_down": Posture({**_ARMS_DOWN, "hip_flexion": 60, "knee_angle": 90}, 180, lowest_m=0.6),
    "climbing": Posture(
        {**_ARMS_UP, "hip_flexion_r": 85, "knee_angle_r": 95, "hip_adduction": -25, "ankle_angle": -10, "knee_angle_l": 25},
        15,
        lowest_m=0.8,
    ),
}
CLIPS = ("standing", "tree", "squat", "box", "chair", "sit_up", "hanging", "long_sit")
"""Postures that are also filmed, one camera each."""


@dataclass(frozen=True)
class PostureRow:
    """Scores of one picture or clip."""

    name: str
    posture: str
    view: str
    tilt: str
    frames: int
    floor: bool
    """Whether there is one, in truth."""
    found_floor: bool
    angles: float
    """Mean over the angles between segments of their root mean square errors, degrees, in the world."""
    angles_before: float
    """The same of the fit to the picture, before grounding."""
    bones: float
    """Mean angle between fitted and true bones in the camera's axes, degrees."""
    bones_before: float
    gravity: float
    floor_m: float | None
    """Median error of the height of the pelvis above the floor, where there is one."""
    apart: float
    """Mean distance of landmarks and model, torso lengths."""
    apart_before: float
    standing_share: float
    seconds: float
    """Of grounding."""


def angles_of(posture: Posture, varied_deg: Array) -> Array:
    """(46,) radians of a posture, each angle off by ``varied_deg`` (46,) if the posture sets it."""
    q = np.zeros(len(DOF_NAMES))
    for name, value in posture.angles_deg.items():
        columns = {
            "shoulder_x": {"shoulder_r_x": 1.0, "shoulder_l_x": -1.0},
            "shoulder_y": {"shoulder_r_y": 1.0, "shoulder_l_y": -1.0},
        }.get(name) or {dof: 1.0 for dof in (name, f"{name}_r", f"{name}_l") if dof in DOF_NAMES}
        for dof, sign in columns.items():
            column = DOF_NAMES.index(dof)
            q[column] = np.radians(sign * value + varied_deg[column])
    q[0] = np.radians(posture.tilt_deg + varied_deg[0])
    return q


def _level(angles: Array, betas: Array, body: Body) -> SkelMotion:
    """A still in the axes of SKEL."""
    return SkelMotion(
        time_s=np.arange(len(angles)) / CLIP_HZ,
        poses_rad=angles,
        trans_m=np.zeros((len(angles), 3)),
        betas=betas,
        body=body.name,
        frame="skel",
    )


def balanced(angles: Array, feet: str, betas: Array, body: Body) -> Array:
    """(46,) angles nearby whose feet are flat and carry the centre of mass."""
    moving = ["pelvis_tilt", "pelvis_list"]
    moving += [f"{name}_{s}" for s in feet for name in ("hip_flexion", "hip_adduction", "ankle_angle", "subtalar_angle")]
    columns = [DOF_NAMES.index(name) for name in moving]
    standing = np.array([[float(name[-1] in feet) for name in SolePoints.NAMES]])
    tree, sole, mass = body.tree(betas), SolePoints(body)(betas, np.zeros((8, 3))), MassPoints(body)
    masses, shares = mass(betas, np.zeros((8, 3))), mass.shares.numpy()

    def residuals(x: Array) -> Array:
        q = np.zeros((1, 49))
        q[0, :46] = angles
        q[0, columns] = x
        pose = tree.forward(torch.as_tensor(q))
        soles = pose.points(sole.bodies, sole.local_m).numpy()
        centre = shares @ pose.points(masses.bodies, masses.local_m).numpy()[0]
        under = np.einsum("ts,tsi->ti", support_of(standing), soles)[0]
        heights = soles[0, standing[0] > 0, 1]
        off = (centre - under)[[0, 2]] / 0.01
        return np.concatenate([(x - angles[columns]) / np.radians(15), (heights - heights.min()) / 0.003, off])

    found = np.array(angles)
    found[columns] = least_squares(residuals, angles[columns]).x
    return found


def motion_of(name: str, frames: int, rng: np.random.Generator) -> tuple[SkelMotion, Body]:
    """A person in a posture, in the world: x forward, the floor at 0.

    Args:
        name: of the posture.
        frames: 1 for a picture; a clip is held with some sway, or goes to another posture and back.
        rng: draws body, angles and sway.

    Returns:
        The motion and its body.
    """
    body = load_body("open", cast(Sex, str(rng.choice(["neutral", "female", "male"]))))
    betas, varied = rng.normal(size=10) * _BETAS_SD, rng.normal(size=46) * _VARIED_DEG
    names = [name, POSTURES[name].moves_to or name]
    ends = []
    for each in names:
        q = angles_of(POSTURES[each], varied)
        ends.append(balanced(q, POSTURES[each].feet, betas, body) if POSTURES[each].feet else q)
    phase = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frames) / max(frames, 2))
    angles = ends[0] + phase[:, None] * (ends[1] - ends[0])
    if frames > 1:
        smooth = _SWAY_S * CLIP_HZ
        noise = gaussian_filter1d(rng.normal(size=(frames, 46)), smooth, axis=0, mode="wrap")
        angles = angles + np.radians(_SWAY_DEG) * noise / noise.std() * (varied != 0) * (ends[0] != 0)
    motion = rotate_motion(_level(angles, betas, body), body, SKEL_TO_WORLD, frame="world")
    return replace(motion, trans_m=motion.trans_m + _to_floor(motion, body, POSTURES[name])), body


def _to_floor(motion: SkelMotion, body: Body, posture: Posture) -> Array:
    """(T, 3) shifts: feet that carry the body, or hands that it hangs by, stay; else the lowest skin is at its height."""
    posed = body.forward(motion.poses_rad, motion.betas, motion.trans_m)
    joints = posed.joints_m.numpy()
    skin = body.skin(motion.poses_rad, motion.betas, motion.trans_m).numpy()
    up = np.zeros((len(joints), 3))
    if posture.feet:
        points = SolePoints(body)(motion.betas, np.zeros((8, 3)))
        soles = body.tree(motion.betas).forward(torch.as_tensor(motion.q)).points(points.bodies, points.local_m).numpy()
        held = [i for i, point in enumerate(SolePoints.NAMES) if point[-1] in posture.feet]
        return np.asarray(-soles[:, held].mean(axis=1))
    up[:, 1] = posture.lowest_m - skin[..., 1].min(axis=1)
    if not posture.floor:  # hangs by its hands
        hands = joints[:, [JOINT_NAMES.index(f"hand_{s}") for s in "rl"]].mean(axis=1)
        up = up[:1] - (hands - hands[:1])
    return up


def film(name: str, number: int, frames: int, seed: int, out: Path) -> tuple[SkelMotion, Observation] | None:
    """Draw a posture for one camera and let the network see it; None if it sees nobody."""
    stem = f"{name}_{number}" if frames == 1 else f"{name}_clip"
    stored, truth = out / f"{stem}_observation.npz", out / f"{stem}_truth.npz"
    if truth.exists():
        return (load_motion(truth), load_observation(stored)) if stored.exists() else None
    rng = np.random.default_rng([seed, list(POSTURES).index(name), number, frames])
    view, tilt = CAMERAS[number]
    motion, body = motion_of(name, frames, rng)
    joints = body.forward(motion.poses_rad, motion.betas, motion.trans_m).joints_m.numpy()
    size = str(rng.choice(["640x480", "480x640"]))
    camera = _camera(Shot(view, tilt, "near", "known", size), joints, rng)
    studio = Studio(CoarseMesh.of(body), motion, joints, camera, rng)
    picture = out / f"{stem}.png"
    cv2.imwrite(str(picture), cv2.cvtColor(studio.frame(0), cv2.COLOR_RGB2BGR))
    source = picture
    if frames > 1:
        source = out / f"{stem}.mp4"
        write_video(source, studio, frames, CLIP_HZ, 24)
    try:
        observation = estimate(source)
    except HsmrBioError as error:
        sys.stdout.write(f"{stem}: {error}\n")
        observation = None
    save_motion(truth, replace(truth_of(motion, camera), notes={"view": view, "tilt": tilt, "posture": name}))
    if observation is None:
        return None
    save_observation(stored, observation)
    return load_motion(truth), observation


def _camera(shot: Shot, joints_m: Array, rng: np.random.Generator) -> VirtualCamera:
    """A camera at a height that people hold it at; bodies on the ground get one that looks at them from 0.5 m at least."""
    for _ in range(20):
        camera = place_camera(shot, joints_m, rng)
        if camera.position_m[1] > 0.5 or shot.tilt == "level":
            break
    return camera


def row_of(stem: str, truth: SkelMotion, observation: Observation) -> tuple[PostureRow, SkelMotion]:
    """Fit, ground and score one observation."""
    body = _BODIES[truth.body.partition("@")[0]]
    fit = fit_motion(observation, load_body("open", "neutral"), FitOptions(height_m=body.stature_m(truth.betas)))
    begin = time.perf_counter()
    world = to_world(fit, load_body("open", "neutral"))
    seconds = time.perf_counter() - begin
    ground, real = world.ground, truth.ground
    if ground is None or real is None:
        raise HsmrBioError("a truth or a result has no camera")
    frames = np.searchsorted(np.asarray(truth.time_s), np.asarray(world.time_s) - 1e-3).clip(0, len(truth.time_s) - 1)
    true, found = joints_of(truth)[frames], joints_of(world)
    before = joints_of(fit.motion)
    true_camera = true @ real.R_camera_world.T + real.t_camera_world_m
    found_camera = found @ ground.R_camera_world.T + ground.t_camera_world_m
    ups = ground.R_camera_world[:, 1], real.R_camera_world[:, 1]
    pelvis = np.median(np.abs(found[:, 0, 1] - true[:, 0, 1]))
    notes = truth.notes
    return PostureRow(
        stem,
        str(notes["posture"]),
        str(notes["view"]),
        str(notes["tilt"]),
        len(world.time_s),
        POSTURES[str(notes["posture"])].floor,
        bool(getattr(ground, "floor", True)),
        _angle_error(found, true),
        _angle_error(before, true_camera),
        _bone_error(found_camera, true_camera),
        _bone_error(before, true_camera),
        float(np.degrees(np.arccos(np.clip(ups[0] @ ups[1], -1, 1)))),
        float(pelvis) if POSTURES[str(notes["posture"])].floor else None,
        _apart(observation, world, ground.R_camera_world, ground.t_camera_world_m, fit.offsets_m),
        _apart(observation, fit.motion, np.eye(3), np.zeros(3), fit.offsets_m),
        ground.standing_share,
        seconds,
    ), world


_BODIES = {f"open-{sex}": load_body("open", cast(Sex, sex)) for sex in ("neutral", "female", "male")}


def joints_of(motion: SkelMotion) -> Array:
    """(T, 24, 3) joint centres of a motion of an open body."""
    body = _BODIES[motion.body.partition("@")[0]]
    return np.asarray(body.forward(motion.poses_rad, motion.betas, motion.trans_m).joints_m.numpy())


def _angle_error(found_m: Array, true_m: Array) -> float:
    """Root mean square of the ten angles between segments, mean, degrees: the same in any axes."""
    mine, theirs = (point_angles(centres(JOINT_NAMES, at)) for at in (found_m, true_m))
    names = [name for name in theirs if not name.startswith("trunk_lean")]
    return float(np.mean([np.sqrt(np.mean(differences(mine[n], theirs[n]) ** 2)) for n in names]))


def _bone_error(found_m: Array, true_m: Array) -> float:
    index = np.array([[JOINT_NAMES.index(name) for name in bone] for bone in _LIMBS])
    one, two = (at[:, index[:, 1]] - at[:, index[:, 0]] for at in (found_m, true_m))
    cosine = (one * two).sum(axis=2) / np.linalg.norm(one, axis=2) / np.linalg.norm(two, axis=2)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean())


def _apart(observation: Observation, motion: SkelMotion, rotation: Array, shift_m: Array, offsets_m: Array) -> float:
    """Mean distance of landmarks that are seen and of the model in the picture, torso lengths in the picture."""
    body = _BODIES[motion.body.partition("@")[0]]
    points = KeypointPoints.of(body, observation.keypoint_set)
    made = points(motion.betas, offsets_m)
    at = body.tree(motion.betas).forward(torch.as_tensor(motion.q)).points(made.bodies, made.local_m)
    at = at if made.mix is None else made.mix @ at
    camera = at.numpy() @ rotation.T + shift_m
    if motion.camera is None:
        raise HsmrBioError("the motion has no camera")
    px = motion.camera.focal_px * camera[..., :2] / camera[..., 2:] + np.array(motion.camera.center_px)
    seen = observation.keypoints_px[: len(px)]
    torso = _torso_px(seen, points.names)
    return float(np.nanmean(np.linalg.norm(px - seen, axis=2) / torso))


def _torso_px(seen_px: Array, names: Sequence[str]) -> float:
    """Largest of the sides of the torso in the picture, median over time."""
    at = {name: seen_px[:, names.index(name)] for name in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")}
    sides = [
        np.linalg.norm(at[a] - at[b], axis=1) for a in ("left_shoulder", "right_shoulder") for b in ("left_hip", "right_hip")
    ]
    return float(np.nanmedian(np.max(sides, axis=0)))


def markdown(rows: Sequence[PostureRow]) -> str:
    """A table of postures, then every picture."""
    keys = ("angles_before", "angles", "bones_before", "bones", "gravity", "floor_m", "apart_before", "apart")
    head = ["posture", "pictures", *keys, "floor found"]
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    groups = {"all": list(rows), "stills": [r for r in rows if r.frames == 1], "clips": [r for r in rows if r.frames > 1]}
    groups |= {name: [r for r in rows if r.posture == name] for name in POSTURES}
    for name, group in groups.items():
        if group:
            values = [[v for r in group if (v := getattr(r, key)) is not None] for key in keys]
            cells = [f"{np.mean(v):.2f}" if v else "-" for v in values]
            found = f"{sum(r.found_floor for r in group)} of {sum(r.floor for r in group)}"
            lines.append(f"| {name} | {len(group)} | {' | '.join(cells)} | {found} |")
    lines += ["", f"| picture | {' | '.join(keys)} | stands | floor |", "|" + " --- |" * (len(keys) + 3)]
    for r in rows:
        cells = ["-" if (v := getattr(r, key)) is None else f"{v:.2f}" for key in keys]
        lines.append(f"| {r.name} | {' | '.join(cells)} | {r.standing_share:.2f} | {r.found_floor} |")
    return "\n".join(lines) + "\n"


def sheet(parts: Sequence[tuple[str, Path, SkelMotion, SkelMotion]], path: Path) -> None:
    """Draw each picture, and from the side the true (grey) and the found (red) skeleton on their floors."""
    tiles = []
    for name, picture, truth, world in parts:
        shown = cv2.imread(str(picture))
        scale = 240 / shown.shape[0]
        tile = np.full((240, 560, 3), 255, dtype=np.uint8)
        small = cv2.resize(shown, (int(shown.shape[1] * scale), 240))
        tile[:, : small.shape[1]] = small
        cv2.line(tile, (330, 220), (555, 220), (0, 160, 0), 1)
        for motion, colour in ((truth, (170, 170, 170)), (world, (0, 0, 220))):
            joints = joints_of(motion)[len(motion.time_s) // 2]
            at = (joints[:, :2] - [joints[0, 0], 0]) * [90, -90] + [445, 220]
            for i, parent in enumerate(load_body("open", "neutral").parents):
                if parent >= 0:
                    side = 1 if JOINT_NAMES[i].endswith("_l") else 2
                    cv2.line(tile, *(tuple(map(int, at[k])) for k in (i, parent)), colour, side, cv2.LINE_AA)
        cv2.putText(tile, name, (5, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 255), 1, cv2.LINE_AA)
        tiles.append(tile)
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % 3)
    cv2.imwrite(str(path), np.vstack([np.hstack(tiles[i : i + 3]) for i in range(0, len(tiles), 3)]))


def main() -> None:
    """Read the command line, film, score, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="pictures with this in their name")
    parser.add_argument("--sheet", type=Path, help="picture of all results")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    wanted = [(name, number, 1) for number in range(len(CAMERAS)) for name in POSTURES]
    wanted += [(name, (args.seed + i) % len(CAMERAS), int(CLIP_S * CLIP_HZ)) for i, name in enumerate(CLIPS)]
    rows, parts = [], []
    for name, number, frames in wanted:
        stem = f"{name}_{number}" if frames == 1 else f"{name}_clip"
        if args.only not in stem:
            continue
        seen = film(name, number, frames, args.seed, args.out)
        if seen is None:
            continue
        row, world = row_of(stem, *seen)
        rows.append(row)
        parts.append((stem, args.out / f"{stem}.png", seen[0], world))
    (args.out / "postures.json").write_text(json.dumps([asdict(row) for row in rows], indent=1))
    (args.out / "postures.md").write_text(markdown(rows))
    sys.stdout.write(markdown(rows))
    if args.sheet:
        sheet(parts, args.sheet)


if __name__ == "__main__":
    main()
