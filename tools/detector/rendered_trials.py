"""Renders marker-based trials on the open body, films them from several sides, and scores ``image2mot`` on the clips.

python tools/detector/rendered_trials.py TRIAL.trc ... : joint-centre files (hip_r, knee_r ...). The truth is exact: the body
that was drawn. One line a clip, root mean square errors in degrees; joint centres in mm, each frame aligned.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo"))
from render_demo import clothes
from renderer import Scene, View

from hsmr_bio.body.body import Body
from hsmr_bio.body.load import load_body
from hsmr_bio.estimators import get_estimator
from hsmr_bio.fitting.video.joint_centres import JOINT_OF_POINT, fit_joint_centres
from hsmr_bio.io.trc import read_trc
from hsmr_bio.pipeline.image2mot import motion_of
from hsmr_bio.skeleton import JOINT_NAMES

Array = npt.NDArray[np.float64]
RATE_HZ, LONGEST_S = 30, 4.0
VIEWS_RAD = ((0.2, 0.10), (0.8, 0.21), (1.45, 0.03))
"""(azimuth from the walking direction, downward pitch) of the cameras."""
PLACES = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")


@dataclass(frozen=True)
class Clip:
    """One rendered video and its truth."""

    path: Path
    time_s: Array
    joints_m: Array
    up_camera: Array


def clips(trial: Path, body: Body, folder: Path) -> list[Clip]:
    """Fit the body to a trial and film it."""
    motion = fit_joint_centres(read_trc(trial), body)
    time_s = np.asarray(motion.time_s)
    wanted = np.arange(time_s[0], min(time_s[-1], time_s[0] + LONGEST_S), 1 / RATE_HZ)
    frames = [int(np.argmin(np.abs(time_s - t))) for t in wanted]
    posed = body.forward(motion.poses_rad[frames], motion.betas, motion.trans_m[frames], skin=True)
    skin, joints = np.array(posed.skin_m), np.array(posed.joints_m)
    floor = np.array([0, np.percentile(skin[:, :, 1].min(axis=1), 10), 0])
    skin, joints = skin - floor, joints - floor
    low, high = skin.min(axis=(0, 1)), skin.max(axis=(0, 1))
    middle, made = np.array([(low[0] + high[0]) / 2, 0.9, (low[2] + high[2]) / 2]), []
    for number, (azimuth, pitch) in enumerate(VIEWS_RAD):
        size = (720, 960) if number % 2 == 0 else (960, 720)
        focal = 0.95 * max(size)
        across = (high[0] - low[0]) * abs(np.sin(azimuth)) + (high[2] - low[2]) * abs(np.cos(azimuth))
        distance = (
            focal * max(1.25 * high[1] / size[1], 1.15 * across / size[0]) + abs(np.cos(azimuth)) * (high[0] - low[0]) / 2
        )
        towards = np.array([np.cos(azimuth) * np.cos(pitch), np.sin(pitch), np.sin(azimuth) * np.cos(pitch)])
        view = View.looking(middle + distance * towards, middle, focal, size)
        path = folder / f"{trial.parent.name}_{number}.mp4"
        _film(path, skin, body, view)
        made.append(Clip(path, time_s[frames] - time_s[frames[0]], joints, view.rotation[:, 1]))
    return made


def _film(path: Path, skin: Array, body: Body, view: View) -> None:
    scene, colours = Scene(view, fine=1), clothes(body)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE_HZ, options={"crf": "18"})
        (stream.width, stream.height), stream.pix_fmt = view.size_px, "yuv420p"
        for points in skin:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scene.draw(points, body.faces, colours), format="rgb24")))
        container.mux(stream.encode())


def score(clip: Clip, body: Body) -> dict[str, float]:
    """Errors of the whole road up to the world motion."""
    motion = motion_of(get_estimator("blazepose").estimate(clip.path), body)
    found = np.array(body.forward(motion.poses_rad, motion.betas, motion.trans_m).joints_m)
    inside = (clip.time_s >= motion.time_s[0]) & (clip.time_s <= motion.time_s[-1])
    nearest = [int(np.argmin(np.abs(np.asarray(motion.time_s) - t))) for t in clip.time_s[inside]]
    names = [f"{place}_{side}" for place in PLACES for side in "rl"]
    index = [JOINT_NAMES.index(f"{JOINT_OF_POINT[name[:-2]]}_{name[-1]}") for name in names]
    ours, truth = found[nearest][:, index], clip.joints_m[inside][:, index]
    errors = {"joints_mm": 1000 * float(np.mean([_aligned(a, b) for a, b in zip(ours, truth, strict=True)]))}
    for angle, (near, at, far) in {"knee": ("hip", "knee", "ankle"), "elbow": ("shoulder", "elbow", "wrist")}.items():
        bends = [[_bend(points, names, near, at, far, side) for side in "rl"] for points in (ours, truth)]
        errors[f"{angle}_deg"] = float(np.degrees(np.sqrt(np.mean(np.square(np.subtract(*bends))))))
    up = motion.ground.R_camera_world[:, 1]
    return errors | {"gravity_deg": float(np.degrees(np.arccos(np.clip(up @ clip.up_camera, -1, 1))))}


def _bend(points: Array, names: list[str], near: str, at: str, far: str, side: str) -> Array:
    a, b, c = (points[:, names.index(f"{place}_{side}")] for place in (near, at, far))
    first, second = b - a, c - b
    return np.arctan2(np.linalg.norm(np.cross(first, second), axis=1), (first * second).sum(axis=1))


def _aligned(ours: Array, truth: Array) -> float:
    """Mean distance after the best similarity (Umeyama 1991)."""
    a, b = ours - ours.mean(axis=0), truth - truth.mean(axis=0)
    u, values, vt = np.linalg.svd(a.T @ b)
    values[2] *= np.sign(np.linalg.det(u @ vt))
    u[:, 2] *= np.sign(np.linalg.det(u @ vt))
    return float(np.linalg.norm(values.sum() / (a**2).sum() * a @ (u @ vt) - b, axis=1).mean())


def main() -> None:
    """Render, run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trials", type=Path, nargs="+")
    body, rows = load_body("open"), []
    with tempfile.TemporaryDirectory() as folder:
        for trial in parser.parse_args().trials:
            for clip in clips(trial, body, Path(folder)):
                rows.append(score(clip, body))
                sys.stdout.write(f"{clip.path.stem}: " + ", ".join(f"{k} {v:.1f}" for k, v in rows[-1].items()) + "\n")
                sys.stdout.flush()
    sys.stdout.write("mean: " + ", ".join(f"{k} {np.mean([row[k] for row in rows]):.1f}" for k in rows[0]) + "\n")


if __name__ == "__main__":
    main()
